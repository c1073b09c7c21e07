//! Searches against the detector, one for each pair of a host and another session's task.

use crate::cli::RedTeam;
use crate::judge::threads;
use crate::pipeline::{Parts, Pipeline};
use crate::progress::Progress;
use datasets::attack_lab::search::{Outcome, Summary, search};
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use schema::{Call, Fp, RawCall, Token};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

/// One search: whose session, what the planted text asks, and the calls that do it.
struct Pair<'s> {
    host: &'s [RawCall],
    mission: &'s str,
    goal: &'s [RawCall],
    seed: u64,
}

/// Searches as many pairs as asked for. None where there is no pair.
pub fn search_all(parts: &Arc<Parts>, sessions: &[Vec<RawCall>], args: &RedTeam) -> Option<Summary> {
    let pairs = pairs(parts, sessions, args);
    let progress = Mutex::new(Progress::start("searching hijacks", pairs.len()));
    let flagged_at = -parts.alpha.ln();
    let one = |pair: &Pair<'_>| {
        let mut rng = ChaCha8Rng::seed_from_u64(pair.seed);
        let score = |calls: &[RawCall]| surprise(parts, calls);
        let found = search(pair.host, pair.mission, pair.goal, flagged_at, args.tries, &mut rng, score);
        progress.lock().unwrap_or_else(PoisonError::into_inner).advance(1);
        found
    };
    let share = pairs.len().div_ceil(threads()).max(1);
    let outcomes: Vec<Outcome> = std::thread::scope(|scope| {
        let one = &one;
        let workers: Vec<_> = pairs
            .chunks(share)
            .map(|part| scope.spawn(move || part.iter().filter_map(one).collect::<Vec<_>>()))
            .collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    progress.into_inner().unwrap_or_else(PoisonError::into_inner).finish();
    (!outcomes.is_empty()).then(|| Summary::of(&outcomes))
}

/// -ln of the lowest p-value of the calls: what a search makes smaller.
fn surprise(parts: &Arc<Parts>, calls: &[RawCall]) -> f64 {
    let mut pipeline = Pipeline::new(Arc::clone(parts));
    let p_values = calls.iter().filter_map(|call| Some(pipeline.judge(call)?.verdict.p_value.get()));
    -p_values.fold(1.0, f64::min).ln()
}

/// Draws hosts and, of the same app, other sessions with a call that names what only their own user asked for.
fn pairs<'s>(parts: &Parts, sessions: &'s [Vec<RawCall>], args: &RedTeam) -> Vec<Pair<'s>> {
    let mut rng = ChaCha8Rng::seed_from_u64(args.seed);
    let asked = |calls: &'s [RawCall]| calls.iter().find_map(|call| call.mission.as_deref());
    let hosts: Vec<&'s [RawCall]> = sessions
        .iter()
        .map(Vec::as_slice)
        .filter(|calls| asked(calls).is_some() && calls.iter().any(|call| call.result.is_some()))
        .collect();
    let mut pairs = Vec::new();
    for _ in 0..args.hijacks.saturating_mul(DRAWS) {
        let (Some(host), Some(donor)) = (hosts.choose(&mut rng).copied(), hosts.choose(&mut rng).copied()) else {
            break;
        };
        let seed = rng.random();
        let (Some(mine), Some(mission)) = (asked(host), asked(donor)) else { continue };
        let same_app = host.first().map(|call| &call.app) == donor.first().map(|call| &call.app);
        let sealed = |call: &RawCall| schema::seal(call, &parts.key);
        let first = |calls: &[RawCall]| calls.iter().find(|call| call.mission.is_some()).map(sealed);
        let (Some(host_asks), Some(donor_asks)) = (first(host), first(donor)) else { continue };
        let (planted, wanted) = (asked_for(&donor_asks), asked_for(&host_asks));
        let last = donor.iter().rposition(|call| names_for_another(&sealed(call), &planted, &wanted));
        let Some(goal) = last.and_then(|last| donor.get(..=last)).filter(|_| same_app && mine != mission) else {
            continue;
        };
        pairs.push(Pair { host, mission, goal, seed });
        if pairs.len() == args.hijacks {
            break;
        }
    }
    pairs
}

/// Draws for each pair wanted.
const DRAWS: usize = 60;

/// The handles (addresses, links, paths, codes) among tokens, as fingerprints.
fn handles<'t>(tokens: impl Iterator<Item = &'t Token>) -> HashSet<Fp> {
    tokens.filter(|token| token.kind.is_handle()).map(|token| token.fp).collect()
}

/// Those of what a session's user asked.
fn asked_for(call: &Call) -> HashSet<Fp> {
    handles(call.mission.iter().flat_map(|text| &text.sentences).flat_map(|sentence| &sentence.tokens))
}

/// Whether a call names a handle that the planted task spells out and the host's user did not.
fn names_for_another(call: &Call, planted: &HashSet<Fp>, asked: &HashSet<Fp>) -> bool {
    let named = handles(call.args.iter().flat_map(|leaf| &leaf.tokens));
    named.iter().any(|fp| planted.contains(fp) && !asked.contains(fp))
}
