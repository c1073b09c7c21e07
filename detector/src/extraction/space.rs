//! Where honest queries of one API lie: prototypes, and how far a query is from them in two metrics.
//!
//! Plain distance finds content that nobody honest sends. Whitened distance (Mahalanobis, against the honest
//! covariance) finds small steps in directions that honest queries never vary in, as gradients take them.
//! Both are ratios to what honest queries of *other* clients show, so units and dimensions cancel.

use super::sketch::{Vector, distance2};
use serde::{Deserialize, Serialize};

/// Prototypes and metric of one API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Space {
    prototypes: Vec<Vector>,
    whitened: Vec<Vector>,
    /// Lower triangle, row by row, of the Cholesky factor of the honest covariance with its ridge.
    factor: Vec<f64>,
    /// Reciprocals of its diagonal.
    inverse: Vec<f64>,
    /// Median distance of an honest query to the prototypes (of others), in both metrics.
    pub(super) base: [f64; 2],
    /// Two queries nearer than this are of one region.
    pub(super) region: f64,
    /// Two queries nearer than this are one, but for noise.
    copy: f64,
    /// Mean of the prototypes, whitened.
    mean: Vector,
    /// Squared length of an honest query's offset from it: the middle one, and that of all but a few.
    pub(super) offsets: [f64; 2],
}

/// Where a query lies.
#[derive(Debug, Clone)]
pub(super) struct Placed {
    /// Log ratios of its distance from honest queries to the bases, plain and whitened.
    pub(super) far: [f64; 2],
    /// From the mean of honest queries to it, whitened.
    pub(super) offset: Vector,
}

/// Share of the mean variance added to each direction.
const RIDGE: f64 = 0.03;
/// Smallest distance told apart, as a share of the base.
const NEAREST: f64 = 1e-3;
/// Share of the typical distance between honest queries below which two are copies.
pub(super) const COPY: f64 = 0.05;
/// Share of honest queries whose offset is taken for usual.
const MOST_OFFSETS: f64 = 0.95;
/// Prototypes that the typical distance between honest queries is taken from.
const PAIRS_FROM: usize = 256;

impl Space {
    /// From honest queries; `None` where they do not differ.
    pub(super) fn of(prototypes: Vec<Vector>) -> Option<Self> {
        let dims = prototypes.first()?.dims();
        let factor = cholesky(covariance(&prototypes, dims)?, dims);
        let inverse = (0..dims).filter_map(|i| factor.get(i * (i + 1) / 2 + i)).map(|d| 1.0 / d).collect();
        let mean = Vector::default();
        let mut space = Self {
            prototypes,
            whitened: Vec::new(),
            factor,
            inverse,
            base: [1.0; 2],
            region: 1.0,
            copy: 0.0,
            mean,
            offsets: [0.0; 2],
        };
        space.whitened = space.prototypes.iter().map(|p| space.whiten(p)).collect();
        space.mean = Vector::of(mean_of(&space.whitened, dims).into_iter().map(|x| x as f32));
        let typical = typical_pair(&space.prototypes)?;
        (space.base, space.region, space.copy) = ([typical; 2], typical, COPY * typical);
        Some(space)
    }

    /// Measures the bases on honest queries of others. Without any, distances are not comparable and `false` is said.
    pub(super) fn measure_on(&mut self, others: &[Vector]) -> bool {
        let far: Vec<[f64; 2]> = others.iter().map(|query| self.far(query, &self.whiten(query))).collect();
        let middle = |metric: fn(&[f64; 2]) -> f64| median(far.iter().map(metric).collect());
        let (Some(plain), Some(whitened)) = (middle(|d| d[0]), middle(|d| d[1])) else { return false };
        // A region is halfway, in ratio, from a nearest neighbour to any two queries.
        self.region = (plain * self.region).sqrt();
        self.base = [plain, whitened];
        let mut offsets: Vec<f64> = others.iter().map(|query| self.offset(&self.whiten(query)).squared()).collect();
        offsets.sort_unstable_by(f64::total_cmp);
        let at = |share: f64| offsets.get((offsets.len() as f64 * share) as usize).copied().unwrap_or(0.0);
        self.offsets = [at(0.5), at(MOST_OFFSETS)];
        plain > 0.0 && whitened > 0.0
    }

    /// How far the query is from honest ones, and in which direction it lies.
    pub(super) fn place(&self, query: &Vector) -> Placed {
        let white = self.whiten(query);
        let [plain, whitened] = self.far(query, &white);
        let [base, whitened_base] = self.base;
        let far = [libm::log(plain / base + NEAREST), libm::log(whitened / whitened_base + NEAREST)];
        Placed { far, offset: self.offset(&white) }
    }

    fn offset(&self, white: &Vector) -> Vector {
        Vector::of(white.iter().zip(self.mean.iter()).map(|(x, mean)| (x - mean) as f32))
    }

    /// Mean of the three nearest, plain; the nearest, whitened. Copies of the query are passed over: what other
    /// clients also sent would else look nearer than what is new and as honest.
    fn far(&self, query: &Vector, white: &Vector) -> [f64; 2] {
        let copy2 = (self.copy * self.copy) as f32;
        let (mut three, mut nearest) = ([f32::INFINITY; 3], f32::INFINITY);
        for (prototype, whitened) in self.prototypes.iter().zip(&self.whitened) {
            let mut found = distance2(query, prototype);
            if found <= copy2 {
                continue;
            }
            for kept in &mut three {
                if found < *kept {
                    (found, *kept) = (*kept, found);
                }
            }
            nearest = nearest.min(distance2(white, whitened));
        }
        if !nearest.is_finite() {
            return [0.0; 2]; // Nothing but copies.
        }
        let finite = three.iter().filter(|d| d.is_finite());
        let (sum, n) = finite.fold((0.0, 0.0), |(sum, n), d| (sum + f64::from(*d).sqrt(), n + 1.0));
        [sum / f64::max(n, 1.0), f64::from(nearest).sqrt()]
    }

    /// Solves `factor * out = query`: unit variance in every direction.
    fn whiten(&self, query: &Vector) -> Vector {
        let mut out: Vec<f64> = Vec::with_capacity(query.dims());
        let mut rest = self.factor.as_slice();
        for (x, inverse) in query.iter().zip(&self.inverse) {
            let Some((row, after)) = rest.split_at_checked(out.len() + 1) else { break };
            let known: f64 = row.iter().zip(&out).map(|(f, y)| f * y).sum();
            out.push((x - known) * inverse);
            rest = after;
        }
        Vector::of(out.iter().map(|y| *y as f32))
    }
}

fn mean_of(rows: &[Vector], dims: usize) -> Vec<f64> {
    let n = rows.len() as f64;
    let mut mean = vec![0.0; dims];
    for row in rows {
        mean.iter_mut().zip(row.iter()).for_each(|(m, x)| *m += x / n);
    }
    mean
}

/// Covariance with the ridge, full and square; `None` where nothing varies.
fn covariance(rows: &[Vector], dims: usize) -> Option<Vec<f64>> {
    let n = rows.len() as f64;
    let mean = mean_of(rows, dims);
    let mut out = vec![0.0; dims * dims];
    for row in rows {
        let centred: Vec<f64> = row.iter().zip(&mean).map(|(x, m)| x - m).collect();
        for (line, a) in out.chunks_exact_mut(dims).zip(&centred) {
            line.iter_mut().zip(&centred).for_each(|(cell, b)| *cell += a * b / n);
        }
    }
    let trace: f64 = out.iter().step_by(dims + 1).sum();
    let ridge = RIDGE * trace / dims as f64;
    out.iter_mut().step_by(dims + 1).for_each(|cell| *cell += ridge);
    (ridge > 0.0 && ridge.is_finite()).then_some(out)
}

/// Lower triangle of the Cholesky factor (Golub and Van Loan, "Matrix Computations", 4th ed., algorithm 4.2.1).
fn cholesky(matrix: Vec<f64>, dims: usize) -> Vec<f64> {
    let mut lower: Vec<Vec<f64>> = Vec::with_capacity(dims);
    for (i, line) in matrix.chunks_exact(dims).enumerate() {
        let mut row: Vec<f64> = Vec::with_capacity(i + 1);
        for (cell, above) in line.iter().zip(&lower) {
            let known: f64 = row.iter().zip(above).map(|(a, b)| a * b).sum();
            let diagonal = above.last().copied().unwrap_or(1.0);
            row.push((cell - known) / diagonal);
        }
        let square: f64 = row.iter().map(|a| a * a).sum();
        // The ridge keeps this positive; rounding may not take it below a trifle of the cell.
        let cell = line.get(i).copied().unwrap_or(1.0);
        row.push((cell - square).max(cell * 1e-12).sqrt());
        lower.push(row);
    }
    lower.concat()
}

/// Median distance between two prototypes that differ.
pub(super) fn typical_pair(rows: &[Vector]) -> Option<f64> {
    let few = rows.get(..PAIRS_FROM.min(rows.len()))?;
    let pairs = few.iter().enumerate().flat_map(|(i, a)| few.iter().skip(i + 1).map(move |b| distance2(a, b)));
    median(pairs.filter(|d| *d > 0.0).map(|d| f64::from(d).sqrt()).collect())
}

/// The middle value; `None` of none.
pub(super) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
