//! Mixes of calls: how often each tool occurs among the last ones, whatever their order. A run of well-known steps
//! repeated a thousand times, or steps of two trades in one session, show here and nowhere else.
//! Distances are Hellinger's; prototypes are a greedy cover (Gonzalez, "Clustering to minimize the maximum
//! intercluster distance", Theor. Comput. Sci. 38, 1985).

use super::chain::UNKNOWN;
use serde::{Deserialize, Serialize};

/// Prototype mixes, by tool.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Profile {
    prototypes: u16,
    /// Of tool number `n + 1`: prototypes with it and the square root of its share there, from `starts[n]` on.
    starts: Vec<u32>,
    postings: Vec<(u16, f32)>,
}

/// Square roots of shares, by tool number, ascending.
pub(super) type Mix = Vec<(u16, f32)>;

const PROTOTYPES_MAX: usize = 400;
/// Compared at a time; divides [`PROTOTYPES_MAX`].
const LANES: usize = 8;
/// Mixes that prototypes are drawn from.
const MIXES_MAX: usize = 4_000;

impl Profile {
    /// A cover of the given mixes; of too many, every so-many-th is taken.
    pub(super) fn of(mut mixes: Vec<Mix>, tools: usize) -> Self {
        mixes.sort_unstable_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
        mixes.dedup();
        let step = mixes.len().div_ceil(MIXES_MAX).max(1);
        let mixes: Vec<Mix> = mixes.into_iter().step_by(step).collect();
        let chosen = cover(&mixes, tools);
        let mut by_tool: Vec<Vec<(u16, f32)>> = vec![Vec::new(); tools];
        for (number, mix) in (0u16..).zip(&chosen) {
            for (tool, root) in mix.iter() {
                if let Some(postings) = usize::from(*tool).checked_sub(1).and_then(|at| by_tool.get_mut(at)) {
                    postings.push((number, *root));
                }
            }
        }
        let mut profile = Self { prototypes: u16::try_from(chosen.len()).unwrap_or(u16::MAX), ..Self::default() };
        for postings in by_tool {
            profile.starts.push(profile.postings.len() as u32);
            profile.postings.extend(postings);
        }
        profile.starts.push(profile.postings.len() as u32);
        profile
    }

    /// Distance, 0..√2, of a mix of tools to the nearest prototype. No prototype: 0.
    pub(super) fn distance(&self, tools: impl Iterator<Item = u16>) -> f64 {
        if self.prototypes == 0 {
            return 0.0;
        }
        let mut dots = [0f32; PROTOTYPES_MAX];
        for (tool, root) in mix_of(tools) {
            let Some(at) = usize::from(tool).checked_sub(1).filter(|_| tool != UNKNOWN) else { continue };
            let bound = |at: usize| self.starts.get(at).copied().unwrap_or(0) as usize;
            for (prototype, other) in self.postings.get(bound(at)..bound(at + 1)).unwrap_or_default() {
                if let Some(dot) = dots.get_mut(usize::from(*prototype)) {
                    *dot += root * other;
                }
            }
        }
        let mut highest = [0f32; LANES];
        for dots in dots.as_chunks::<LANES>().0 {
            highest
                .iter_mut()
                .zip(dots)
                .for_each(|(highest, dot)| *highest = if dot > highest { *dot } else { *highest });
        }
        from_dot(highest.into_iter().fold(0.0, f32::max))
    }
}

/// The mix of some calls.
pub(super) fn mix_of(tools: impl Iterator<Item = u16>) -> Mix {
    let mut sorted: Vec<u16> = tools.collect();
    let all = sorted.len() as f32;
    sorted.sort_unstable();
    sorted.chunk_by(|a, b| a == b).filter_map(|run| Some((*run.first()?, (run.len() as f32 / all).sqrt()))).collect()
}

/// Each next one is the mix farthest from those chosen.
fn cover(mixes: &[Mix], tools: usize) -> Vec<&Mix> {
    let mut chosen = Vec::new();
    let mut nearest = vec![f32::INFINITY; mixes.len()];
    let mut dense = vec![0f32; tools + 1];
    let mut next = mixes.first();
    while let Some(mix) = next.filter(|_| chosen.len() < PROTOTYPES_MAX) {
        chosen.push(mix);
        dense.iter_mut().for_each(|cell| *cell = 0.0);
        for (tool, root) in mix {
            if let Some(cell) = dense.get_mut(usize::from(*tool)) {
                *cell = *root;
            }
        }
        let (mut farthest, mut most) = (None, 1e-6);
        for (mix, near) in mixes.iter().zip(&mut nearest) {
            let dot: f32 = mix.iter().map(|(t, root)| root * dense.get(usize::from(*t)).copied().unwrap_or(0.0)).sum();
            *near = near.min(1.0 - dot);
            if *near > most {
                (farthest, most) = (Some(mix), *near);
            }
        }
        next = farthest;
    }
    chosen
}

fn from_dot(dot: f32) -> f64 {
    f64::from((2.0 - 2.0 * dot).max(0.0)).sqrt()
}
