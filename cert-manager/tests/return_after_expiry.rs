//! A device comes back after N days: every cell of the matrix, as documented. Prints the table.

use cert_manager::Digest;
use cert_manager::device::RequestId;
use cert_manager::ledger::line::Head;
use cert_manager::ledger::rules::{Ask, ClassPolicy, Grant, Memory, Refusal, Ruling, rule};
use cert_manager::ledger::{Line, Standing};
use cert_manager::risk::Risk;
use cert_manager::time::{Millis, Span};

const LIFE: Span = Span::days(90);
const WINDOW: Span = Span::days(400);

/// Time since the certificate was issued, and its name in the table.
fn away() -> [(&'static str, Span); 7] {
    let past_expiry = |after: Span| Span(LIFE.0 + after.0);
    [
        ("half its life", Span(LIFE.0 / 2)),
        ("its life", LIFE),
        ("life + 1 s", past_expiry(Span::seconds(1))),
        ("window - 1 s", past_expiry(Span(WINDOW.0 - 1_000))),
        ("window", past_expiry(WINDOW)),
        ("window + 1 s", past_expiry(Span(WINDOW.0 + 1_000))),
        ("5 years", Span::days(5 * 365)),
    ]
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Revoked {
    No,
    BeforeExpiry,
    AfterExpiry,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Key {
    Latest,
    Older,
    OtherDevice,
}

/// The documented answer, written independently of the rules.
fn documented(away: &str, revoked: Revoked, key: Key, budget_left: bool) -> Ruling {
    let expired = !matches!(away, "half its life" | "its life");
    let outside = matches!(away, "window + 1 s" | "5 years");
    match (revoked, key) {
        (Revoked::BeforeExpiry | Revoked::AfterExpiry, _) => Ruling::Refuse(Refusal::Revoked),
        (Revoked::No, Key::OtherDevice) => Ruling::Refuse(Refusal::UnknownKey),
        _ if outside => Ruling::Refuse(Refusal::OutsideWindow),
        (Revoked::No, Key::Older) => Ruling::Fork,
        (Revoked::No, Key::Latest) => match (expired, budget_left) {
            (false, _) => Ruling::Issue(Grant::Full),
            (true, true) => Ruling::Issue(Grant::Quarantine),
            (true, false) => Ruling::Refuse(Refusal::BudgetSpent),
        },
    }
}

fn name(ruling: Ruling) -> String {
    match ruling {
        Ruling::Issue(grant) => format!("{grant:?}").to_lowercase(),
        Ruling::Refuse(refusal) => format!("no: {refusal:?}"),
        other => format!("{other:?}").to_lowercase(),
    }
}

#[test]
fn every_cell_of_the_return_matrix_is_as_documented() {
    let issued = Millis(1_795_343_040_000);
    let until = issued + LIFE;
    println!("| away | revoked | key | returns left | answer |\n|---|---|---|---|---|");
    let mut cells = 0;
    for (label, span) in away() {
        for revoked in [Revoked::No, Revoked::BeforeExpiry, Revoked::AfterExpiry] {
            for key in [Key::Latest, Key::Older, Key::OtherDevice] {
                for budget_left in [true, false] {
                    let now = issued + span;
                    let ruling = returns(until, now, revoked, key, budget_left);
                    println!(
                        "| {label} | {revoked:?} | {key:?} | {} | {} |",
                        if budget_left { "yes" } else { "no" },
                        name(ruling)
                    );
                    assert_eq!(
                        ruling,
                        documented(label, revoked, key, budget_left),
                        "{label} {revoked:?} {key:?} {budget_left}"
                    );
                    cells += 1;
                }
            }
        }
    }
    assert_eq!(cells, 126);
}

fn returns(until: Millis, now: Millis, revoked: Revoked, key: Key, budget_left: bool) -> Ruling {
    let head = Head { n: 4, hash: Digest::of(b"receipt 4") };
    let mut line = Line::new("dev-9".parse().unwrap(), "default");
    line.head = head;
    line.key = Digest::of(b"key 4");
    line.not_after = until;
    line.recoveries = if budget_left { vec![] } else { vec![now - Span::days(9); 3] };
    line.standing = match revoked {
        Revoked::No => Standing::Good,
        Revoked::BeforeExpiry => Standing::Revoked { at: until - Span::days(60), reason: "lost".into() },
        Revoked::AfterExpiry => Standing::Revoked { at: until + Span(1), reason: "lost".into() },
    };
    let (by, head, knows_by) = match key {
        Key::Latest => (line.key, head, true),
        Key::Older => (Digest::of(b"key 3"), Head { n: 3, hash: Digest::of(b"receipt 3") }, true),
        Key::OtherDevice => (Digest::of(b"stranger"), head, false),
    };
    let ask = Ask { request: RequestId([1; 16]), by, by_until: until, new_key: Digest::of(b"key 5"), head: Some(head) };
    let memory = Memory { seen: None, knows_by, knows_new_key: false };
    rule(&line, &ask, &memory, &ClassPolicy::default(), Risk::Green, now)
}
