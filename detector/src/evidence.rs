//! Why a verdict is what it is: which text, which value, which step, which feature.

use crate::features::{Found, NAMES};
use crate::fusion::{Expert, Kind};
use crate::state::SessionState;
use schema::limits::EVIDENCE_MAX;
use schema::{Call, Evidence, PValue, Pattern, Source};

/// Names the pattern and lists the reasons, strongest first.
pub(crate) fn of(
    expert: Option<&Expert>,
    state: &SessionState,
    call: &Call,
    found: &Found,
    p_value: PValue,
) -> (Pattern, Vec<Evidence>) {
    if p_value.get() > NAMED_BELOW {
        return (Pattern::None, Vec::new());
    }
    let row = found.features.row();
    let parts: Vec<f64> =
        expert.map_or_else(Vec::new, |e| e.scorer.parts(&row)).iter().map(|part| part.max(0.0)).collect();
    let total: f64 = parts.iter().sum::<f64>().max(f64::MIN_POSITIVE);
    let (mut text, mut edge, mut rest) = (0.0, 0.0, Vec::new());
    for ((name, part), value) in NAMES.iter().zip(&parts).zip(row) {
        let share = part / total;
        match *name {
            name if name.starts_with("passage")
                || name.starts_with("value")
                || name.starts_with("bound")
                || name.ends_with("cover")
                || matches!(name, "source_unnamed" | "origin_bound" | "from_results" | "handles_from_results") =>
            {
                text += share
            }
            "sequence" | "tool_unknown" | "tool_seldom" => edge += share,
            _ if share >= SHARE_MIN => rest.push(Evidence::Feature { name: (*name).to_owned(), value, share }),
            _ => {}
        }
    }
    let mut out = rest;
    if let Some(window) = found.window {
        let from = Source { call: window.place.call, sentence: window.number };
        out.push(match &found.leaf {
            Some(leaf) => Evidence::Value { leaf: leaf.clone(), from, strength: window.strength, share: text },
            None => Evidence::Restatement { from, strength: window.strength, share: text },
        });
    }
    if edge >= SHARE_MIN {
        out.push(Evidence::Edge { from: state.last_tool.clone(), to: call.tool.clone(), p: found.edge(), share: edge });
    }
    out.sort_by(|a, b| share(b).total_cmp(&share(a)));
    out.truncate(EVIDENCE_MAX);
    let instructed = found.window.is_some_and(|w| w.strength >= crate::strength::EXPOSED);
    let told = !expert.is_some_and(|e| matches!(e.kind, Kind::Odd | Kind::Blind)) || instructed;
    (if told && found.window.is_some() { Pattern::Injection } else { Pattern::Abuse }, out)
}

fn share(evidence: &Evidence) -> f64 {
    match evidence {
        Evidence::Value { share, .. }
        | Evidence::Restatement { share, .. }
        | Evidence::Edge { share, .. }
        | Evidence::Feature { share, .. } => *share,
    }
}

/// p-values above this name nothing.
pub(crate) const NAMED_BELOW: f64 = 0.25;
/// Reasons below this share are left out.
const SHARE_MIN: f64 = 0.05;
