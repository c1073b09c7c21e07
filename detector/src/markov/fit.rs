//! Sessions → sequence model: counts of all sessions; strengths and levels from sessions the counts never saw.

use super::chain::{Chain, UNKNOWN};
use super::counts::Counts;
use super::profile::{Mix, Profile, mix_of};
use super::state::{SequenceState, WINDOW, is_looked_at};
use super::tally::{GRID, Scopes, Shapes, Strengths, Tally};
use super::{Level, Markov, ORDER, Symbol, chain, mix};
use schema::NameHash;

/// One session to learn from: its calls in order.
pub(crate) type Sequence = Vec<Symbol>;

/// Parts that are held out in turn.
const PARTS: usize = 4;
/// Share of held-out sessions that stay below a view's and the score's high end.
const VIEW_SHARE: f64 = 0.95;
const SCORE_SHARE: f64 = 0.99;
/// Least spread of surprise (nats), novelty rate, profile distance: what is less is no difference.
const LEAST: [f64; 3] = [0.3, 0.02, 0.02];

/// What sessions count to; counts of parts add up.
#[derive(Default)]
struct Counted {
    counts: Counts,
    tally: Tally,
}

impl Counted {
    fn of(sessions: &[Sequence]) -> Self {
        let tools: Vec<Vec<NameHash>> = sessions.iter().map(|s| s.iter().map(|call| call.tool).collect()).collect();
        let counts = Counts::of(tools.iter().map(Vec::as_slice));
        Self { counts, tally: Tally::of(sessions.iter().map(Vec::as_slice)) }
    }

    fn merged<'c>(parts: impl Iterator<Item = &'c Self>) -> Self {
        parts.fold(Self::default(), |sum, part| Self {
            counts: sum.counts.merge(&part.counts),
            tally: sum.tally.merge(&part.tally),
        })
    }
}

/// What a held-out call shows before the strengths are known.
struct Shown {
    of_tenant: f64,
    scopes: Scopes,
    shapes: Shapes,
}

impl Markov {
    /// Counts sessions, with the strengths and levels of `like` (which were learned on others).
    pub(crate) fn count(sessions: &[Sequence], like: &Self) -> Self {
        Self::of(&Counted::of(sessions), &sessions.iter().collect::<Vec<_>>(), like)
    }

    fn of(counted: &Counted, sessions: &[&Sequence], like: &Self) -> Self {
        let chain = Chain::from(counted.counts.clone());
        let profile = Profile::of(mixes(sessions, &chain), chain.tools());
        let (tally, strengths) = (counted.tally.clone(), like.strengths.clone());
        Self { chain, tally, strengths, profile, levels: like.levels, score: like.score }
    }

    /// Learns from sessions, strengths and levels included.
    pub(crate) fn learn(sessions: &[Sequence]) -> Self {
        let mut split: [Vec<Sequence>; PARTS] = Default::default();
        for (at, session) in sessions.iter().enumerate() {
            // Scattered: sessions often come by turns.
            let part = (mix(at as u64, 1) % PARTS as u64) as usize;
            split.iter_mut().skip(part).take(1).for_each(|part| part.push(session.clone()));
        }
        let counted = split.each_ref().map(|part| Counted::of(part));
        let mut parts: Vec<(Self, &[Sequence])> = Vec::new();
        for (part, held) in split.iter().enumerate().filter(|(_, held)| held.len() < sessions.len()) {
            let rest = |at: &usize| *at != part;
            let all = counted.iter().enumerate().filter(|(at, _)| rest(at)).map(|(_, counted)| counted);
            let rest: Vec<&Sequence> =
                split.iter().enumerate().filter(|(at, _)| rest(at)).flat_map(|(_, part)| part).collect();
            parts.push((Self::of(&Counted::merged(all), &rest, &Self::default()), held));
        }
        let strengths = strengths(&parts);
        let mut highest: Vec<[f64; 3]> = Vec::new();
        for (model, held) in &mut parts {
            model.strengths = strengths.clone();
            highest.extend(held.iter().map(|session| model.run(session).highest()));
        }
        let view = |at: usize| highest.iter().filter_map(|h| h.get(at)).copied().collect::<Vec<f64>>();
        let mut like = Self { strengths, ..Self::default() };
        for ((at, level), least) in like.levels.iter_mut().enumerate().zip(LEAST) {
            *level = Level::new(view(at), VIEW_SHARE, least);
        }
        let total = |h: &[f64; 3]| like.levels.iter().zip(h).map(|(level, value)| level.of(*value)).sum();
        like.score = Level::new(highest.iter().map(total).collect(), SCORE_SHARE, 1.0);
        Self::of(&Counted::merged(counted.iter()), &sessions.iter().collect::<Vec<_>>(), &like)
    }

    /// A session as it stands after its last call.
    fn run(&self, session: &Sequence) -> SequenceState {
        let mut state = SequenceState::default();
        session.iter().for_each(|call| state.advance(self, call));
        state
    }
}

/// Mixes of the last calls, as often as a session looks at them.
fn mixes(sessions: &[&Sequence], chain: &Chain) -> Vec<Mix> {
    let mut out = Vec::new();
    for session in sessions {
        let symbols: Vec<u16> = session.iter().map(|call| chain.symbol(call.tool)).collect();
        for end in (1..=symbols.len()).filter(|end| is_looked_at(*end as u64)) {
            let window = symbols.get(end.saturating_sub(WINDOW)..end).unwrap_or_default();
            out.push(mix_of(window.iter().copied().filter(|symbol| *symbol != UNKNOWN)));
        }
    }
    out
}

/// The strengths under which held-out sessions are most likely, chosen from the widest scope down.
fn strengths(parts: &[(Markov, &[Sequence])]) -> Strengths {
    let shown: Vec<Shown> = parts.iter().flat_map(|(model, held)| held.iter().flat_map(|s| model.show(s))).collect();
    let mut out = Strengths { scopes: [GRID_LAST; 3], shapes: [GRID_LAST; 2] };
    if shown.is_empty() {
        return Strengths::default();
    }
    for at in 0..out.scopes.len() {
        out.scopes = best(|strength| {
            let mut tried = out.scopes;
            tried.iter_mut().skip(at).take(1).for_each(|slot| *slot = strength);
            let with = Strengths { scopes: tried, ..out.clone() };
            (shown.iter().map(|s| libm::log(with.narrow(s.of_tenant, &s.scopes))).sum(), tried)
        });
    }
    for at in 0..out.shapes.len() {
        out.shapes = best(|strength| {
            let mut tried = out.shapes;
            tried.iter_mut().skip(at).take(1).for_each(|slot| *slot = strength);
            let with = Strengths { shapes: tried, ..out.clone() };
            (shown.iter().map(|s| libm::log(with.shape(&s.shapes))).sum(), tried)
        });
    }
    out
}

/// What of the grid gives the highest likelihood; of equals the strongest prior.
fn best<T: Default>(of: impl Fn(f64) -> (f64, T)) -> T {
    let mut found = (f64::NEG_INFINITY, T::default());
    for strength in GRID.iter().rev() {
        let tried = of(*strength);
        if tried.0 > found.0 {
            found = tried;
        }
    }
    found.1
}

const GRID_LAST: f64 = 1e12;

impl Markov {
    fn show(&self, session: &Sequence) -> Vec<Shown> {
        let mut state = SequenceState::default();
        let mut history = [chain::START; ORDER];
        let mut out = Vec::with_capacity(session.len());
        for call in session {
            let symbol = self.chain.symbol(call.tool);
            let (of_tenant, _) = self.chain.probability(&history, symbol);
            let (scopes, shapes) = (self.tally.counts_of(&state, call), self.tally.shapes_of(&state, call));
            out.push(Shown { of_tenant, scopes, shapes });
            state.push(call.tool);
            history.rotate_left(1);
            history.last_mut().into_iter().for_each(|last| *last = symbol);
        }
        out
    }
}
