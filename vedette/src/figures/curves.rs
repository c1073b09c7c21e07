//! Curves and thresholds over two lists of session scores. Higher is more anomalous; ties count half.

/// Area under the ROC curve: how often a positive outranks a negative (Mann and Whitney 1947). None when a list is empty.
pub fn roc_auc(positive: &[f64], negative: &[f64]) -> Option<f64> {
    if positive.is_empty() || negative.is_empty() {
        return None;
    }
    let negative = ascending(negative);
    let won: usize = positive
        .iter()
        .map(|score| negative.partition_point(|n| n < score) + negative.partition_point(|n| n <= score))
        .sum();
    Some(won as f64 / 2.0 / (positive.len() * negative.len()) as f64)
}

/// Area under the precision-recall curve as average precision, tied scores taken together. None when a list is empty.
pub fn average_precision(positive: &[f64], negative: &[f64]) -> Option<f64> {
    if positive.is_empty() || negative.is_empty() {
        return None;
    }
    let mut all: Vec<(f64, bool)> =
        positive.iter().map(|s| (*s, true)).chain(negative.iter().map(|s| (*s, false))).collect();
    all.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (mut hits, mut seen, mut area) = (0usize, 0usize, 0.0);
    for tied in all.chunk_by(|a, b| a.0 == b.0) {
        let new = tied.iter().filter(|(_, positive)| *positive).count();
        hits += new;
        seen += tied.len();
        area += new as f64 / positive.len() as f64 * (hits as f64 / seen as f64);
    }
    Some(area)
}

/// The smallest value above which lie at most `share` of `negative`; minus infinity when all may.
pub fn threshold(negative: &[f64], share: f64) -> f64 {
    let sorted = ascending(negative);
    // A share such as 0.05 of 20 must count one, whatever its binary expansion.
    let allowed = (share * sorted.len() as f64 + 1e-9).floor() as usize;
    sorted.iter().rev().nth(allowed).copied().unwrap_or(f64::NEG_INFINITY)
}

/// Middle value, the mean of the middle two where there are two; sorts `values`.
pub fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = *values.get((values.len() - 1) / 2)?;
    Some(f64::midpoint(lower, upper))
}

fn ascending(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_of_hand_made_lists() {
        assert_eq!(roc_auc(&[3.0, 2.0], &[1.0, 0.0]), Some(1.0));
        assert_eq!(roc_auc(&[1.0], &[1.0, 0.0]), Some(0.75));
        assert_eq!(roc_auc(&[], &[1.0]), None);
        // Ranked + - + : precision 1 at recall 1/2, 2/3 at recall 1.
        assert!((average_precision(&[3.0, 1.0], &[2.0]).unwrap() - (0.5 + 0.5 * 2.0 / 3.0)).abs() < 1e-12);
        assert_eq!(average_precision(&[1.0], &[1.0]), Some(0.5));
    }

    #[test]
    fn the_threshold_flags_at_most_its_share() {
        let negative: Vec<f64> = (0..20).map(f64::from).collect();
        assert_eq!(threshold(&negative, 0.05), 18.0);
        assert_eq!(threshold(&negative, 0.01), 19.0);
        assert_eq!(threshold(&negative, 1.0), f64::NEG_INFINITY);
    }

    #[test]
    fn medians() {
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&mut [4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&mut []), None);
    }
}
