//! The shipped policies, in the words of those who live with them.

use crate::common::{NOW, ask, scored, standing};
use policy::{PolicySet, Scored, decide};
use schema::*;
use serde_json::json;

fn check(scored: &Scored, want: Ladder, because: &str) {
    let decision = decide(&ask(scored), &PolicySet::default(), Mode::Enforce, NOW);
    let first = decision.reasons.first().map(PolicyId::as_str);
    assert_eq!((decision.decision, first), (want, Some(because)), "{decision:?}");
}

const READS: &str = r#"{"tool":"search_hotels","tool_info":{"read_only":true}}"#;

fn read() -> serde_json::Value {
    serde_json::from_str(READS).unwrap()
}

#[test]
fn there_are_at_least_twenty_rules_and_every_one_says_why() {
    let set = PolicySet::default();
    let rules = set.rules();
    assert!(rules.len() > 20, "{}", rules.len());
    assert!(rules.iter().all(|rule| rule.why.is_some() && !rule.id.as_str().starts_with("policy")));
}

#[test]
fn an_ordinary_call_goes_through() {
    check(&scored(json!({}), 0.4, Pattern::None, false), Ladder::Allow, "default-allow");
}

#[test]
fn an_agent_that_reads_a_poisoned_page_and_goes_on_with_its_task_is_let_through() {
    check(&scored(json!({}), 0.3, Pattern::None, true), Ladder::Allow, "default-allow");
}

#[test]
fn a_hijacked_agent_is_stopped_before_it_pays() {
    check(&scored(json!({"tool":"send_money"}), 0.004, Pattern::Injection, true), Ladder::Deny, "injection");
}

#[test]
fn a_hijack_that_only_reads_is_stopped_too() {
    check(&scored(read(), 0.004, Pattern::Injection, true), Ladder::Deny, "injection");
}

#[test]
fn a_call_that_may_be_a_hijack_waits_for_the_user() {
    check(
        &scored(json!({"tool":"send_money"}), 0.015, Pattern::Injection, true),
        Ladder::StepUp,
        "injection-suspected",
    );
}

#[test]
fn a_read_that_may_be_a_hijack_is_slowed_down() {
    check(&scored(read(), 0.015, Pattern::Injection, true), Ladder::Throttle, "injection-suspected-read");
}

#[test]
fn someone_copying_a_model_is_slowed_then_asked_then_stopped() {
    for (p, want, because) in [
        (0.025, Ladder::Throttle, "extraction-suspected"),
        (0.008, Ladder::StepUp, "extraction-likely"),
        (0.001, Ladder::Deny, "extraction"),
    ] {
        check(&scored(read(), p, Pattern::Extraction, false), want, because);
    }
}

#[test]
fn a_user_who_drives_the_agent_to_harm_is_stopped() {
    check(&scored(json!({}), 0.01, Pattern::Abuse, false), Ladder::Deny, "abuse");
}

#[test]
fn an_unusual_write_is_stopped_and_an_unusual_read_may_be_confirmed() {
    check(&scored(json!({}), 0.01, Pattern::None, false), Ladder::Deny, "anomaly-write");
    check(&scored(read(), 0.01, Pattern::None, false), Ladder::StepUp, "anomaly-read");
}

#[test]
fn one_part_in_a_million_over_the_threshold_is_over_it() {
    check(&scored(json!({}), 0.010_001, Pattern::None, false), Ladder::Allow, "default-allow");
}

#[test]
fn a_device_without_a_certificate_has_to_confirm_what_a_known_one_need_not() {
    let unknown = scored(json!({"device":null}), 0.015, Pattern::None, true);
    check(&unknown, Ladder::StepUp, "unknown-device-exposed");
    check(&scored(json!({}), 0.015, Pattern::None, true), Ladder::Allow, "default-allow");
}

#[test]
fn a_long_chain_of_delegates_has_to_confirm_an_unusual_change() {
    let chain = json!({"actor":["a","b","c","d","e"]});
    check(&scored(chain, 0.025, Pattern::None, false), Ladder::StepUp, "long-delegation");
}

#[test]
fn a_sub_agent_that_passes_on_what_it_read_has_to_confirm() {
    check(&scored(json!({"parent":"s-0"}), 0.015, Pattern::None, true), Ladder::StepUp, "sub-agent-exposed");
}

#[test]
fn a_model_that_is_learning_denies_nothing() {
    for pattern in [Pattern::None, Pattern::Injection, Pattern::Extraction, Pattern::Abuse] {
        let mut scored = scored(json!({}), 0.0, pattern, true);
        scored.verdict.learning = true;
        check(&scored, Ladder::Allow, "default-allow");
        let rich = Budgets { milliunits: 1_000_000, ..Budgets::default() };
        scored.standing = Some(standing(1.0, true, rich));
        let decision = decide(&ask(&scored), &PolicySet::default(), Mode::Enforce, NOW);
        assert_eq!(decision.decision, Ladder::Throttle, "at most slowed down: {decision:?}");
    }
}

#[test]
fn a_session_that_burns_money_is_asked_about_and_in_the_end_stopped() {
    let spent = |milliunits| {
        let mut scored = scored(json!({}), 0.5, Pattern::None, false);
        scored.standing = Some(standing(0.0, false, Budgets { milliunits, ..Budgets::default() }));
        scored
    };
    check(&spent(49_999), Ladder::Allow, "default-allow");
    check(&spent(50_000), Ladder::StepUp, "session-cost");
    check(&spent(500_000), Ladder::Deny, "session-cost-stop");
}

#[test]
fn when_only_the_standing_is_known_a_risky_session_may_not_write_unasked() {
    let mut scored = scored(json!({}), 0.0, Pattern::Injection, true);
    scored.degraded = true;
    scored.standing = Some(standing(0.95, true, Budgets::default()));
    check(&scored, Ladder::StepUp, "degraded-risky-write");
}

#[test]
fn an_answer_from_the_standing_alone_never_denies() {
    for (risk, exposed) in [(0.0, false), (0.5, true), (1.0, true)] {
        for pattern in [Pattern::None, Pattern::Injection, Pattern::Extraction, Pattern::Abuse] {
            let mut scored = scored(json!({}), 0.0, pattern, exposed);
            scored.degraded = true;
            scored.standing = Some(standing(risk, exposed, Budgets::default()));
            let decision = decide(&ask(&scored), &PolicySet::default(), Mode::Enforce, NOW);
            assert!(decision.degraded && decision.decision < Ladder::Deny, "{decision:?}");
        }
    }
}

#[test]
fn a_session_once_risky_recovers_by_being_quiet() {
    let mut scored = scored(json!({}), 0.5, Pattern::None, false);
    scored.degraded = true;
    scored.standing = Some(standing(0.95, false, Budgets::default()));
    check(&scored, Ladder::StepUp, "degraded-risky-write");
    let later = Millis(NOW.0 + 60_000);
    let decision = decide(&ask(&scored), &PolicySet::default(), Mode::Enforce, later);
    assert_eq!(decision.decision, Ladder::Allow, "{decision:?}");
}
