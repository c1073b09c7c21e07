use super::*;
use ndarray::{Array2, array};
use proptest::prelude::*;

fn rows() -> Array2<f64> {
    Array2::from_shape_fn((400, 3), |(row, at)| ((row * 7919 + at * 104_729) % 101) as f64 / 101.0)
}

#[test]
fn what_lies_apart_is_isolated_and_the_feature_is_named() {
    let forest = ForestParams::default().grow(rows().view()).unwrap();
    let (near, far) = (array![0.5, 0.5, 0.5], array![0.5, 9.0, 0.5]);
    let score = |row: &Array1<f64>| forest.score(row.as_slice().unwrap());
    assert!(score(&far) > score(&near) + 0.05, "{} {}", score(&far), score(&near));
    let parts = forest.attribution(far.view());
    assert!(parts[1] > parts[0] && parts[1] > parts[2] && parts[1] > 0.0, "{parts:?}");
}

#[test]
fn a_feature_in_which_a_row_is_ordinary_speaks_for_it() {
    // Feature 0 is 0 or, seldom, 100; feature 1 is the same for all but one row.
    let rows = Array2::from_shape_fn((256, 2), |(row, at)| match at {
        0 => {
            if row % 32 == 0 {
                100.0 + row as f64
            } else {
                (row % 7) as f64 / 100.0
            }
        }
        _ => (row % 11) as f64 / 100.0,
    });
    let forest = ForestParams::default().grow(rows.view()).unwrap();
    let parts = forest.attribution(array![200.0, 0.05].view());
    assert!(parts[0] > 1.0 && parts[1] < 0.3, "{parts:?}");
    let ordinary = forest.attribution(array![0.03, 0.05].view());
    assert!(ordinary[0] < 0.0, "{ordinary:?}");
}

#[test]
fn equal_rows_and_seed_give_equal_bits_in_rows_and_batches() {
    let grown = || ForestParams::default().grow(rows().view()).unwrap();
    let (a, b) = (grown(), grown());
    assert_eq!(a, b);
    for count in [1, 7, 8, 63, 64, 65, 400] {
        let some = rows().select(Axis(0), &(0..count).collect::<Vec<_>>());
        let batch = a.score_batch(some.view());
        assert_eq!(batch.len(), count);
        for (row, score) in some.rows().into_iter().zip(batch) {
            assert_eq!(a.score(row.as_slice().unwrap()).to_bits(), score.to_bits());
        }
    }
    assert_ne!(a, ForestParams { seed: 8, ..ForestParams::default() }.grow(rows().view()).unwrap());
}

#[test]
fn linfa_fits_and_predicts_the_same() {
    use linfa::Dataset;
    use linfa::traits::{Fit, Predict};
    let forest = ForestParams::default().fit(&Dataset::from(rows())).unwrap();
    assert_eq!(forest.predict(&rows()), forest.score_batch(rows().view()));
}

#[test]
fn rows_that_cannot_be_grown_on_are_refused() {
    let grow = |rows: Array2<f64>| ForestParams::default().grow(rows.view());
    assert!(matches!(grow(Array2::zeros((0, 3))), Err(ForestError::Empty { .. })));
    assert!(matches!(grow(Array2::zeros((3, 257))), Err(ForestError::TooWide { features: 257 })));
    assert!(matches!(grow(array![[1.0], [f64::NAN]]), Err(ForestError::NotFinite { row: 1 })));
    assert!(grow(Array2::zeros((5, 2))).is_ok_and(|f| f.score(&[0.0, 0.0]) <= 0.5));
}

/// As the paper defines it: an explicit tree, walked with a branch at each node.
fn path(forest: &Forest, tree: usize, row: &[f64]) -> f64 {
    let mut at = 0;
    while at < SLOTS - 1 {
        let (feature, threshold) = (forest.features[tree * SLOTS + at], forest.thresholds[tree * SLOTS + at]);
        let value = row.get(usize::from(feature)).copied().unwrap_or(0.0);
        at = if value < threshold || !threshold.is_finite() { 2 * at + 1 } else { 2 * at + 2 };
    }
    forest.lengths[tree * SLOTS + at + 1 - SLOTS]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn parts_sum_to_what_the_row_saves_against_the_mean(seed in 0u64..50, row in proptest::collection::vec(-3.0f64..3.0, 3)) {
        let forest = ForestParams { trees: 20, sample: 64, seed }.grow(rows().view()).unwrap();
        let path = (0..20).map(|tree| path(&forest, tree, &row)).sum::<f64>() / 20.0;
        let parts: f64 = forest.attribution(ndarray::ArrayView1::from(&row)).iter().sum();
        prop_assert!((parts - (forest.mean_length() - path)).abs() < 1e-4, "{} against {} - {}", parts, forest.mean_length(), path);
        prop_assert!((forest.score(&row) - libm::exp2(-path / mean_path(64))).abs() < 1e-12);
    }

    #[test]
    fn whatever_the_row_holds_the_score_is_a_number(row in proptest::collection::vec(proptest::num::f64::ANY, 0..300)) {
        let forest = ForestParams::default().grow(rows().view()).unwrap();
        let score = forest.score(&row);
        prop_assert!(score > 0.0 && score <= 1.0, "{}", score);
    }
}
