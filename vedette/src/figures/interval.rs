//! How sure a share of sessions is. Sessions of one user task are not independent, so whole tasks are drawn anew (cluster
//! bootstrap; Davison and Hinkley, "Bootstrap Methods and their Application", 1997, section 3.8).

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;

const DRAWS: usize = 1_000;
const SEED: u64 = 7;

/// 95 % interval of the share of hits, each with its task. None for fewer than two tasks.
pub fn by_task(hits: &[(&str, bool)]) -> Option<(f64, f64)> {
    let mut tasks: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for (task, hit) in hits {
        let (found, all) = tasks.entry(task).or_default();
        *found += usize::from(*hit);
        *all += 1;
    }
    let tasks: Vec<(usize, usize)> = tasks.into_values().collect();
    if tasks.len() < 2 {
        return None;
    }
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let mut shares: Vec<f64> = (0..DRAWS)
        .map(|_| {
            let drawn = (0..tasks.len()).filter_map(|_| tasks.get(rng.random_range(0..tasks.len())));
            let (found, all) = drawn.fold((0, 0), |(found, all), task| (found + task.0, all + task.1));
            found as f64 / all.max(1) as f64
        })
        .collect();
    shares.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| shares.get(((DRAWS - 1) as f64 * share) as usize).copied();
    Some((at(0.025)?, at(0.975)?))
}
