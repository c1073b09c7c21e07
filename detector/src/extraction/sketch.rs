//! Sketches as vectors of one length, for distances that the compiler can do eight at a time.

use schema::QuerySketch;
use serde::{Deserialize, Serialize};

/// A sketch's components, padded with zeros to a multiple of eight.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Vector {
    dims: u32,
    lanes: Vec<[f32; LANES]>,
}

const LANES: usize = 8;

impl Vector {
    /// From components; what is not finite becomes 0.
    pub(super) fn of(values: impl Iterator<Item = f32>) -> Self {
        let mut lanes: Vec<[f32; LANES]> = Vec::with_capacity(schema::limits::SKETCH_DIMS / LANES);
        let mut dims = 0u32;
        for value in values {
            let at = dims as usize % LANES;
            if at == 0 {
                lanes.push([0.0; LANES]);
            }
            if let Some(cell) = lanes.last_mut().and_then(|lane| lane.get_mut(at)) {
                *cell = if value.is_finite() { value } else { 0.0 };
            }
            dims += 1;
        }
        Self { dims, lanes }
    }

    /// Components.
    pub(super) fn dims(&self) -> usize {
        self.dims as usize
    }

    /// Its squared length.
    pub(super) fn squared(&self) -> f64 {
        self.iter().map(|x| x * x).sum()
    }

    /// The components.
    pub(super) fn iter(&self) -> impl Iterator<Item = f64> + '_ {
        self.lanes.iter().flatten().take(self.dims()).map(|x| f64::from(*x))
    }
}

impl From<&QuerySketch> for Vector {
    fn from(sketch: &QuerySketch) -> Self {
        Self::of(sketch.v.iter().map(|x| f32::from(*x) * sketch.scale))
    }
}

/// Squared distance. Lanes are summed in a fixed order: the same bits everywhere.
pub(super) fn distance2(a: &Vector, b: &Vector) -> f32 {
    let mut sums = [0f32; LANES];
    for (x, y) in a.lanes.iter().zip(&b.lanes) {
        for ((sum, x), y) in sums.iter_mut().zip(x).zip(y) {
            let step = x - y;
            *sum += step * step;
        }
    }
    sums.iter().sum()
}
