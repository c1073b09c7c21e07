//! What the detector says of one call, in the light of the calls before it.

use crate::{CallId, Digest, PValue, Path, Risk, Session, Tool};
use serde::{Deserialize, Serialize};

/// How a call's session was found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// The record names it.
    Explicit,
    /// A conversation, MCP session or A2A context id.
    Conversation,
    /// The trace id of `traceparent`.
    Trace,
    /// The token's `jti`.
    Token,
    /// Principal, agent, device and app, cut at an idle gap.
    Idle,
}

impl How {
    /// How sure the derivation is that calls of one session are together and others apart, 0..1.
    pub fn sure(self) -> f64 {
        match self {
            How::Explicit => 1.0,
            How::Conversation => 0.95,
            How::Trace => 0.8,
            How::Token => 0.7,
            How::Idle => 0.4,
        }
    }
}

/// What kind of attack a verdict speaks of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pattern {
    /// Nothing in particular.
    #[default]
    None,
    /// The agent does what a text it read told it to.
    Injection,
    /// A model or data is copied through its API.
    Extraction,
    /// The user drives the agent to harm.
    Abuse,
}

/// Where a text came from: never the text itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Index of the earlier call in its session, from 0.
    pub call: u32,
    /// Sentence of that call's result, from 0.
    pub sentence: u32,
}

/// One reason for a risk. `share` is its part of the score, and the shares of a verdict sum to at most 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Evidence {
    /// An argument's value was first seen in an instruction-like sentence of an earlier result.
    Value {
        /// Which argument.
        leaf: Path,
        /// The sentence.
        from: Source,
        /// How instruction-like that sentence is, 0..1.
        strength: f64,
        /// Part of the score.
        share: f64,
    },
    /// The call does what a sentence of an earlier result says.
    Restatement {
        /// The sentence.
        from: Source,
        /// How instruction-like that sentence is, 0..1.
        strength: f64,
        /// Part of the score.
        share: f64,
    },
    /// This tool seldom follows that one.
    Edge {
        /// The tool before; none at the start of a session.
        from: Option<Tool>,
        /// This call's tool.
        to: Tool,
        /// Its probability.
        p: f64,
        /// Part of the score.
        share: f64,
    },
    /// A feature of the session that isolates it from learned ones.
    Feature {
        /// Its name, as `vedette explain` lists them.
        name: String,
        /// Its value.
        value: f64,
        /// Part of the score.
        share: f64,
    },
}

/// The detector's word on one call. One a call on [`crate::topics::VERDICTS`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Record version.
    pub v: u8,
    /// The call.
    pub id: CallId,
    /// Its session.
    pub session: Session,
    /// How the session was derived.
    pub how: How,
    /// How sure that is, 0..1.
    pub sure: f64,
    /// How anomalous the call looks.
    pub risk: Risk,
    /// Share of clean sessions that ever look at least so anomalous.
    pub p_value: PValue,
    /// What it looks like.
    pub pattern: Pattern,
    /// The model that said so.
    pub model: Digest,
    /// The session has met instruction-like text.
    pub exposed: bool,
    /// The model knows too little of this agent's traffic to promise anything.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub learning: bool,
    /// Why, strongest first, at most [`crate::limits::EVIDENCE_MAX`].
    pub evidence: Vec<Evidence>,
}

impl Verdict {
    /// Whether the call is flagged when a share `alpha` of clean sessions may be.
    pub fn flagged(&self, alpha: f64) -> bool {
        !self.learning && self.p_value.get() <= alpha
    }
}
