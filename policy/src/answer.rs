//! A decision in the field's forms: a status, headers and a problem body that any HTTP gateway can pass on.

use crate::PolicySet;
use crate::limits::RETRY_AFTER_MS;
use schema::{Decision, Ladder, PolicyId};
use serde_json::json;

/// An answer to be passed on to the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// 200, 401, 403 or 429.
    pub status: u16,
    /// Lower-case names; values are printable ASCII.
    pub headers: Vec<(&'static str, String)>,
    /// Empty for a call that goes through, else RFC 9457 JSON.
    pub body: String,
}

impl Answer {
    /// How `decision` is said over HTTP.
    ///
    /// - throttle: 429, `Retry-After` (RFC 9110, section 10.2.3) and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10)
    /// - step-up: 401 and the challenge of RFC 9470, section 3
    /// - deny: 403
    pub fn of(decision: &Decision, policies: &PolicySet) -> Self {
        let mut headers = vec![
            ("vedette-decision", word(decision.decision).to_owned()),
            ("vedette-decision-id", printable(decision.id.as_str())),
        ];
        if decision.would != decision.decision {
            headers.push(("vedette-would", word(decision.would).to_owned()));
        }
        if decision.degraded {
            headers.push(("vedette-degraded", "true".to_owned()));
        }
        let (status, title) = match decision.decision {
            Ladder::Allow => return Self { status: 200, headers, body: String::new() },
            Ladder::Throttle => {
                let seconds = decision.retry_after_ms.unwrap_or(RETRY_AFTER_MS).div_ceil(1_000);
                headers.push(("retry-after", seconds.to_string()));
                headers.push(("ratelimit", format!("\"vedette\";r=0;t={seconds}")));
                (429, "Too Many Requests")
            }
            Ladder::StepUp => {
                headers.push(("www-authenticate", challenge(decision, policies)));
                (401, "Unauthorized")
            }
            Ladder::Deny => (403, "Forbidden"),
        };
        headers.push(("content-type", "application/problem+json".to_owned()));
        headers.push(("cache-control", "no-store".to_owned()));
        let why = decision.reasons.first().and_then(|id| policies.rule(id)).and_then(|rule| rule.why.as_deref());
        let body = json!({
            "type": format!("urn:vedette:problem:{}", word(decision.decision)), "title": title, "status": status,
            "detail": why.unwrap_or("the policy in force does not let this call through"),
            "decision_id": decision.id, "reasons": decision.reasons,
        });
        Self { status, headers, body: body.to_string() }
    }
}

/// The ladder as headers, metrics and messages spell it.
pub(crate) fn word(ladder: Ladder) -> &'static str {
    match ladder {
        Ladder::Allow => "allow",
        Ladder::Throttle => "throttle",
        Ladder::StepUp => "step_up",
        Ladder::Deny => "deny",
    }
}

/// RFC 9470, section 3: what the user's authentication lacks. All step-up rules that applied are asked for: the union
/// of their `acr_values`, the shortest `max_age`.
fn challenge(decision: &Decision, policies: &PolicySet) -> String {
    let rules: Vec<_> = decision.reasons.iter().filter_map(|id: &PolicyId| policies.rule(id)).collect();
    let mut text = "Bearer error=\"insufficient_user_authentication\", \
                    error_description=\"this call needs the user's fresh confirmation\""
        .to_owned();
    let acr: Vec<&str> = rules.iter().filter_map(|rule| rule.acr_values.as_deref()).collect();
    if !acr.is_empty() {
        text.push_str(&format!(", acr_values=\"{}\"", acr.join(" ")));
    }
    if let Some(age) = rules.iter().filter_map(|rule| rule.max_age_s).min() {
        text.push_str(&format!(", max_age=\"{age}\""));
    }
    text
}

/// An id may hold any text; a header may not.
fn printable(text: &str) -> String {
    text.chars().map(|c| if (' '..='~').contains(&c) { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use schema::{CallId, Mode};

    fn decision(ladder: Ladder, reasons: &[&str], retry_after_ms: Option<u64>) -> Decision {
        Decision {
            v: 1,
            id: CallId::new("c-1").unwrap(),
            decision: ladder,
            would: ladder,
            mode: Mode::Enforce,
            degraded: false,
            reasons: reasons.iter().map(|id| PolicyId::new(id).unwrap()).collect(),
            policy: PolicySet::default().digest(),
            retry_after_ms,
        }
    }

    fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
        answer.headers.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str())
    }

    #[test]
    fn a_throttle_says_when_to_come_back_in_whole_seconds() {
        let answer = Answer::of(&decision(Ladder::Throttle, &[], Some(1_001)), &PolicySet::default());
        assert_eq!((answer.status, header(&answer, "retry-after")), (429, Some("2")));
        assert_eq!(header(&answer, "ratelimit"), Some("\"vedette\";r=0;t=2"));
    }

    #[test]
    fn a_step_up_is_the_challenge_of_rfc_9470() {
        let set = "@id(\"g\") permit (principal, action, resource); @id(\"a\") @ladder(\"step_up\") @acr_values(\"mfa\") \
                   @max_age_s(\"300\") forbid (principal, action, resource); @id(\"b\") @ladder(\"step_up\") \
                   @max_age_s(\"60\") forbid (principal, action, resource);";
        let answer = Answer::of(&decision(Ladder::StepUp, &["a", "b"], None), &PolicySet::parse(set).unwrap());
        let want = "Bearer error=\"insufficient_user_authentication\", error_description=\"this call needs the user's \
                    fresh confirmation\", acr_values=\"mfa\", max_age=\"60\"";
        assert_eq!((answer.status, header(&answer, "www-authenticate")), (401, Some(want)));
    }

    #[test]
    fn a_denial_says_why_to_people() {
        let answer = Answer::of(&decision(Ladder::Deny, &["injection"], None), &PolicySet::default());
        let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!((answer.status, &body["status"]), (403, &json!(403)));
        assert_eq!(body["detail"], "the call does what a text the agent read told it to do");
    }

    #[test]
    fn a_call_that_goes_through_has_no_body() {
        let answer = Answer::of(&decision(Ladder::Allow, &[], None), &PolicySet::default());
        assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    }
}
