//! Grows a forest on numeric rows and scores others: what `docs/measurements/forest.py` compares with scikit-learn.
//!
//! `forest_rows FIT.csv SCORE.csv TREES SEED` writes one score a line, and to standard error the time it took.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::disallowed_methods, reason = "a measuring program")]

use detector::ForestParams;
use ndarray::Array2;
use std::fmt::Write as _;
use std::time::Instant;

fn rows(path: &str) -> Array2<f64> {
    let text = std::fs::read_to_string(path).unwrap();
    let rows: Vec<Vec<f64>> = text.lines().map(|l| l.split(',').map(|x| x.parse().unwrap()).collect()).collect();
    let width = rows[0].len();
    Array2::from_shape_vec((rows.len(), width), rows.concat()).unwrap()
}

/// Shortest of several runs, in seconds.
fn best(mut run: impl FnMut()) -> f64 {
    (0..7)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed().as_secs_f64()
        })
        .fold(f64::INFINITY, f64::min)
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let (fit, score) = (rows(&args[1]), rows(&args[2]));
    let params = ForestParams { trees: args[3].parse().unwrap(), seed: args[4].parse().unwrap(), ..Default::default() };
    let forest = params.grow(fit.view()).unwrap();
    let scores = forest.score_batch(score.view());
    let batch = best(|| drop(std::hint::black_box(forest.score_batch(score.view()))));
    let few: Vec<Vec<f64>> = score.rows().into_iter().take(1_000).map(|row| row.to_vec()).collect();
    let single = best(|| few.iter().for_each(|row| _ = std::hint::black_box(forest.score(row))));
    eprintln!("{} {}", score.nrows() as f64 / batch, single / few.len() as f64 * 1e6);
    let mut out = String::new();
    scores.iter().for_each(|score| writeln!(out, "{score}").unwrap());
    print!("{out}");
}
