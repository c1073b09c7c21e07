//! A model copied through its API: published algorithms against a model that learned the API's own answers, their
//! queries put to the detector as one new client's each.

use crate::pipeline::{Parts, Pipeline};
use datasets::attack_lab::extraction::{Attack, queries};
use datasets::attack_lab::victim::Victim;
use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use schema::{CallId, Millis, Principal, RawCall, Session};
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;

/// What came of one algorithm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Copied {
    /// The algorithm.
    pub attack: &'static str,
    /// Clients that tried, and were flagged.
    pub clients: usize,
    /// Those flagged.
    pub caught: usize,
    /// Queries each sent at most.
    pub budget: usize,
    /// Queries until flagged, the median of those that were.
    pub median_queries: Option<usize>,
}

const CLIENTS: u64 = 8;
const BUDGET: usize = 600;
/// Rows an attacker owns.
const SEEDS: usize = 60;
/// Milliseconds between queries.
const PACE: u64 = 50;

/// Every algorithm, [`CLIENTS`] times. Empty where no call carries a row of numbers and an answer.
pub fn copy_all(parts: &Arc<Parts>, sessions: &[Vec<RawCall>], seed: u64) -> Vec<Copied> {
    let asked: Vec<(&RawCall, &str, Vec<f64>, String)> = sessions
        .iter()
        .flatten()
        .filter_map(|call| {
            let (name, row) = row(&call.args)?;
            Some((call, name, row, answer(call.result.as_ref()?)))
        })
        .collect();
    let Some((template, name, ..)) = asked.first() else { return Vec::new() };
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut order: Vec<usize> = (0..asked.len()).collect();
    order.shuffle(&mut rng);
    let shuffled = || order.iter().filter_map(|at| asked.get(*at));
    let learned = shuffled().skip(SEEDS).map(|(_, _, row, answer)| (row.as_slice(), answer.as_str()));
    let Some(victim) = Victim::learn(learned, seed) else { return Vec::new() };
    let owned: Vec<Vec<f64>> = shuffled().take(SEEDS).map(|(_, _, row, _)| row.clone()).collect();
    Attack::ALL
        .into_iter()
        .map(|attack| {
            let mut until: Vec<usize> = (0..CLIENTS)
                .filter_map(|client| {
                    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ (client + 1));
                    let rows = queries(attack, &owned, &victim.bounds, BUDGET, &mut rng, |row| victim.answer(row));
                    flagged_after(parts, &calls(template, name, &rows, client))
                })
                .collect();
            until.sort_unstable();
            let (clients, caught, median_queries) =
                (CLIENTS as usize, until.len(), until.get(until.len() / 2).copied());
            Copied { attack: word(attack), clients, caught, budget: BUDGET, median_queries }
        })
        .collect()
}

fn word(attack: Attack) -> &'static str {
    match attack {
        Attack::RandomUniform => "random uniform",
        Attack::LineSearch => "line search",
        Attack::Jacobian => "Jacobian",
    }
}

/// How many queries until one is flagged.
fn flagged_after(parts: &Arc<Parts>, calls: &[RawCall]) -> Option<usize> {
    let mut pipeline = Pipeline::new(Arc::clone(parts));
    let flagged = |call| pipeline.judge(call).is_some_and(|judged| judged.verdict.flagged(parts.alpha));
    calls.iter().position(flagged).map(|at| at + 1)
}

/// Rows as the calls of one new client.
fn calls(template: &RawCall, name: &str, rows: &[Vec<f64>], client: u64) -> Vec<RawCall> {
    let who = format!("redteam-{client}");
    let one = |(at, row): (u64, &Vec<f64>)| {
        Some(RawCall {
            id: CallId::new(&format!("{who}/{at}")).ok()?,
            session: Session::new(&who).ok()?,
            principal: Some(Principal::new(&who).ok()?),
            seq: Some(at),
            at: Millis(template.at.0 + PACE * at),
            args: serde_json::json!({ name: row }),
            ..template.clone()
        })
    };
    (0u64..).zip(rows).filter_map(one).collect()
}

/// The first argument that is a row of numbers.
fn row(args: &Value) -> Option<(&str, Vec<f64>)> {
    args.as_object()?.iter().find_map(|(name, value)| {
        let row: Vec<f64> = value.as_array()?.iter().map(Value::as_f64).collect::<Option<_>>()?;
        (row.len() > 1).then_some((name.as_str(), row))
    })
}

/// What was answered: the label, where the answer has one.
fn answer(result: &Value) -> String {
    let parsed = result.as_str().and_then(|text| serde_json::from_str(text).ok());
    let result: &Value = parsed.as_ref().unwrap_or(result);
    result.get("label").unwrap_or(result).to_string()
}
