//! Vector queries → sketches. Signs, Walsh-Hadamard transform, sample: an isometry for short vectors, close to one for long.
//! Source: Ailon and Chazelle, "The fast Johnson-Lindenstrauss transform", SIAM J. Comput. 39(1), 2009.

use crate::QuerySketch;
use crate::fingerprint::SessionKey;
use crate::limits::{DEPTH_MAX, QUERY_NUMBERS_MAX, QUERY_NUMBERS_MIN, SKETCH_CELLS, SKETCH_CELLS_LONG, SKETCH_DIMS};
use serde_json::Value;

/// The sketch of the first list of numbers among the arguments, if there is one of [`QUERY_NUMBERS_MIN`] or more.
pub(super) fn of(args: &Value, key: impl FnOnce() -> SessionKey) -> Option<QuerySketch> {
    let numbers = vector(args, 0)?;
    let key = key();
    let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
    let fp = key.fingerprint(0, &bytes).0;
    let count = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
    let cells = cells(&numbers, &key);
    let projected = project(numbers, &key);
    let most = projected.iter().fold(0f64, |most, x| most.max(x.abs()));
    let scale = if most > 0.0 && most.is_finite() { most / f64::from(i16::MAX) } else { 1.0 };
    let v = projected.iter().map(|x| (x / scale).round().clamp(-32_767.0, 32_767.0) as i16).collect();
    Some(QuerySketch { fp, numbers: count, scale: scale as f32, v, cells })
}

/// Whether arguments hold a vector query.
pub fn holds_query(args: &Value) -> bool {
    vector(args, 0).is_some()
}

/// A keyed byte for each run of neighbouring numbers.
fn cells(numbers: &[f64], key: &SessionKey) -> Vec<u8> {
    let most = if numbers.len().next_power_of_two() <= SKETCH_DIMS { SKETCH_CELLS } else { SKETCH_CELLS_LONG };
    let cells = most.min(numbers.len());
    let start = |cell: usize| (cell * numbers.len()).div_ceil(cells.max(1));
    let mut bytes = Vec::with_capacity(1 + 8 * numbers.len().div_ceil(cells.max(1)));
    let cell = |cell: usize| {
        bytes.clear();
        bytes.push(cell as u8);
        let run = numbers.get(start(cell)..start(cell + 1)).unwrap_or_default();
        bytes.extend(run.iter().flat_map(|x| (x + 0.0).to_bits().to_le_bytes())); // -0 is 0
        key.fingerprint(3, &bytes).0 as u8
    };
    (0..cells).map(cell).collect()
}

/// The first list of numbers, nested lists read row by row.
fn vector(value: &Value, depth: usize) -> Option<Vec<f64>> {
    match value {
        _ if depth > DEPTH_MAX => None,
        Value::Object(map) => map.values().find_map(|value| vector(value, depth + 1)),
        Value::Array(_) => {
            let mut out = Vec::new();
            (flatten(value, depth, &mut out) && out.len() >= QUERY_NUMBERS_MIN).then_some(out)
        }
        _ => None,
    }
}

fn flatten(value: &Value, depth: usize, out: &mut Vec<f64>) -> bool {
    match value {
        _ if depth > DEPTH_MAX || out.len() >= QUERY_NUMBERS_MAX => false,
        Value::Array(items) => items.iter().all(|item| flatten(item, depth + 1, out)),
        Value::Number(number) => {
            let n = number.as_f64().filter(|n| n.abs() < 1e30);
            out.extend(n);
            n.is_some()
        }
        _ => false,
    }
}

fn project(mut x: Vec<f64>, key: &SessionKey) -> Vec<f64> {
    let size = x.len().next_power_of_two();
    for (word, chunk) in (0u64..).zip(x.chunks_mut(64)) {
        let signs = key.fingerprint(1, &word.to_le_bytes()).0;
        for (bit, value) in chunk.iter_mut().enumerate() {
            if signs >> bit & 1 == 1 {
                *value = -*value;
            }
        }
    }
    x.resize(size, 0.0);
    hadamard(&mut x);
    let keep = SKETCH_DIMS.min(size);
    if keep == size {
        return x.iter().map(|v| v / (size as f64).sqrt()).collect();
    }
    // Rows sampled without replacement: a keyed Fisher-Yates over the first `keep` places.
    let mut order: Vec<usize> = (0..size).collect();
    for at in 0..keep {
        let draw = key.fingerprint(2, &(at as u64).to_le_bytes()).0;
        order.swap(at, at + (draw % (size - at) as u64) as usize);
    }
    let norm = (keep as f64).sqrt();
    order.iter().take(keep).filter_map(|row| x.get(*row)).map(|v| v / norm).collect()
}

/// In-place fast Walsh-Hadamard transform of a power-of-two length, not normalised.
fn hadamard(x: &mut [f64]) {
    let mut half = 1;
    while half < x.len() {
        for block in x.chunks_mut(2 * half) {
            let (low, high) = block.split_at_mut(half);
            for (a, b) in low.iter_mut().zip(high) {
                (*a, *b) = (*a + *b, *a - *b);
            }
        }
        half *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sketch(x: &[f64]) -> QuerySketch {
        of(&json!({ "x": x }), || crate::TenantKey::new([3; 32]).queries("t", "api")).unwrap()
    }

    fn distance(a: &QuerySketch, b: &QuerySketch) -> f64 {
        let value = |s: &QuerySketch, i: usize| f64::from(s.v[i]) * f64::from(s.scale);
        (0..a.v.len()).map(|i| (value(a, i) - value(b, i)).powi(2)).sum::<f64>().sqrt()
    }

    fn check(numbers: usize, tolerance: f64) {
        let a: Vec<f64> = (0..numbers).map(|i| ((i * 7919) % 17) as f64).collect();
        let b: Vec<f64> = (0..numbers).map(|i| ((i * 104_729) % 13) as f64).collect();
        let truth = a.iter().zip(&b).map(|(x, y)| (x - y).powi(2)).sum::<f64>().sqrt();
        let found = distance(&sketch(&a), &sketch(&b));
        assert!((found / truth - 1.0).abs() < tolerance, "{numbers} numbers: {found} for {truth}");
    }

    #[test]
    fn distances_survive_exactly_for_short_vectors_and_nearly_for_long() {
        check(8, 0.001);
        check(64, 0.001);
        check(784, 0.25);
        check(4096, 0.25);
    }

    #[test]
    fn cells_are_equal_where_the_numbers_are() {
        for (numbers, cells) in [(8, 8), (30, 30), (64, 40), (65, 24), (784, 24)] {
            let one: Vec<f64> = (0..numbers).map(|i| f64::from(i) / 3.0).collect();
            let mut other = one.clone();
            other[numbers as usize / 2] += 1e-9;
            let (one, other) = (sketch(&one).cells, sketch(&other).cells);
            assert_eq!((one.len(), other.len()), (cells, cells));
            assert_eq!(one.iter().zip(&other).filter(|(a, b)| a != b).count(), 1, "{numbers} numbers");
        }
        assert_eq!(sketch(&[0.0; 8]).cells, sketch(&[-0.0; 8]).cells);
        let same = sketch(&[5.0; 40]).cells;
        assert!(same.iter().any(|cell| *cell != same[0]), "the place is part of a cell");
    }

    #[test]
    fn equal_queries_are_equal_and_short_lists_are_no_query() {
        assert_eq!(sketch(&[1.0; 64]), sketch(&[1.0; 64]));
        assert!(of(&json!({"x":[1,2,3]}), || crate::TenantKey::new([3; 32]).queries("t", "api")).is_none());
        assert!(sketch(&[0.0; 8]).v.iter().all(|v| *v == 0));
    }
}
