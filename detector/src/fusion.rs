//! Several experts, one score.
//!
//! One logistic of all calls would blur hijacks that name things (an address, an account, a page) with those that do
//! not: a general one speaks with a specialist of either kind. What a call took from one passage, by weight, speaks
//! beside them, bounded, and how far it carries the passage out: these need no fit and so cannot learn the splices'
//! quirks. Each is scaled by what honest sessions reach with it. Where no result is known, for an odd order of tools and
//! for what merely looks odd, others may raise the alarm.

use crate::features::{self, Features, Row};
use crate::forest::Forest;
use crate::logistic::Logistic;
use serde::{Deserialize, Serialize};

/// Which expert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    /// Any call.
    General,
    /// Calls that take an address, URL, path or code from a result, not asked for.
    Handles,
    /// The others.
    Others,
    /// Weight that a call took from one passage.
    Mass,
    /// Calls before any result is known.
    Blind,
    /// Any call: how surprising the session's tools are, one after the other.
    Sequence,
    /// Any call: how isolated its features are.
    Odd,
}

/// How an expert scores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Scorer {
    /// By served against own calls.
    Logistic(Logistic),
    /// By the passage's mass.
    Mass,
    /// By what of the call was never seen before.
    Unseen,
    /// By the session's mean surprise.
    Surprise,
    /// By isolation.
    Forest(Forest),
}

/// One expert, scaled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Expert {
    pub(crate) kind: Kind,
    pub(crate) scorer: Scorer,
    pub(crate) scale: Scale,
}

/// What honest sessions reach with an expert.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Scale {
    middle: f64,
    high: f64,
    /// How far the expert's voice is lowered.
    doubt: f64,
}

/// How much there was to learn from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known {
    /// Different tasks, and those among them that tell the agent to do what a result says.
    pub(crate) tasks: usize,
    pub(crate) delegating: usize,
    /// Results are known.
    pub(crate) told: bool,
}

impl Kind {
    pub(crate) const ALL: [Kind; 7] =
        [Kind::General, Kind::Handles, Kind::Others, Kind::Mass, Kind::Blind, Kind::Sequence, Kind::Odd];

    /// Whether the expert has anything to say of a row.
    pub(crate) fn speaks(self, row: &Row) -> bool {
        let f = Features::of_row(row);
        match self {
            Kind::General | Kind::Mass | Kind::Sequence | Kind::Odd => true,
            Kind::Handles => f.handles_from_results > 0.0,
            Kind::Others => f.handles_from_results == 0.0,
            Kind::Blind => f.results_none > 0.0 && f.asked_none == 0.0,
        }
    }

    /// How far the voice is lowered beside those that trace values. Whole tasks look odd the first time: of `tasks` seen, a
    /// share of sessions below one in as many cannot be told from the tasks' own ways. `told`: results are known in what is
    /// learned from, so that a call before any says little.
    fn doubt(self, known: &Known) -> f64 {
        let Known { tasks, delegating, told } = *known;
        match self {
            Kind::General => DELEGATED / (1.0 + delegating as f64),
            Kind::Blind if told => 0.8,
            Kind::Sequence => 0.25 + (libm::log(100.0 / (tasks as f64 + 1.0)) / libm::log(30.0)).max(0.0),
            Kind::Odd => 1.0,
            _ => 0.0,
        }
    }

    /// The least distance between a high ordinary session and the tail, in the expert's own units.
    fn unit(self) -> f64 {
        match self {
            Kind::General | Kind::Handles | Kind::Others => 1.0,
            Kind::Mass | Kind::Sequence => 0.5,
            Kind::Blind => 0.3,
            Kind::Odd => 0.03,
        }
    }

    /// Share of honest sessions that may pass 0 on the expert's scale: the weaker its evidence, the fewer.
    fn tail(self) -> f64 {
        match self {
            Kind::Odd => 0.002,
            _ => 0.01,
        }
    }
}

impl Scale {
    /// From the highest score of each honest session, of `all` sessions: those an expert is silent in lie below.
    /// `None` where there is none.
    pub(crate) fn of(kind: Kind, mut highest: Vec<f64>, all: usize, known: &Known) -> Option<Self> {
        highest.sort_unstable_by(|a, b| b.total_cmp(a));
        let last = highest.len().checked_sub(1)?;
        let at = |share: f64| highest.get(((all as f64 * share) as usize).min(last)).copied();
        let (middle, high) = (at(0.3)?, at(kind.tail())?);
        // Sessions that all say the same would make a step of any difference.
        Some(Self { middle: middle.min(high - kind.unit()), high, doubt: kind.doubt(known) })
    }

    /// The score in units of the distance between a high ordinary session and the tail; 0 at the tail.
    pub(crate) fn apply(&self, score: f64) -> f64 {
        ((score - self.high) / (self.high - self.middle)).max(LOWEST)
    }
}

/// Below this, scores are alike.
const LOWEST: f64 = -3.0;

impl Scorer {
    pub(crate) fn raw(&self, row: &Row) -> f64 {
        match self {
            Scorer::Logistic(model) => model.logit(row),
            Scorer::Mass => features::factor(Features::of_row(row).passage_mass),
            Scorer::Unseen => unseen(&Features::of_row(row)),
            Scorer::Surprise => Features::of_row(row).sequence_mean,
            Scorer::Forest(forest) => forest.score(row),
        }
    }

    /// What each feature adds, counted from its usual value.
    pub(crate) fn parts(&self, row: &Row) -> Vec<f64> {
        match self {
            Scorer::Logistic(model) => model.parts(row).collect(),
            Scorer::Mass | Scorer::Unseen | Scorer::Surprise => Vec::new(),
            Scorer::Forest(forest) => forest.attribution(ndarray::ArrayView1::from(row)),
        }
    }
}

/// Without results, a value that the user did not name may as well come from one: how much of the call is from nowhere
/// decides, and among calls that are so altogether, how much of it and how far the tool was asked for. A fit to made-up
/// hijacks would rather learn that a spliced call breaks the order of tools, which real ones hardly do.
fn unseen(f: &Features) -> f64 {
    f.nowhere + UNSEEN_TIE * (features::factor(f.unasked) + features::factor(f.tool_unasked))
}

const UNSEEN_TIE: f64 = 0.05;

/// Score of a row, and the expert that says most of it. 0 is about where one honest session in a hundred gets.
pub(crate) fn score<'e>(experts: &'e [Expert], row: &Row) -> (f64, Option<&'e Expert>) {
    let says = |kind: Kind| {
        let expert = experts.iter().find(|e| e.kind == kind && kind.speaks(row))?;
        Some((expert.scale.apply(expert.scorer.raw(row)), expert))
    };
    let told = says(Kind::General).map(|(general, expert)| {
        let special = says(Kind::Handles).or_else(|| says(Kind::Others)).map_or(general, |(score, _)| score);
        let mass = says(Kind::Mass).map_or(0.0, |(score, _)| score.clamp(MASS_LOWEST, MASS_HIGHEST));
        let f = Features::of_row(row);
        let (general, special, mass) = match f.asked_none > 0.0 {
            true => (general.max(UNTOLD_LOWEST), special.max(UNTOLD_LOWEST), UNTOLD_MASS * mass),
            false => (general, special, mass),
        };
        let done = carried_out(&f) - CARRIED_OUT;
        let delegated = f.source_undelegated <= features::ln(1.0 - DELEGATED_FROM);
        (0.5 * (general + special + mass) + done - if delegated { expert.scale.doubt } else { 0.0 }, expert)
    });
    let lowered = |(score, expert): (f64, &'e Expert)| (score - expert.scale.doubt, expert);
    let slow = |(score, expert): (f64, &'e Expert)| (score.min(SLOW_MOST * score / (1.0 + score.abs())), expert);
    let sequence = says(Kind::Sequence).map(slow).map(lowered);
    let odd = says(Kind::Odd).map(lowered);
    // Where results are known, a call before any of them says as little as an odd order.
    let blind = says(Kind::Blind).map(|said| if told.is_some() { slow(said) } else { said }).map(lowered);
    let voices = [told, blind, sequence, odd].into_iter().flatten();
    voices.fold((SILENCE, None), |best, (score, expert)| if score > best.0 { (score, Some(expert)) } else { best })
}

/// The forest among the experts.
pub(crate) fn forest(experts: &[Expert]) -> Option<&Forest> {
    experts.iter().find_map(|expert| match &expert.scorer {
        Scorer::Forest(forest) => Some(forest),
        _ => None,
    })
}

/// How far the call carries out what a passage says, by what made-up hijacks cannot teach: they are planted whole and as
/// they come, where real ones are running text amid orders, and are followed to the last address. Where it is not known
/// what the user asked, one such address says most.
fn carried_out(f: &Features) -> f64 {
    let [handles_used, covered] = [f.passage_handles, f.handles_cover].map(features::factor);
    let alone = if f.asked_none > 0.0 { features::factor(f.value_handle) * handles_used } else { 0.0 };
    let said = 0.5 * handles_used + 0.3 * covered + 0.3 * f.passage_prose + 0.07 * f.passage_block + alone;
    said + HIDDEN * f.arguments_hidden + ordered(f)
}

/// What it adds that an order without any address names the tool, which the user did not: where there is one, following it
/// says more than the tool does, which many an honest call takes along.
fn ordered(f: &Features) -> f64 {
    let weight = if f.asked_none > 0.0 { ORDERED_UNTOLD } else { ORDERED };
    if f.passage_named > 0.0 {
        0.0
    } else {
        weight * features::factor(f.passage_tool_new) * features::factor(f.passage_own)
    }
}

/// The weight of that where what the user asked is known, and where it is not.
const ORDERED: f64 = 1.0;
const ORDERED_UNTOLD: f64 = 1.4;

/// Where it is not known what the user asked, what is asked for and what is planted look alike to a fit, which then goes by
/// how much of a passage a call uses: made-up hijacks use all of it, real ones need not. So a fit may speak for a hijack and
/// hardly against one, and the passage's mass counts by half.
const UNTOLD_LOWEST: f64 = -0.3;
const UNTOLD_MASS: f64 = 0.5;

/// What a call adds that hides all of what it was not asked for: no made-up hijack does, so that no fit can weigh it. Where
/// honest calls do, they are what scores are scaled by.
const HIDDEN: f64 = 0.3;

/// What of it an honest session in a hundred has at its worst call.
const CARRIED_OUT: f64 = 0.8;

/// How far the voice of those that trace values is lowered where the user told the agent to do what the result says, before
/// any such task is known: a fit that never saw one takes it for a hijack.
const DELEGATED: f64 = 0.6;
/// From this much on, a source counts as one the user handed over to.
const DELEGATED_FROM: f64 = 0.8;

/// Bounds of what the passage's mass may say.
const MASS_LOWEST: f64 = -2.0;
const MASS_HIGHEST: f64 = 0.5;

/// How far surprise rises beyond what one honest session in a hundred reaches: no order of tools by itself says as much as a
/// value that a passage ordered, and a kind of task that was never seen is no attack.
const SLOW_MOST: f64 = 0.1;

/// Score of a row that no expert speaks of.
const SILENCE: f64 = -20.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn known(delegating: usize) -> Known {
        Known { tasks: 20, delegating, told: true }
    }

    #[test]
    fn honest_sessions_that_all_say_the_same_make_no_step_of_a_small_difference() {
        for kind in Kind::ALL {
            let same = Scale::of(kind, vec![0.5; 50], 50, &known(3)).unwrap();
            assert_eq!(same.apply(0.5), 0.0);
            assert!(same.apply(0.51) < 0.5, "{kind:?}");
        }
    }

    #[test]
    fn a_call_that_hides_what_it_sends_counts_for_more() {
        let scale = Scale::of(Kind::General, vec![0.0, 1.0], 2, &known(0)).unwrap();
        let experts = [Expert { kind: Kind::General, scorer: Scorer::Mass, scale }];
        let at = |arguments_hidden| score(&experts, &Features { arguments_hidden, ..Features::default() }.row()).0;
        assert!((at(1.0) - at(0.0) - HIDDEN).abs() < 1e-12 && at(0.5) > at(0.0));
    }

    #[test]
    fn an_order_that_names_the_tool_counts_where_it_names_no_address_and_the_user_did_not_ask() {
        let order =
            Features { passage_tool_new: features::ln(1.0), passage_own: features::ln(1.0), ..Features::default() };
        let unasked = carried_out(&order) - carried_out(&Features { passage_tool_new: features::ln(0.0), ..order });
        assert!((unasked - ORDERED).abs() < 1e-12);
        let named = Features { passage_named: 1.0, ..order };
        assert_eq!(carried_out(&named), carried_out(&Features { passage_tool_new: features::ln(0.0), ..named }));
    }

    #[test]
    fn where_nothing_is_known_of_what_was_asked_a_fit_hardly_speaks_against_a_hijack() {
        let scale = Scale::of(Kind::General, vec![0.0, 4.0], 2, &known(0)).unwrap();
        let experts = [Expert { kind: Kind::General, scorer: Scorer::Unseen, scale }];
        // What the fit alone says.
        let says = |asked_none| {
            let f = Features { asked_none, ..Features::default() };
            score(&experts, &f.row()).0 - (carried_out(&f) - CARRIED_OUT)
        };
        assert!(says(0.0) < -0.5, "the test wants a fit that speaks against one");
        assert!((says(1.0) - UNTOLD_LOWEST).abs() < 1e-12);
    }

    #[test]
    fn a_source_the_user_handed_over_to_is_doubted_the_less_the_more_such_tasks_are_known() {
        let general = |delegating| {
            let scale = Scale::of(Kind::General, vec![0.0, 1.0], 2, &known(delegating)).unwrap();
            Expert { kind: Kind::General, scorer: Scorer::Mass, scale }
        };
        let loss = |delegating| {
            let handed = Features { source_undelegated: features::ln(0.0), ..Features::default() }.row();
            let experts = [general(delegating)];
            score(&experts, &Features::default().row()).0 - score(&experts, &handed).0
        };
        assert_eq!(loss(0), DELEGATED);
        assert!(loss(0) > loss(1) && loss(1) > loss(10) && loss(10) > 0.0);
    }
}
