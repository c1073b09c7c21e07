//! A slice against the whole set, over made-up policies and requests.

use super::*;
use crate::{Certificate, CertificateClass, Circumstances, Delegated, Fit, Request};
use proptest::prelude::*;
use proptest::sample::select;
use schema::decode::{Received, native};
use schema::{Budgets, Call, Digest, Millis, PValue, Pattern, Risk, Standing, TenantKey, Verdict, seal};
use std::collections::BTreeSet;

const NOW: Millis = Millis(1_795_343_040_062);

/// Names that meet and some that do not; "" is what is not known.
fn name() -> impl Strategy<Value = &'static str> {
    select(&["a", "a@1", "a@2", "b", "@1", "pay", "travel"][..])
}

/// Numbers around those that policies compare with.
fn number() -> impl Strategy<Value = u64> {
    select(&[0, 1, 4, 5, 500, 900, 10_000, 10_001, 20_000, 1_000_000, u64::MAX][..])
}

#[derive(Debug, Clone)]
struct Facts {
    call: Call,
    verdict: Verdict,
    standing: Option<Standing>,
    degraded: bool,
    circumstances: Circumstances,
}

prop_compose! {
    fn call()(agent in name(), tool in name(), app in proptest::option::of(name()), tenant in name(),
              device in proptest::option::of(name()), read_only: bool, parent in proptest::option::of(name()),
              actors in 0usize..7) -> Call {
        let record = serde_json::json!({"session": "s", "at": NOW, "agent": agent, "tool": tool, "app": app,
            "tenant": tenant, "device": device, "tool_info": {"read_only": read_only}, "parent": parent,
            "actor": vec!["x"; actors]});
        let bytes = serde_json::to_vec(&record).unwrap();
        let raw = native::decode(&bytes, &Received { at: NOW, id: "0".to_owned() }).unwrap();
        seal(&raw, &TenantKey::new([7; 32]))
    }
}

prop_compose! {
    fn facts()(call in call(), risk in 0.0..1.0, p in select(&[0.0, 0.002, 0.01, 0.02, 0.5, 1.0][..]),
               pattern in select(&[Pattern::None, Pattern::Injection, Pattern::Extraction, Pattern::Abuse][..]),
               flags: [bool; 4], counts in proptest::collection::vec(number(), 7), known: bool,
               mission in select(&[Fit::Undeclared, Fit::Tool, Fit::Budget, Fit::Deadline][..]),
               delegation in select(&[Delegated::Unchecked, Delegated::Refused][..]),
                   class in select(&[CertificateClass::None, CertificateClass::Amber, CertificateClass::Quarantine][..])) -> Facts {
        let [exposed, learning, was_exposed, degraded] = flags;
        let verdict = Verdict {
            v: 1, id: call.id.clone(), session: call.session.clone(), how: call.how, sure: risk,
            risk: Risk::clamped(risk), p_value: PValue::clamped(p), pattern, model: Digest::of(b""), exposed,
            learning, evidence: vec![],
        };
        let budgets = Budgets {
            calls: u32::try_from(counts[0]).unwrap_or(u32::MAX), tokens: counts[1], bytes: counts[2], milliunits: counts[3],
        };
        let standing = known.then(|| Standing {
            v: 1, session: call.session.clone(), risk: Risk::clamped(risk), exposed: was_exposed, last: vec![],
            budgets, at: Millis(NOW.0 - 1_000),
        });
        let circumstances = Circumstances {
            burst_wait_ms: counts[4], mission, delegation, conformity_permille: None,
            principal_milliunits: counts[5], tenant_milliunits: counts[6], certificate: Certificate { class, age_ms: counts[4] },
            };
        Facts { call, verdict, standing, degraded, circumstances }
    }
}

/// A condition of any kind: what is read as a demand, what is not, and what fails.
fn condition() -> impl Strategy<Value = String> {
    let long = select(&["session_calls", "p_value_ppm", "session_tokens", "burst_wait_ms", "delegation_depth"][..]);
    let order = select(&["<", "<=", "==", "!=", ">=", ">"][..]);
    let text = select(&["agent", "tool", "app", "tenant", "device", "mission", "pattern"][..]);
    let word = select(&["", "a", "a@1", "pay", "tool", "injection", "none"][..]);
    let flag = select(&["read_only", "learning", "exposed", "degraded", "sub_agent", "standing_known"][..]);
    let atom = prop_oneof![
        (long.clone(), order.clone(), number()).prop_map(|(l, o, n)| format!("context.{l} {o} {}", n.min(1 << 62))),
        (number(), order.clone(), long.clone()).prop_map(|(n, o, l)| format!("{} {o} context.{l}", n.min(1 << 62))),
        (text.clone(), word.clone()).prop_map(|(t, w)| format!("context.{t} == \"{w}\"")),
        (word.clone(), text.clone()).prop_map(|(w, t)| format!("\"{w}\" != context.{t}")),
        flag.clone().prop_map(|f| format!("context.{f}")),
        (flag, any::<bool>()).prop_map(|(f, is)| format!("context.{f} == {is}")),
        // Not read, and the second fails where the number is large.
        (text.clone(), word).prop_map(|(t, w)| format!("context.{t} like \"{w}*\"")),
        (long.clone(), order, number()).prop_map(|(l, o, n)| format!("context.{l} + {} {o} 7", n.min(i64::MAX as u64))),
        text.prop_map(|t| format!("[\"a\", \"pay\"].contains(context.{t})")),
        select(
            &[
                "principal in Vedette::Agent::\"a\"",
                "resource in Vedette::App::\"travel\"",
                "context has tool",
                "context == context",
                "principal == Vedette::Agent::\"b\"",
                "true"
            ][..]
        )
        .prop_map(str::to_owned),
    ];
    atom.prop_recursive(3, 8, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) && ({b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) || ({b})")),
            inner.clone().prop_map(|a| format!("!({a})")),
            (inner.clone(), inner.clone(), inner).prop_map(|(a, b, c)| format!("(if {a} then {b} else {c})")),
        ]
    })
}

fn policy() -> impl Strategy<Value = String> {
    let principal = select(
        &[
            "principal",
            "principal == Vedette::Agent::\"a@1\"",
            "principal in Vedette::Agent::\"a\"",
            "principal in Vedette::Tenant::\"a\"",
            "principal is Vedette::Agent in Vedette::Tenant::\"b\"",
        ][..],
    );
    let resource = select(
        &[
            "resource",
            "resource == Vedette::Tool::\"pay\"",
            "resource in Vedette::App::\"travel\"",
            "resource in Vedette::Tenant::\"a\"",
            "resource is Vedette::Tool",
        ][..],
    );
    let clause = (any::<bool>(), condition())
        .prop_map(|(when, c)| format!("{} {{ {c} }}", if when { "when" } else { "unless" }));
    let clauses = proptest::collection::vec(clause, 0..3);
    (any::<bool>(), principal, resource, clauses).prop_map(|(permit, p, r, clauses)| {
        format!("{} ({p}, action, {r}) {};", if permit { "permit" } else { "forbid" }, clauses.join(" "))
    })
}

/// Decision, reasons and failures.
fn said(response: &Response) -> (cedar_policy::Decision, BTreeSet<String>, BTreeSet<String>) {
    let of = |error: &cedar_policy::AuthorizationError| error.to_string();
    let reasons = response.diagnostics().reason().map(ToString::to_string).collect();
    (response.decision(), reasons, response.diagnostics().errors().map(of).collect())
}

fn whole(cedar: &PolicySet, asked: &Asked<'_>, names: &Names) -> Response {
    let all: Vec<Attribute> = Attribute::all().collect();
    let question = names.question(asked, &all).unwrap();
    Authorizer::new().is_authorized(&question, cedar, &names.entities(asked).unwrap())
}

fn compare(cedar: &PolicySet, facts: &[Facts]) -> Result<(), TestCaseError> {
    let (slices, names) = (Slices::of(cedar), Names::parse().unwrap());
    // Twice: as sliced afresh, and as remembered.
    for facts in facts.iter().chain(facts) {
        let request = Request::new(&facts.call, &facts.verdict, facts.standing.as_ref());
        let request = request.degraded(facts.degraded).under(facts.circumstances);
        let asked = Asked::new(&request, NOW);
        let sliced = slices.for_call(&asked).ask(&asked, &names).unwrap();
        prop_assert_eq!(said(&sliced), said(&whole(cedar, &asked, &names)));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_slice_says_what_the_whole_set_says(policies in proptest::collection::vec(policy(), 1..70),
                                            facts in proptest::collection::vec(facts(), 1..6)) {
        compare(&policies.join("\n").parse().unwrap(), &facts)?;
    }

    #[test]
    fn a_slice_of_the_shipped_set_says_what_all_of_it_says(facts in proptest::collection::vec(facts(), 1..20)) {
        compare(&crate::PolicySet::DEFAULT.parse().unwrap(), &facts)?;
    }
}

#[test]
fn an_ordinary_call_is_asked_about_by_one_policy_that_reads_nothing() {
    let slices = Slices::of(&crate::PolicySet::DEFAULT.parse().unwrap());
    let raw = native::decode(br#"{"session":"s","tool":"t","at":1}"#, &Received { at: NOW, id: "0".to_owned() });
    let call = seal(&raw.unwrap(), &TenantKey::new([7; 32]));
    let verdict = Verdict {
        v: 1,
        id: call.id.clone(),
        session: call.session.clone(),
        how: call.how,
        sure: 1.0,
        risk: Risk::clamped(0.1),
        p_value: PValue::clamped(0.4),
        pattern: Pattern::None,
        model: Digest::of(b""),
        exposed: false,
        learning: false,
        evidence: vec![],
    };
    let slice = slices.for_call(&Asked::new(&Request::new(&call, &verdict, None), NOW));
    assert_eq!(slice.cedar.policies().count(), 1);
    assert!(slice.reads.attributes.is_empty() && !slice.reads.names && !slice.reads.entities);
}

#[test]
fn a_policy_too_long_to_be_looked_into_is_asked_about_all_the_same() {
    let terms: Vec<String> = (0..200).map(|n| format!("context.tool == \"t{n}\"")).collect();
    let text = format!("permit (principal, action, resource) when {{ {} }};", terms.join(" || "));
    assert!(text.len() > SLICED_BYTES_MAX);
    let slices = Slices::of(&text.parse().unwrap());
    assert!(slices.policies[0].guards.is_empty() && slices.policies[0].reads.entities);
    assert_eq!(slices.policies[0].reads.attributes.len(), crate::facts::ATTRIBUTES.len());
}
