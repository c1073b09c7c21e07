//! Allowlists: who lets what through, and what stays to be seen of it.

use crate::common::http::{Scripted, decide, start};
use crate::common::{NOW, ask, scored};
use policy::server::AppState;
use policy::{AllowError, Allowlist, PolicySet, decide as pure};
use schema::*;
use serde_json::json;
use std::sync::Arc;

fn list(scope: &str, expires: u64) -> Allowlist {
    let line = format!(r#"{{"id":"batch-job",{scope},"owner":"ada","reason":"month's end","expires":{expires}}}"#);
    Allowlist::parse(&line).unwrap()
}

/// What is decided about a hijack of `travel-planner@3.2` under `scope`.
fn check(scope: &str, expires: u64, want: Ladder) {
    let hijack = scored(json!({"tool": "pay"}), 0.001, Pattern::Injection, true);
    let decision = pure(&ask(&hijack), &PolicySet::default(), Mode::Enforce, NOW);
    let decision = list(scope, expires).apply(decision, &hijack.call, NOW);
    assert_eq!((decision.decision, decision.would), (want, want), "{scope}");
}

#[test]
fn an_entry_covers_its_scope_until_it_expires() {
    check(r#""agent":"travel-planner""#, NOW.0 + 1, Ladder::Allow);
    check(r#""agent":"travel-planner""#, NOW.0, Ladder::Deny);
    check(r#""agent":"travel""#, NOW.0 + 1, Ladder::Deny);
    check(r#""agent":"travel-planner","tool":"pay","policy":"injection","session":"s-1""#, NOW.0 + 1, Ladder::Allow);
    check(r#""agent":"travel-planner","tool":"read""#, NOW.0 + 1, Ladder::Deny);
    check(r#""policy":"abuse""#, NOW.0 + 1, Ladder::Deny);
}

#[test]
fn what_was_suppressed_stays_in_the_reasons() {
    let hijack = scored(json!({}), 0.001, Pattern::Injection, true);
    let decision = pure(&ask(&hijack), &PolicySet::default(), Mode::Enforce, NOW);
    let reasons = decision.reasons.clone();
    let turned = list(r#""tenant":"acme""#, NOW.0 + 1).apply(decision, &hijack.call, NOW);
    assert_eq!(turned.reasons[0].as_str(), "allow:batch-job");
    assert_eq!(turned.reasons[1..], reasons[..]);
}

#[test]
fn a_list_that_nobody_answers_for_or_that_covers_everything_is_refused() {
    let entry = |id: &str, scope: &str, owner: &str| {
        format!("{{\"id\":\"{id}\",{scope}\"owner\":\"{owner}\",\"reason\":\"r\",\"expires\":1}}")
    };
    let said = |text: &str| Allowlist::parse(text).unwrap_err();
    assert!(matches!(said(&entry("a", "", "ada")), AllowError::Everything(_)));
    assert!(matches!(said(&entry("a", "\"tool\":\"t\",", " ")), AllowError::Nobody(_)));
    let good = entry("a", "\"tool\":\"t\",", "ada");
    assert!(matches!(said(&format!("{good}\n{good}")), AllowError::Twice(_)));
    // A misspelt scope must not become a wider one.
    assert!(matches!(said(&entry("a", "\"tool\":\"t\",\"agnet\":\"x\",", "ada")), AllowError::Line { line: 1, .. }));
    assert!(matches!(said(&format!("{good}\nnonsense")), AllowError::Line { line: 2, .. }));
    let list = Allowlist::parse(&good).unwrap();
    assert_eq!(Allowlist::parse(&list.write()).unwrap(), list);
}

#[tokio::test]
async fn the_webhook_lets_through_what_is_allowed_and_nothing_else() {
    let mut state = AppState::new(Arc::new(Scripted::default()), PolicySet::default(), Mode::Enforce);
    state.routes.default.deadline_ms = 30_000;
    state.allowlist.store(Arc::new(list(r#""tool":"hijacked_pay""#, u64::MAX)));
    let at = start(state).await.address;
    let through = decide(at, "hijacked_pay", &[]).await.json();
    assert_eq!((&through["decision"], &through["reasons"][0]), (&json!("allow"), &json!("allow:batch-job")));
    assert_eq!(decide(at, "hijacked_send", &[]).await.json()["decision"], "deny");
}
