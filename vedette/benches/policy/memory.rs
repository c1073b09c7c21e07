//! A million standings, in a process of their own.

use schema::{Budgets, Digest, Millis, PValue, Pattern, Risk, Session, Standing, TenantKey, Verdict};
use std::process::Command;

/// Resident bytes that a million standings add.
pub fn measure() -> u64 {
    let out = Command::new(std::env::current_exe().unwrap()).arg("fill-standings").output().unwrap();
    String::from_utf8_lossy(&out.stdout).trim().parse().unwrap()
}

/// Fills them and prints what they take.
pub fn fill() {
    let raw = crate::calls::requests().swap_remove(0);
    let mut call = schema::seal(&raw, &TenantKey::new([7; 32]));
    let standings = policy::Standings::new();
    let before = resident();
    for n in 0..SESSIONS {
        call.session = Session::new(&format!("session-{n}")).unwrap();
        let (session, risk) = (call.session.clone(), Risk::clamped(0.3));
        let verdict = Verdict {
            v: 1,
            id: call.id.clone(),
            session: session.clone(),
            how: call.how,
            sure: 1.0,
            risk,
            p_value: PValue::clamped(0.5),
            pattern: Pattern::None,
            model: Digest([0; 32]),
            exposed: false,
            learning: false,
            evidence: vec![],
        };
        let standing =
            Standing { v: 1, session, risk, exposed: false, last: vec![], budgets: Budgets::default(), at: Millis(n) };
        standings.update(&call, &verdict, &standing);
    }
    let after = resident();
    assert!(standings.len() as u64 >= SESSIONS * 98 / 100, "{} are kept", standings.len());
    println!("{}", (after - before) * SESSIONS / standings.len() as u64);
}

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

const SESSIONS: u64 = 1_000_000;
