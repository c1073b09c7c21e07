//! The path of one call: features → scores → verdict.

use crate::conformal;
use crate::evidence;
use crate::extraction::{Delta, Finding, LinksState, PrincipalState};
use crate::features::{self, Found};
use crate::fusion;
use crate::markov::{Step, Symbol};
use crate::model::Model;
use crate::state::SessionState;
use schema::{Call, Digest, How, PValue, Pattern, QueryRecord, Risk, Verdict};

/// A model in force.
#[derive(Debug, Clone)]
pub struct Detector {
    model: Option<Model>,
    digest: Digest,
}

/// A verdict, and what it rests on.
#[derive(Debug, Clone, PartialEq)]
pub struct Looked {
    /// The verdict.
    pub verdict: Verdict,
    /// The call's features, in the order of [`crate::feature_meanings`]; none without a model or for a bare query.
    pub row: Vec<f64>,
    /// Probability of the tool after the tools before, in `(0, 1]`; none without a model.
    pub edge: Option<f64>,
    /// Share of the arguments that the user named.
    named: f64,
    /// The step to the call, where it is known.
    sequence: Option<(Symbol, Step)>,
}

impl Looked {
    fn nothing(verdict: Verdict) -> Self {
        Self { verdict, row: Vec::new(), edge: None, named: 0.0, sequence: None }
    }
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
        self.observe_closely(state, call).verdict
    }

    /// The same, with what the verdict rests on.
    pub fn observe_closely(&self, state: &mut SessionState, call: &Call) -> Looked {
        if let Some(mission) = &call.mission {
            state.ask(mission);
        }
        let looked = self.look(state, call);
        match &self.model {
            Some(model) => model.take_in(state, call, &looked),
            None => state.push_call(call),
        }
        looked
    }

    /// What is said of a call whose session is not known: nothing against it.
    pub fn nothing_known(&self, call: &Call) -> Verdict {
        self.ordinary(call, false)
    }

    /// What [`Detector::observe`] would say of a call that brings no mission; `state` stays as it is.
    pub fn look(&self, state: &SessionState, call: &Call) -> Looked {
        // Before the call's own result is taken in.
        let exposed = state.exposed();
        let Some(model) = &self.model else { return Looked::nothing(self.ordinary(call, exposed)) };
        // Its arguments are a query and nothing else: what it means is the principals stage's to say.
        if is_bare_query(call) {
            let edge = model.markov.probability(&state.sequence, call);
            return Looked { edge: Some(edge), ..Looked::nothing(self.ordinary(call, exposed)) };
        }
        let found = features::of(state, call, &model.markov, &model.provenance);
        Looked {
            verdict: Verdict { exposed, ..self.judge(model, state, call, &found) },
            row: found.features.row().to_vec(),
            edge: Some(found.edge()),
            named: found.named,
            sequence: found.sequence,
        }
    }

    /// Risk and p-value of a row as they were when a call had it: what a record of it is held against. None without a
    /// model, or for a row of another length.
    pub fn rescore(&self, row: &[f64], exposed: bool) -> Option<(Risk, PValue)> {
        let model = self.model.as_ref()?;
        let (score, _) = fusion::score(&model.experts, row.try_into().ok()?);
        Some((conformal::risk(score), model.calibration.p_value(score, exposed)))
    }

    /// What the isolation forest says of a row by itself, in `(0, 1]`, whatever the other experts say; 0 without a model, and
    /// for a call that has no row.
    pub fn isolation(&self, row: &[f64]) -> f64 {
        let model = self.model.as_ref().filter(|_| !row.is_empty());
        model.and_then(|model| fusion::forest(&model.experts)).map_or(0.0, |forest| forest.score(row))
    }

    /// How much each sentence of `text` reads like an instruction, 0..1; nothing without a model.
    pub fn strengths(&self, text: &schema::Text) -> Vec<f64> {
        let strengths = self.model.as_ref().map(|model| model.strength.of_text(&text.sentences)).unwrap_or_default();
        strengths.iter().map(|strength| strength.near).collect()
    }

    /// Whether a sentence of `text` by itself reads so much like an instruction that whoever reads it is exposed.
    pub fn exposes(&self, text: &schema::Text) -> bool {
        let exposes = |model: &Model| text.sentences.iter().any(|sentence| model.strength.exposes(sentence.cues));
        self.model.as_ref().is_some_and(exposes)
    }

    /// Whether too little was learned for a promise.
    pub fn is_learning(&self) -> bool {
        self.model.as_ref().is_none_or(|model| model.calibration.len() < CALIBRATION_MIN)
    }

    fn ordinary(&self, call: &Call, exposed: bool) -> Verdict {
        Verdict { exposed, ..self.verdict(call, Risk::clamped(0.0), PValue::clamped(1.0)) }
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
    /// The verdict stands beside the session's own; the decision takes the higher risk. What comes with it, where anything
    /// does, is for [`Detector::observe_links`].
    pub fn observe_principal(
        &self,
        state: &mut PrincipalState,
        query: &QueryRecord,
    ) -> Option<(Verdict, Option<Delta>)> {
        let (finding, delta) = self.model.as_ref()?.extraction.as_ref()?.observe(state, query);
        Some((self.copying(query, finding), delta))
    }

    /// Moves the links of an API past what a principal's query added. The verdict stands beside the other two.
    pub fn observe_links(&self, state: &mut LinksState, delta: Delta, query: &QueryRecord) -> Option<Verdict> {
        let finding = self.model.as_ref()?.extraction.as_ref()?.observe_links(state, delta);
        Some(self.copying(query, finding))
    }

    fn copying(&self, query: &QueryRecord, finding: Finding) -> Verdict {
        let pattern = if finding.p_value.get() > evidence::NAMED_BELOW { Pattern::None } else { Pattern::Extraction };
        Verdict {
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
        }
    }

    fn judge(&self, model: &Model, state: &SessionState, call: &Call, found: &Found) -> Verdict {
        let row = found.features.row();
        let (score, expert) = fusion::score(&model.experts, &row);
        let exposed = state.exposed();
        let p_value = model.calibration.p_value(score, exposed);
        let (pattern, evidence) = evidence::of(expert, state, call, found, p_value);
        Verdict {
            exposed,
            learning: self.is_learning(),
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
    /// Keeps a call and its result for the calls after it.
    fn take_in(&self, state: &mut SessionState, call: &Call, looked: &Looked) {
        let at = state.calls;
        match &looked.sequence {
            Some((symbol, step)) => state.sequence.advance_by(&self.markov, step, symbol),
            None => state.sequence.advance(&self.markov, &Symbol::of(call)),
        }
        state.push_call(call);
        if let Some(text) = &call.result {
            let strengths = self.strength.of_text(&text.sentences);
            state.push_result(at, call, looked.named, text, &strengths);
        }
    }
}
