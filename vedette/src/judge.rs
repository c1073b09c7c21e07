//! A data set through the pipeline, without Kafka: what `score`, `measure` and `explain` do.

use crate::pipeline::{Judged, Parts, Pipeline};
use crate::progress::Progress;
use crate::scores::ScoreLine;
use crate::source::Loaded;
use crate::webhook::Fallback;
use datasets::replay::{Faults, stream};
use policy::Standings;
use schema::RawCall;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

/// One line a call of `sessions` (lists of indices into the set's calls), in file order.
///
/// Without times, sessions are judged apart and may come in any order. With times, calls are judged in time order.
pub fn judge(parts: &Arc<Parts>, loaded: &Loaded, sessions: &[Vec<usize>]) -> Vec<ScoreLine> {
    each(parts, loaded, sessions, |judged| line_of(judged, parts.alpha, loaded.sequences))
}

/// What `of` makes of each judged call of `sessions`, in file order; see [`judge`].
pub fn each<T: Send>(
    parts: &Arc<Parts>,
    loaded: &Loaded,
    sessions: &[Vec<usize>],
    of: impl Fn(&Judged) -> Option<T> + Sync,
) -> Vec<T> {
    let progress = Mutex::new(Progress::start("scoring calls", sessions.iter().map(Vec::len).sum()));
    let one = |call: &RawCall, pipeline: &mut Pipeline| of(&pipeline.judge(call)?);
    let mut found = if loaded.set.timed {
        in_time_order(parts, loaded, sessions, &progress, one)
    } else {
        session_by_session(parts, loaded, sessions, &progress, one)
    };
    progress.into_inner().unwrap_or_else(PoisonError::into_inner).finish();
    found.sort_by_key(|(index, _)| *index);
    found.into_iter().map(|(_, found)| found).collect()
}

/// The same lines as the webhook's fallback would give them: each call by what was last known of its session before it, and
/// the sketch of what the session was told. p-values are 1: the fallback promises nothing.
pub fn inline(parts: &Arc<Parts>, loaded: &Loaded, sessions: &[Vec<usize>]) -> Vec<ScoreLine> {
    let progress = Mutex::new(Progress::start("scoring calls", sessions.iter().map(Vec::len).sum()));
    let standings = Arc::new(Standings::new());
    let fallback = Fallback::new(Arc::clone(parts), Arc::clone(&standings));
    let line = |call: &RawCall, pipeline: &mut Pipeline| {
        let sealed = schema::seal(call, &parts.key);
        let nothing = || parts.detector.nothing_known(&sealed);
        let said = fallback.answer(sealed.clone()).map_or_else(|_| nothing(), |degraded| degraded.verdict);
        let judged = pipeline.judge(call)?;
        standings.update(&judged.call, &judged.verdict, &judged.standing);
        if let Some(sketch) = pipeline.sketch(&judged.call) {
            standings.keep(&judged.call, sketch);
        }
        ScoreLine::of(&said, parts.alpha)
    };
    let mut lines = session_by_session(parts, loaded, sessions, &progress, line);
    progress.into_inner().unwrap_or_else(PoisonError::into_inner).finish();
    lines.sort_by_key(|(index, _)| *index);
    lines.into_iter().map(|(_, line)| line).collect()
}

/// The line of one judged call.
pub fn line_of(judged: &Judged, alpha: f64, sequences: bool) -> Option<ScoreLine> {
    let mut line = ScoreLine::of(&judged.verdict, alpha)?;
    line.sequence_risk = sequences.then_some(judged.sequence_risk);
    Some(line)
}

fn in_time_order<T>(
    parts: &Arc<Parts>,
    loaded: &Loaded,
    sessions: &[Vec<usize>],
    progress: &Mutex<Progress>,
    of: impl Fn(&RawCall, &mut Pipeline) -> Option<T>,
) -> Vec<(usize, T)> {
    let taken: HashSet<usize> = sessions.iter().flatten().copied().collect();
    let mut pipeline = Pipeline::new(Arc::clone(parts));
    let mut found = Vec::with_capacity(taken.len());
    for (_, index) in stream(&loaded.set, &Faults::default()).into_iter().filter(|(_, index)| taken.contains(index)) {
        let Some(call) = loaded.set.calls.get(index) else { continue };
        found.extend(of(call, &mut pipeline).map(|found| (index, found)));
        advance(progress, 1);
    }
    found
}

fn session_by_session<T: Send>(
    parts: &Arc<Parts>,
    loaded: &Loaded,
    sessions: &[Vec<usize>],
    progress: &Mutex<Progress>,
    of: impl Fn(&RawCall, &mut Pipeline) -> Option<T> + Sync,
) -> Vec<(usize, T)> {
    let one = |session: &Vec<usize>| {
        let mut pipeline = Pipeline::new(Arc::clone(parts));
        let calls = session.iter().filter_map(|index| Some((*index, loaded.set.calls.get(*index)?)));
        let found: Vec<(usize, T)> =
            calls.filter_map(|(index, call)| Some((index, of(call, &mut pipeline)?))).collect();
        advance(progress, session.len());
        found
    };
    let share = sessions.len().div_ceil(threads()).max(1);
    std::thread::scope(|scope| {
        let one = &one;
        let workers: Vec<_> = sessions
            .chunks(share)
            .map(|part| scope.spawn(move || part.iter().flat_map(one).collect::<Vec<_>>()))
            .collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

/// Threads worth starting, at least one.
pub fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn advance(progress: &Mutex<Progress>, steps: usize) {
    progress.lock().unwrap_or_else(PoisonError::into_inner).advance(steps);
}
