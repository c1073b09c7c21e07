//! Sessions → model. Deterministic from (sessions, options).
//!
//! Tables first (sequences, origins, strengths), then the fusion on rows whose tables never saw their session
//! (cross-fitted by mission), then the calibration on scores whose fusion never saw them either.

use crate::conformal::Calibration;
use crate::detector::is_bare_query;
use crate::extraction::{Client, Honest, query_record};
use crate::features::{self, Features, Row};
use crate::forest::ForestParams;
use crate::fusion::{self, Expert, Kind, Known, Scale, Scorer};
use crate::logistic::{Logistic, LogisticParams};
use crate::markov::{Markov, Sequence, Symbol};
use crate::model::Model;
use crate::provenance::{self, Provenance, Spreads};
use crate::splice::{self, Label};
use crate::state::{SessionState, call_fingerprint};
use crate::strength::Strength;
use linfa::Dataset;
use linfa::traits::Fit;
use ndarray::{Array1, Array2};
use rand::SeedableRng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;
use schema::{Call, Cues, Principal};
use std::collections::{BTreeMap, BTreeSet};

/// One session to learn from: its calls in order, sealed for the fit ([`schema::seal_for_fit`]).
#[derive(Debug, Clone)]
pub struct TrainingSession {
    /// The calls.
    pub calls: Vec<Call>,
    /// Calibration group: one of several pools is fitted on, the others calibrated on.
    pub pool: Option<String>,
}

/// How to fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FitOptions {
    /// Seed of all chance.
    pub seed: u64,
}

impl Default for FitOptions {
    fn default() -> Self {
        Self { seed: 7 }
    }
}

/// Why nothing was fitted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FitError {
    /// There is nothing to learn from.
    #[error("there is no call to learn from in {sessions} sessions")]
    Empty {
        /// Sessions given.
        sessions: usize,
    },
}

/// Parts that tables and fusion are cross-fitted over.
const PARTS: u64 = 5;
/// Spliced sessions made in all, and for each session.
const SPLICES: usize = 3_800;
const SPLICES_EACH: std::ops::RangeInclusive<usize> = 1..=16;
/// L2 penalty of the logistics, in rows: strong, so that they stay near an average of what their features say.
const RIDGE: f64 = 200.0;

/// Fits a model.
///
/// What is given as honest traffic may hold a few hijacks. Sessions that, held out, look more like one than most made-up
/// hijacks do are left out, and the rest is fitted anew.
pub fn fit(sessions: &[TrainingSession], options: &FitOptions) -> Result<Model, FitError> {
    if sessions.iter().all(|s| s.calls.is_empty()) {
        return Err(FitError::Empty { sessions: sessions.len() });
    }
    let mut kept: Vec<&TrainingSession> = sessions.iter().collect();
    let extraction = Honest::fit(&clients(sessions), options.seed);
    let (mut model, mut suspects) = fit_once(&kept, options, extraction);
    let markov = model.markov.clone();
    for _ in 0..TRIM_ROUNDS {
        let left = sessions.len() - (kept.len() - suspects.len());
        let few = TRIM_FROM * kept.len() as f64 > suspects.len() as f64;
        if few || left as f64 > TRIM_TO * sessions.len() as f64 {
            break;
        }
        let mut at = 0..;
        kept.retain(|_| at.next().is_none_or(|at| !suspects.contains(&at)));
        (model, suspects) = fit_once(&kept, options, model.extraction);
        model.left_out = u32::try_from(left).unwrap_or(u32::MAX);
    }
    // What order tools come in is learned from all: a suspect is one by where its values come from.
    model.markov = markov;
    Ok(model)
}

/// Rounds of leaving out suspects.
const TRIM_ROUNDS: usize = 2;
/// Share of sessions below which suspects are the odd honest session, and beyond which they are how things are here.
const TRIM_FROM: f64 = 0.005;
const TRIM_TO: f64 = 0.05;
/// Share of made-up hijacks that a suspect exceeds: of honest sessions, held out, next to none does.
const TRIM_AT: f64 = 0.6;
/// And the score below which nobody is one: where made-up hijacks hardly stand out, neither would real ones.
const TRIM_LEAST: f64 = 0.35;

/// A model, and the sessions that look like hijacks among those it was fitted on.
fn fit_once(sessions: &[&TrainingSession], options: &FitOptions, extraction: Option<Honest>) -> (Model, Vec<usize>) {
    let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
    let strength = Strength::default();
    let parts: Vec<u64> = sessions.iter().enumerate().map(|(at, s)| part_of(s, at)).collect();
    let spliced = splices(sessions, &mut rng);
    let sequences = Markov::learn(&sessions.iter().map(|s| sequence(s)).collect::<Vec<_>>());

    // Rows under tables of the other parts.
    let (mut own, mut made) = (Vec::new(), Vec::new());
    for part in 0..PARTS {
        let rest: Vec<&TrainingSession> =
            sessions.iter().zip(&parts).filter(|(_, p)| **p != part).map(|(s, _)| *s).collect();
        let tables = Tables::learn(if rest.is_empty() { sessions } else { &rest }, &strength, &sequences);
        for ((at, session), _) in sessions.iter().enumerate().zip(&parts).filter(|(_, p)| **p == part) {
            let rows = tables.rows(session.calls.iter().map(|call| (call, Label::Host)));
            own.push(Rows { session: at, part, rows });
        }
        for (host, calls) in spliced.iter().filter(|(host, _)| parts.get(*host) == Some(&part)) {
            let rows = tables.rows(calls.calls.iter().map(|(call, label)| (call, *label)));
            made.push(Rows { session: *host, part, rows });
        }
    }

    let experts = |without: Option<u64>| -> Vec<Expert> {
        let known = known(sessions.iter().zip(&parts).filter(|(_, part)| Some(**part) != without).map(|(s, _)| *s));
        Kind::ALL.iter().filter_map(|kind| expert(*kind, &own, &made, without, options.seed, &known)).collect()
    };
    // Highest scores of sessions under a fusion of the other parts.
    let (mut clean, mut exposed, mut hijacked) = (Vec::new(), Vec::new(), Vec::new());
    for part in 0..PARTS {
        let held_out = experts(Some(part));
        let highest = |of: &mut dyn Iterator<Item = &Row>| {
            let highest = of.map(|row| fusion::score(&held_out, row).0).fold(f64::NEG_INFINITY, f64::max);
            Some(highest).filter(|score| score.is_finite())
        };
        let mut of_part = own.iter().filter(|r| r.part == part);
        clean.extend(of_part.by_ref().filter_map(|r| Some((highest(&mut r.own())?, r.session))));
        for r in made.iter().filter(|r| r.part == part) {
            if r.resisted() {
                exposed.extend(highest(&mut r.own()));
            } else {
                hijacked.extend(highest(&mut r.serving()));
            }
        }
    }
    hijacked.sort_unstable_by(f64::total_cmp);
    let bound =
        hijacked.get((TRIM_AT * hijacked.len() as f64) as usize).copied().unwrap_or(f64::INFINITY).max(TRIM_LEAST);
    let suspects = clean.iter().filter(|(score, _)| *score > bound).map(|(_, session)| *session).collect();
    let tables = Tables::learn(sessions, &strength, &sequences);
    let model = Model {
        strength: strength.clone(),
        markov: tables.markov,
        provenance: tables.provenance,
        experts: experts(None),
        calibration: Calibration::new(clean.into_iter().map(|(score, _)| score).collect(), exposed),
        extraction,
        sessions: u32::try_from(sessions.len()).unwrap_or(u32::MAX),
        left_out: 0,
    };
    (model, suspects)
}

/// One session's rows.
struct Rows {
    /// The session, or the host it was spliced into.
    session: usize,
    part: u64,
    rows: Vec<(Row, Label)>,
}

impl Rows {
    /// Rows of the host's own calls.
    fn own(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|(_, label)| *label == Label::Host).map(|(row, _)| row)
    }

    /// Rows of calls that serve what was planted.
    fn serving(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|(_, label)| *label == Label::Serves).map(|(row, _)| row)
    }

    /// No call serves what was planted, if anything was.
    fn resisted(&self) -> bool {
        self.rows.iter().all(|(_, label)| *label == Label::Host)
    }
}

/// What the features are computed with.
struct Tables<'s> {
    strength: &'s Strength,
    markov: Markov,
    provenance: Provenance,
}

impl<'s> Tables<'s> {
    /// `like`: what the sequence model of all sessions takes for ordinary.
    fn learn(sessions: &[&TrainingSession], strength: &'s Strength, like: &Markov) -> Self {
        let markov = Markov::count(&sessions.iter().map(|session| sequence(session)).collect::<Vec<_>>(), like);
        let mut tables = Self { strength, markov, provenance: Provenance::default() };
        let mut spreads = Spreads::default();
        for session in sessions {
            if let Some(task) = asked(session) {
                session.calls.iter().for_each(|call| spreads.learn(call, task));
            }
            let mut state = SessionState::default();
            for call in &session.calls {
                if let Some(mission) = &call.mission {
                    state.ask(mission);
                }
                let traced = provenance::trace(&state, call, &tables.provenance);
                tables.provenance.learn(&state, call, &traced);
                let all: f64 = traced.iter().map(|t| t.weight).sum();
                let named =
                    traced.iter().filter(|t| t.mission).map(|t| t.weight).sum::<f64>() / all.max(f64::MIN_POSITIVE);
                tables.take_in(&mut state, call, named);
            }
        }
        tables.provenance.spread_over(&spreads);
        tables
    }

    fn rows<'c>(&self, calls: impl Iterator<Item = (&'c Call, Label)>) -> Vec<(Row, Label)> {
        let mut state = SessionState::default();
        calls
            .filter(|(call, _)| !is_bare_query(call))
            .map(|(call, label)| {
                if let Some(mission) = &call.mission {
                    state.ask(mission);
                }
                let found = features::of(&state, call, &self.markov, &self.provenance);
                self.take_in(&mut state, call, found.named);
                (Features::row(&found.features), label)
            })
            .collect()
    }

    fn take_in(&self, state: &mut SessionState, call: &Call, named: f64) {
        let at = state.calls;
        state.sequence.advance(&self.markov, &Symbol::of(call));
        state.push_call(call);
        if let Some(text) = &call.result {
            state.push_result(at, call, named, text, &self.strength.of_text(&text.sentences));
        }
    }
}

/// A session as the sequence model sees it.
fn sequence(session: &TrainingSession) -> Sequence {
    session.calls.iter().map(Symbol::of).collect()
}

/// The part a session is held out with: sessions of one mission go together, as they are not independent.
fn part_of(session: &TrainingSession, at: usize) -> u64 {
    task(session).unwrap_or(at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(20) % PARTS
}

/// What the user asked, where it is known.
fn asked(session: &TrainingSession) -> Option<u64> {
    let mission = session.calls.iter().find_map(|call| call.mission.as_ref())?;
    Some(mission.sentences.iter().flat_map(|s| &s.tokens).fold(0u64, |hash, t| hash.rotate_left(5) ^ t.fp.0))
}

/// Which task a session is at: sessions of one task were asked the same. Where nothing is known of what was asked, those
/// that begin alike are taken for one task.
fn task(session: &TrainingSession) -> Option<u64> {
    let begun = || {
        let with_values = session.calls.iter().position(|call| !call.args.is_empty())?;
        let calls = session.calls.iter().take(with_values + 1);
        Some(calls.fold(0u64, |hash, call| hash.rotate_left(5) ^ call_fingerprint(call)))
    };
    asked(session).or_else(begun)
}

/// What each principal asked of model APIs, over its sessions, in time order; without a principal, each session apart.
fn clients(sessions: &[TrainingSession]) -> Vec<Client> {
    let mut by_principal: BTreeMap<(Option<Principal>, usize), Client> = BTreeMap::new();
    for (at, session) in sessions.iter().enumerate() {
        for call in &session.calls {
            let Some(query) = query_record(call) else { continue };
            let key = call.principal.clone().map_or((None, at), |principal| (Some(principal), 0));
            by_principal
                .entry(key)
                .or_insert_with(|| Client { queries: Vec::new(), pool: session.pool.clone() })
                .queries
                .push(query);
        }
    }
    let mut clients: Vec<Client> = by_principal.into_values().collect();
    clients.iter_mut().for_each(|client| client.queries.sort_by_key(|query| query.at));
    clients
}

/// Spliced sessions, each with the index of its host. Donors are of the same app and another mission.
fn splices(sessions: &[&TrainingSession], rng: &mut ChaCha8Rng) -> Vec<(usize, splice::Spliced)> {
    let app = |s: &TrainingSession| s.calls.first().and_then(|call| call.app.clone());
    let asked = |s: &TrainingSession| s.calls.iter().find_map(|call| call.mission.clone());
    let each = (SPLICES / sessions.len().max(1)).clamp(*SPLICES_EACH.start(), *SPLICES_EACH.end());
    let mut out = Vec::new();
    let all: Vec<usize> = (0..sessions.len()).collect();
    let talks = |s: &TrainingSession| s.calls.iter().any(|call| !is_bare_query(call));
    for (host_at, host) in sessions.iter().enumerate().filter(|(_, s)| talks(s)) {
        if out.len() >= SPLICES {
            break;
        }
        for _ in 0..each {
            // A few draws find a fitting donor; a set of one mission has none.
            let donor = (0..12)
                .filter_map(|_| all.choose(rng))
                .filter_map(|at| sessions.get(*at).copied())
                .find(|d| app(d) == app(host) && (asked(d) != asked(host) || asked(d).is_none()));
            let other = all.choose(rng).and_then(|at| sessions.get(*at)).copied().unwrap_or(host);
            if let Some(made) = donor.and_then(|donor| splice::splice(host, donor, other, rng)) {
                out.push((host_at, made));
            }
        }
    }
    out
}

/// How much there is to learn from in some sessions.
fn known<'s>(sessions: impl Iterator<Item = &'s TrainingSession> + Clone) -> Known {
    let delegates = |session: &&TrainingSession| {
        let asked = session.calls.iter().filter_map(|call| call.mission.as_ref());
        asked.flat_map(|mission| &mission.sentences).any(|sentence| sentence.cues.has(Cues::DELEGATES))
    };
    let tasks = |sessions: &mut dyn Iterator<Item = &'s TrainingSession>| {
        sessions.filter_map(asked).collect::<BTreeSet<u64>>().len()
    };
    Known {
        tasks: tasks(&mut sessions.clone()),
        delegating: tasks(&mut sessions.clone().filter(delegates)),
        told: sessions.flat_map(|session| &session.calls).any(|call| call.result.is_some()),
    }
}

/// One expert, fitted and scaled without one part. `None` where there is nothing to fit it on.
fn expert(kind: Kind, own: &[Rows], made: &[Rows], without: Option<u64>, seed: u64, known: &Known) -> Option<Expert> {
    let kept = || own.iter().chain(made).filter(|r| Some(r.part) != without);
    let scorer = match kind {
        Kind::General | Kind::Handles | Kind::Others if !known.told => return None,
        Kind::General | Kind::Handles | Kind::Others => Scorer::Logistic(fuse(kind, &kept().collect::<Vec<_>>())?),
        Kind::Blind => Scorer::Unseen,
        Kind::Mass => Scorer::Mass,
        Kind::Sequence => Scorer::Surprise,
        Kind::Odd => Scorer::Forest(grow(own.iter().filter(|r| Some(r.part) != without), seed)?),
    };
    let honest = || kept().filter(|r| r.resisted());
    let highest = honest()
        .filter_map(|r| r.own().filter(|row| kind.speaks(row)).map(|row| scorer.raw(row)).max_by(f64::total_cmp))
        .collect();
    Some(Expert { kind, scale: Scale::of(kind, highest, honest().count(), known)?, scorer })
}

/// The logistic of served against own calls.
///
/// A session is judged by its most anomalous call, so after a first fit only the own call that looks worst speaks for
/// each session.
fn fuse(kind: Kind, kept: &[&Rows]) -> Option<Logistic> {
    let params = LogisticParams { ridge: RIDGE, signs: features::TOLD };
    let fit = |rows: Vec<(&Row, bool)>| {
        let records = Array2::from_shape_fn((rows.len(), features::COUNT), |(row, at)| {
            rows.get(row).and_then(|(r, _)| r.get(at)).copied().unwrap_or(0.0)
        });
        let targets = Array1::from_iter(rows.iter().map(|(_, serves)| *serves));
        params.fit(&Dataset::new(records, targets)).ok()
    };
    let serving: Vec<&Row> = kept.iter().flat_map(|r| r.serving()).filter(|row| kind.speaks(row)).collect();
    let own = |r: &Rows| -> Vec<Row> { r.own().filter(|row| kind.speaks(row)).copied().collect() };
    let owned: Vec<Vec<Row>> = kept.iter().map(|r| own(r)).collect();
    let positives = || serving.iter().map(|row| (*row, true));
    let mut fusion = fit(positives().chain(owned.iter().flatten().map(|row| (row, false))).collect())?;
    for _ in 0..WORST_ROUNDS {
        let worst = owned.iter().filter_map(|rows| {
            rows.iter().max_by(|a, b| fusion.logit(a.as_slice()).total_cmp(&fusion.logit(b.as_slice())))
        });
        fusion = fit(positives().chain(worst.map(|row| (row, false))).collect())?;
    }
    Some(fusion)
}

/// Rounds of fitting against the worst own call of each session.
const WORST_ROUNDS: usize = 2;

/// The forest over honest rows; sampled by the forest itself.
fn grow<'r>(own: impl Iterator<Item = &'r Rows>, seed: u64) -> Option<crate::forest::Forest> {
    let rows: Vec<&Row> = own.flat_map(|r| r.own()).collect();
    let matrix = Array2::from_shape_fn((rows.len(), features::COUNT), |(row, at)| {
        rows.get(row).and_then(|r| r.get(at)).copied().unwrap_or(0.0)
    });
    ForestParams { seed, ..ForestParams::default() }.grow(matrix.view()).ok()
}
