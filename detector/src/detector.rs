//! The path of one call: features → scores → verdict.

use crate::conformal;
use crate::evidence;
use crate::extraction::PrincipalState;
use crate::features::{self, Found};
use crate::fusion;
use crate::markov::Symbol;
use crate::model::Model;
use crate::state::SessionState;
use schema::{Call, Digest, How, PValue, Pattern, QueryRecord, Risk, Verdict};

/// A model in force.
#[derive(Debug, Clone)]
pub struct Detector {
    model: Option<Model>,
    digest: Digest,
}

impl Detector {
    /// Puts a model in force.
    pub fn new(model: Model) -> Self {
        let digest = model.digest();
        Self { model: Some(model), digest }
    }

    /// A detector that knows nothing yet: every verdict says `learning`, and nothing is flagged.
    pub fn learning() -> Self {
        Self { model: None, digest: Digest([0; 32]) }
    }

    /// The digest of the model in force.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Moves `state` past `call` and says how anomalous the session now looks.
    ///
    /// The call's own result is not looked at for its verdict; it is kept for the calls after it.
    pub fn observe(&self, state: &mut SessionState, call: &Call) -> Verdict {
        if let Some(mission) = &call.mission {
            state.ask(mission);
        }
        // Before the call's own result is taken in.
        let exposed = state.exposed();
        let verdict = match &self.model {
            // Its arguments are a query and nothing else: what it means is the principals stage's to say.
            Some(model) if is_bare_query(call) => {
                model.take_in(state, call, 0.0);
                self.verdict(call, Risk::clamped(0.0), PValue::clamped(1.0))
            }
            Some(model) => {
                let found = features::of(state, call, &model.markov, &model.provenance);
                let verdict = self.judge(model, state, call, &found);
                model.take_in(state, call, found.named);
                verdict
            }
            None => {
                state.push_call(call);
                self.verdict(call, Risk::clamped(0.0), PValue::clamped(1.0))
            }
        };
        Verdict { exposed, ..verdict }
    }

    /// The features of `call` as [`Detector::observe`] would see them, in the order of [`crate::feature_meanings`]; none without a model.
    pub fn features(&self, state: &SessionState, call: &Call) -> Option<Vec<f64>> {
        let model = self.model.as_ref()?;
        let mut state = state.clone();
        if let Some(mission) = &call.mission {
            state.ask(mission);
        }
        Some(features::of(&state, call, &model.markov, &model.provenance).features.row().to_vec())
    }

    /// Moves a principal's state past one of its queries. `None` without a model of honest clients.
    ///
    /// The verdict stands beside the session's own; the decision takes the higher risk.
    pub fn observe_principal(&self, state: &mut PrincipalState, query: &QueryRecord) -> Option<Verdict> {
        let honest = self.model.as_ref()?.extraction.as_ref()?;
        let finding = honest.observe(state, query);
        let pattern = if finding.p_value.get() > evidence::NAMED_BELOW { Pattern::None } else { Pattern::Extraction };
        Some(Verdict {
            v: schema::RECORD_VERSION,
            id: query.id.clone(),
            session: query.session.clone(),
            how: How::Explicit,
            sure: How::Explicit.sure(),
            risk: finding.risk,
            p_value: finding.p_value,
            pattern,
            model: self.digest,
            exposed: false,
            learning: false,
            evidence: finding.evidence,
        })
    }

    fn judge(&self, model: &Model, state: &SessionState, call: &Call, found: &Found) -> Verdict {
        let row = found.features.row();
        let (score, expert) = fusion::score(&model.experts, &row);
        let exposed = state.exposed();
        let p_value = model.calibration.p_value(score, exposed);
        let (pattern, evidence) = evidence::of(expert, state, call, found, p_value);
        Verdict {
            exposed,
            learning: model.calibration.len() < CALIBRATION_MIN,
            pattern,
            evidence,
            ..self.verdict(call, conformal::risk(score), p_value)
        }
    }

    fn verdict(&self, call: &Call, risk: Risk, p_value: PValue) -> Verdict {
        Verdict {
            v: schema::RECORD_VERSION,
            id: call.id.clone(),
            session: call.session.clone(),
            how: call.how,
            sure: call.how.sure(),
            risk,
            p_value,
            pattern: Pattern::None,
            model: self.digest,
            exposed: false,
            learning: self.model.is_none(),
            evidence: Vec::new(),
        }
    }
}

/// Whether the call is a query and names nothing besides that could be traced.
pub(crate) fn is_bare_query(call: &Call) -> bool {
    call.query.is_some() && call.args.iter().all(|leaf| leaf.tokens.is_empty())
}

/// Fewest held-out sessions that a p-value is worth anything with.
const CALIBRATION_MIN: usize = 20;

impl Model {
    /// Keeps a call and its result for the calls after it. `named`: share of its arguments that the user named.
    pub(crate) fn take_in(&self, state: &mut SessionState, call: &Call, named: f64) {
        let at = state.calls;
        state.sequence.advance(&self.markov, &Symbol::of(call));
        state.push_call(call);
        if let Some(text) = &call.result {
            let strengths = self.strength.of_text(&text.sentences);
            state.push_result(at, call, named, text, &strengths);
        }
    }
}
