//! The ladder, the shadow twin, and what happens to a broken policy file.

use crate::common::{NOW, ask, scored};
use policy::{Policies, PolicyError, PolicySet, decide};
use schema::*;
use serde_json::json;

const GROUND: &str = "@id(\"ground\") permit (principal, action, resource);\n";

fn set(rules: &str) -> PolicySet {
    PolicySet::parse(&format!("{GROUND}{rules}")).unwrap()
}

fn rule(id: &str, annotations: &str, when: &str) -> String {
    format!("@id(\"{id}\") {annotations} forbid (principal, action, resource) when {{ {when} }};\n")
}

fn refused(text: &str, line: usize, column: usize, says: &str) {
    let error = PolicySet::parse(text).unwrap_err();
    assert_eq!(error.place(), Some((line, column)), "{error}");
    assert!(error.to_string().contains(says), "{error}");
}

#[test]
fn the_strictest_policy_that_applies_decides_and_is_named_first() {
    let rules = [
        rule("slow", "@ladder(\"throttle\") @retry_after_ms(\"250\")", "true"),
        rule("ask", "@ladder(\"step_up\")", "true"),
        rule("stop", "@ladder(\"deny\")", "context.tool == \"send_money\""),
    ]
    .concat();
    let decide = |tool: &str| {
        let scored = scored(json!({"tool": tool}), 0.5, Pattern::None, false);
        let decision = decide(&ask(&scored), &set(&rules), Mode::Enforce, NOW);
        (decision.decision, decision.reasons.iter().map(|id| id.as_str().to_owned()).collect::<Vec<_>>())
    };
    assert_eq!(decide("send_money"), (Ladder::Deny, vec!["stop".into(), "ask".into(), "slow".into()]));
    assert_eq!(decide("read"), (Ladder::StepUp, vec!["ask".into(), "slow".into()]));
}

#[test]
fn the_longest_wait_counts() {
    let rules = [
        rule("a", "@ladder(\"throttle\") @retry_after_ms(\"250\")", "true"),
        rule("b", "@ladder(\"throttle\") @retry_after_ms(\"4000\")", "true"),
    ]
    .concat();
    let scored = scored(json!({}), 0.5, Pattern::None, false);
    assert_eq!(decide(&ask(&scored), &set(&rules), Mode::Enforce, NOW).retry_after_ms, Some(4_000));
}

#[test]
fn a_forbid_without_a_ladder_denies() {
    let scored = scored(json!({}), 0.5, Pattern::None, false);
    assert_eq!(decide(&ask(&scored), &set(&rule("stop", "", "true")), Mode::Enforce, NOW).decision, Ladder::Deny);
}

#[test]
fn in_shadow_everything_goes_through_and_the_twin_says_what_would_have_happened() {
    let scored = scored(json!({}), 0.001, Pattern::Injection, true);
    let decision = decide(&ask(&scored), &PolicySet::default(), Mode::Shadow, NOW);
    assert_eq!((decision.decision, decision.would), (Ladder::Allow, Ladder::Deny));
    assert_eq!(decision.retry_after_ms, None);
    let decision = decide(&ask(&scored), &PolicySet::default(), Mode::Observe, NOW);
    assert_eq!((decision.decision, decision.would, decision.reasons.len()), (Ladder::Allow, Ladder::Allow, 0));
}

#[test]
fn rules_may_name_agents_with_all_their_versions_and_apps_with_all_their_tools() {
    let rules = "@id(\"old\") forbid (principal in Vedette::Agent::\"travel-planner\", action, resource in Vedette::App::\"travel\");\n\
                 @id(\"foreign\") @ladder(\"step_up\") forbid (principal, action, resource) unless { principal in Vedette::Tenant::\"acme\" };\n";
    let decide = |more| {
        let scored = scored(more, 0.5, Pattern::None, false);
        decide(&ask(&scored), &set(rules), Mode::Enforce, NOW).decision
    };
    assert_eq!(decide(json!({})), Ladder::Deny);
    assert_eq!(decide(json!({"agent": "travel-planner"})), Ladder::Deny);
    assert_eq!(decide(json!({"agent": "travel-planners@1"})), Ladder::Allow);
    assert_eq!(decide(json!({"app": "bank"})), Ladder::Allow);
    assert_eq!(decide(json!({"app": null, "tenant": "other"})), Ladder::StepUp);
}

#[test]
fn a_rule_of_the_operator_that_does_not_rest_on_the_detector_binds_while_it_learns() {
    let mut scored = scored(json!({"tool": "drop_database"}), 0.5, Pattern::None, false);
    scored.verdict.learning = true;
    let when = "context.tool like \"drop_*\"";
    let bound = set(&rule("never", "@while_learning(\"binds\")", when));
    assert_eq!(decide(&ask(&scored), &bound, Mode::Enforce, NOW).decision, Ladder::Deny);
    assert_eq!(decide(&ask(&scored), &set(&rule("never", "", when)), Mode::Enforce, NOW).decision, Ladder::Throttle);
}

#[test]
fn a_policy_that_overflows_is_never_a_denial_by_itself_and_marks_the_answer() {
    let scored = scored(json!({}), 0.5, Pattern::None, false);
    let broken = set(&rule("sum", "", "context.p_value_ppm * 9223372036854775807 > 0"));
    let decision = decide(&ask(&scored), &broken, Mode::Enforce, NOW);
    assert_eq!((decision.decision, decision.degraded), (Ladder::Allow, true));
}

#[test]
fn what_is_wrong_is_named_with_line_and_column() {
    let good = rule("a", "", "true");
    refused(&format!("{GROUND}forbid (principal, action resource);"), 2, 27, "unexpected token");
    refused(&format!("{GROUND}{}", rule("a", "", "context.p_valu_ppm < 1")), 2, 55, "p_valu_ppm");
    refused(&format!("{GROUND}{}", rule("a", "", "context.risk_permille < \"1\"")), 2, 79, "Long");
    refused(&format!("{GROUND}{}", rule("a", "@ladder(\"block\")", "true")), 2, 1, "@ladder takes");
    refused(
        &format!("{GROUND}{}", rule("a", "@retry_after_ms(\"5\")", "true")),
        2,
        1,
        "belongs to a policy with @ladder(\"throttle\")",
    );
    refused(&format!("{GROUND}{}", rule("a", "@color(\"red\")", "true")), 2, 1, "unknown annotation `@color`");
    refused(&format!("{GROUND}{good}{good}"), 2, 1, "the id `a` is taken");
    refused("@ladder(\"deny\") permit (principal, action, resource);", 1, 1, "put @ladder on a forbid");
    refused("permit (principal == ?principal, action, resource);", 1, 1, "templates");
}

#[test]
fn an_empty_file_is_refused_rather_than_denying_everything() {
    assert_eq!(PolicySet::parse("// nothing\n").unwrap_err(), PolicyError::Empty);
}

#[test]
fn a_reload_happens_whole_or_not_at_all() {
    let policies = Policies::new(PolicySet::default());
    let before = policies.now().digest();
    let broken = PolicySet::DEFAULT.replacen("context.exposed", "context.exposd", 1);
    assert!(policies.reload(&broken).unwrap_err().place().is_some());
    assert_eq!(policies.now().digest(), before);
    let after = policies.reload(GROUND).unwrap();
    assert_eq!(policies.now().digest(), after);
    assert_ne!(before, after);
}
