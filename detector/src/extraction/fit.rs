//! Honest clients → what honest clients show.
//!
//! Clients are in two sides (their pools, else by turns). Each side is judged by the other side's prototypes, and
//! copies are passed over: calibrated on rows that were stored, every honest newcomer looks strange.

use super::judge::{Judge, Level, STATISTICS, Spread};
use super::links::{LinksState, Member};
use super::sketch::{Vector, distance2};
use super::space::{COPY, Space, median, typical_pair};
use super::walk::{Step, Varied, Walk};
use super::{Api, Client, Honest, Known};
use crate::conformal::Calibration;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use schema::{Millis, QueryRecord};
use std::collections::{BTreeMap, BTreeSet};

/// Prototypes of one API.
const PROTOTYPES_MAX: usize = 1_024;
/// Queries that the prototypes are drawn from.
const DRAWN_MAX: usize = 4 * PROTOTYPES_MAX;
/// APIs of one model; those with most clients stay.
const APIS_MAX: usize = 16;
/// Fewest clients, and distinct queries, of one side to learn an API from.
const CLIENTS_MIN: usize = 5;
const QUERIES_MIN: usize = 20;
/// Queries of others that the bases are measured on.
const MEASURED_ON: usize = 512;
/// Weight of a client whose mean says something about clients.
const MEAN_FROM: f64 = 15.0;

/// Learns what honest clients of each API send; `None` where no API has enough of them.
pub(super) fn fit(clients: &[Client], seed: u64) -> Option<Honest> {
    let mut by_api: BTreeMap<Api, Vec<(bool, Vec<&QueryRecord>)>> = BTreeMap::new();
    let sides = sides(clients);
    for (client, side) in clients.iter().zip(sides) {
        let mut own: BTreeMap<Api, Vec<&QueryRecord>> = BTreeMap::new();
        client.queries.iter().for_each(|query| own.entry(Api::of(query)).or_default().push(query));
        own.into_iter().for_each(|(api, queries)| by_api.entry(api).or_default().push((side, queries)));
    }
    let mut known: Vec<(usize, Api, Known)> =
        by_api.into_iter().filter_map(|(api, clients)| Some((clients.len(), api, learn(&clients, seed)?))).collect();
    known.sort_by_key(|(clients, api, _)| (std::cmp::Reverse(*clients), *api));
    known.truncate(APIS_MAX);
    let apis: BTreeMap<Api, Known> = known.into_iter().map(|(_, api, known)| (api, known)).collect();
    (!apis.is_empty()).then_some(Honest { apis })
}

/// Which side each client is on: the first of the named pools against the others, and by turns without.
fn sides(clients: &[Client]) -> Vec<bool> {
    let pools: BTreeSet<&str> = clients.iter().filter_map(|client| client.pool.as_deref()).collect();
    let first = pools.first().copied().filter(|_| pools.len() > 1);
    let turns = clients.iter().enumerate().map(|(at, client)| match (first, client.pool.as_deref()) {
        (Some(first), Some(pool)) => pool == first,
        _ => at % 2 == 0,
    });
    turns.collect()
}

fn learn(clients: &[(bool, Vec<&QueryRecord>)], seed: u64) -> Option<Known> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let side = |side: bool| clients.iter().filter(move |(s, _)| *s == side).map(|(_, queries)| queries.as_slice());
    if side(true).count() < CLIENTS_MIN || side(false).count() < CLIENTS_MIN {
        return None;
    }
    let stored = [pick(side(true), &mut rng), pick(side(false), &mut rng)];
    let [first, second] = &stored;
    let (mut lives, mut long) = ([Vec::new(), Vec::new()], Vec::new());
    let mut bases = Vec::new();
    for ((own, others), lives) in [(first, side(false)), (second, side(true))].into_iter().zip(&mut lives) {
        let others: Vec<&[&QueryRecord]> = others.collect();
        let mut space = Space::of(own.iter().map(|(_, vector)| vector.clone()).collect())?;
        let mut sample: Vec<(u64, Vector)> = pick(others.iter().copied(), &mut rng);
        sample.truncate(MEASURED_ON);
        let sample: Vec<Vector> = sample.into_iter().map(|(_, vector)| vector).collect();
        if sample.len() < QUERIES_MIN || !space.measure_on(&sample) {
            return None;
        }
        lives.extend(others.iter().map(|queries| life(queries, &space)));
        // Clients one after the other are as honest, and as long as any to come.
        long.extend(others.concat().chunks(LONG).map(|queries| life(queries, &space)));
        bases.push((space.base, space.region, space.offsets));
    }
    // As many as either side had: the same density, so the same distances.
    let most = first.len().max(second.len());
    let mut all: Vec<(u64, Vector)> = stored.concat();
    all.sort_by_key(|(fp, _)| *fp);
    all.dedup_by_key(|(fp, _)| *fp);
    all.shuffle(&mut rng);
    all.truncate(most);
    let mut space = Space::of(all.into_iter().map(|(_, vector)| vector).collect())?;
    let n = bases.len() as f64;
    space.base = [0, 1].map(|at| bases.iter().filter_map(|(base, ..)| base.get(at)).sum::<f64>() / n);
    space.region = bases.iter().map(|(_, region, _)| region).sum::<f64>() / n;
    space.offsets = [0, 1].map(|at| bases.iter().filter_map(|(.., offsets)| offsets.get(at)).sum::<f64>() / n);
    Some(Known { space, judge: judge(lives, long)? })
}

/// Distinct queries of some clients, at most [`PROTOTYPES_MAX`], drawn by chance from the seed; one of several copies.
fn pick<'q>(clients: impl Iterator<Item = &'q [&'q QueryRecord]>, rng: &mut ChaCha8Rng) -> Vec<(u64, Vector)> {
    let distinct: BTreeMap<u64, &QueryRecord> = clients.flatten().map(|query| (query.query.fp, *query)).collect();
    let mut order: Vec<&QueryRecord> = distinct.into_values().collect();
    order.shuffle(rng);
    order.truncate(DRAWN_MAX);
    let drawn: Vec<(u64, Vector)> = order.iter().map(|q| (q.query.fp, Vector::from(&q.query))).collect();
    let few: Vec<Vector> = drawn.iter().take(MEASURED_ON).map(|(_, vector)| vector.clone()).collect();
    let copy = typical_pair(&few).map_or(0.0, |typical| COPY * typical);
    let mut kept: Vec<(u64, Vector)> = Vec::new();
    for (fp, vector) in drawn {
        if kept.len() < PROTOTYPES_MAX && kept.iter().all(|(_, k)| f64::from(distance2(k, &vector)) > copy * copy) {
            kept.push((fp, vector));
        }
    }
    kept
}

/// What one client's distinct queries add, neither weighed nor standardised, and where they lie.
fn life(queries: &[&QueryRecord], space: &Space) -> Vec<Lived> {
    let mut walk = Walk::default();
    let lived = |query: &&QueryRecord| {
        let (step, placed) = walk.step(&query.query, space)?;
        Some(Lived { at: query.at, step, offset: placed.offset })
    };
    queries.iter().filter_map(lived).collect()
}

#[derive(Debug, Clone)]
struct Lived {
    at: Millis,
    step: Step,
    offset: Vector,
}

fn judge(sides: [Vec<Vec<Lived>>; 2], mut long: Vec<Vec<Lived>>) -> Option<Judge> {
    let mut judge = Judge::default();
    let [mut first, mut second] = sides;
    let mut repeated: Vec<f64> =
        first.iter().chain(&second).flat_map(|l| l.iter().skip(1)).map(|l| l.step.repeated).collect();
    repeated.sort_unstable_by(f64::total_cmp);
    judge.repeated = repeated.get((repeated.len() as f64 * REPEATED_BY_CHANCE) as usize).copied().unwrap_or(0.0);
    for life in first.iter_mut().chain(&mut second).chain(&mut long) {
        let mut varied = Varied::default();
        life.iter_mut().for_each(|lived| lived.step = judge.weigh(lived.step, &mut varied));
    }
    let sides = [first.len(), second.len()];
    let lives = [first, second].concat();
    let (lives, long) = (lives.as_slice(), long.as_slice());
    for (at, spread) in judge.distances.iter_mut().enumerate() {
        *spread = spread_of(lives, |step| step.far.get(at).copied().unwrap_or(0.0))?;
    }
    for at in 0..judge.distances.len() {
        let means = |lives, judge: &Judge| -> Vec<(f64, f64, f64)> { weighted_means(lives, judge, at) };
        let centre = centre(&means(lives, &judge)).max(centre(&means(long, &judge)));
        judge.distances.get_mut(at)?.centre = centre;
        let between = between(&means(lives, &judge));
        judge.distances.get_mut(at)?.between = between;
    }
    let walked: Vec<Vec<[f64; STATISTICS]>> = lives.iter().map(|life| replay(life, &judge)).collect();
    for (at, level) in judge.statistics.iter_mut().enumerate() {
        let mut highest: Vec<f64> =
            walked.iter().map(|life| top(life.iter().filter_map(|s| s.get(at).copied()))).collect();
        *level = if at + 1 == STATISTICS { Level::of_closing(&mut highest) } else { Level::of_distances(&mut highest) };
    }
    let (one, other) = lives.split_at(sides[0]);
    let mut highest = [highest_links(one, &judge), highest_links(other, &judge)].concat();
    judge.links = Level::of_distances(&mut highest);
    let mut scores: Vec<f64> = walked.iter().map(|life| top(life.iter().map(|s| judge.score(*s).0))).collect();
    let unlike = (scores.len() as f64 * UNLIKE).ceil() as usize;
    scores.extend(std::iter::repeat_n(0.0, unlike));
    judge.calibration = Calibration::new(scores, Vec::new());
    Some(judge)
}

fn spread_of(lives: &[Vec<Lived>], of: impl Fn(&Step) -> f64) -> Option<Spread> {
    let values: Vec<f64> = lives.iter().flatten().map(|lived| of(&lived.step)).collect();
    let middle = median(values.clone())?;
    // 1.4826 makes the median absolute deviation a normal's standard deviation.
    let deviation = 1.4826 * median(values.iter().map(|value| (value - middle).abs()).collect())?;
    Some(Spread { middle, deviation: deviation.max(0.02), centre: 0.0, between: 0.0 })
}

/// Of each client with enough to say: its weighted mean, that mean's own variance, its weight.
fn weighted_means(lives: &[Vec<Lived>], judge: &Judge, at: usize) -> Vec<(f64, f64, f64)> {
    let mut means = Vec::new();
    for life in lives {
        let (mut sum, mut weight, mut weight2) = (0.0, 0.0, 0.0);
        for step in life.iter().map(|lived| judge.standardise(lived.step)) {
            sum += step.weight * step.far.get(at).copied().unwrap_or(0.0);
            weight += step.weight;
            weight2 += step.weight * step.weight;
        }
        if weight >= MEAN_FROM {
            means.push((sum / weight, weight2 / (weight * weight), weight));
        }
    }
    means
}

fn centre(means: &[(f64, f64, f64)]) -> f64 {
    let (sum, weight) = means.iter().fold((0.0, 0.0), |(s, w), (mean, _, weight)| (s + mean * weight, w + weight));
    if weight > 0.0 { sum / weight } else { 0.0 }
}

/// Variance of clients' means beyond what their own queries explain.
fn between(means: &[(f64, f64, f64)]) -> f64 {
    let n = f64::max(means.len() as f64, 1.0);
    let variance = means.iter().map(|(mean, own, _)| mean * mean - own).sum::<f64>() / n;
    variance.max(BETWEEN_MIN)
}

/// Clients never agree to the last digit.
const BETWEEN_MIN: f64 = 0.01;
/// Queries of a long life.
const LONG: usize = 400;
/// Share of honest clients, besides those fitted, taken to reach level 0 for reasons of their own.
const UNLIKE: f64 = 0.02;

/// Share of honest queries that repeat no more of an earlier one than is usual.
const REPEATED_BY_CHANCE: f64 = 0.9;

/// The most that each client and those linked to it come to, all of them replayed in time order.
fn highest_links(lives: &[Vec<Lived>], judge: &Judge) -> Vec<f64> {
    let mut order: Vec<(Millis, usize, &Lived)> =
        lives.iter().enumerate().flat_map(|(at, life)| life.iter().map(move |lived| (lived.at, at, lived))).collect();
    order.sort_by_key(|(at, client, _)| (*at, *client));
    let (mut walks, mut links) = (vec![Walk::default(); lives.len()], LinksState::default());
    let mut highest = vec![0.0; lives.len()];
    for (at, client, lived) in order {
        let (Some(walk), Some(highest)) = (walks.get_mut(client), highest.get_mut(client)) else { continue };
        walk.keep(judge.standardise(lived.step), &lived.offset);
        let member = Member::of(walk, client as u64, at, judge);
        if let Some(together) = member.and_then(|member| links.take(member, judge)) {
            *highest = f64::max(*highest, together.value);
        }
    }
    highest
}

fn replay(life: &[Lived], judge: &Judge) -> Vec<[f64; STATISTICS]> {
    let mut walk = Walk::default();
    let mut out = Vec::with_capacity(life.len());
    for lived in life {
        walk.keep(judge.standardise(lived.step), &lived.offset);
        out.push(judge.statistics(&walk));
    }
    out
}

fn top(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(f64::MIN, f64::max)
}
