//! An inspection as a person reads it.

use super::cost::{ALL, NO_MISSIONS, NO_RESULTS, in_time};
use super::{Inspection, Part, Seen};
use crate::progress::grouped;
use schema::decode::time::rfc3339;
use schema::{Phase, Status};
use std::fmt::Write as _;

/// The calls, the sessions, what is there, and what is not with its price. `of`: what was looked at.
pub fn told(of: &str, seen: &Inspection) -> String {
    let mut out = String::new();
    // INVARIANT: writing to a `String` does not fail.
    let _ = write(&mut out, of, seen);
    out
}

fn write(out: &mut String, of: &str, seen: &Inspection) -> std::fmt::Result {
    writeln!(out, "{of}")?;
    for call in &seen.newest {
        writeln!(out, "\n{}  {}  {}", rfc3339(call.at), call.tool, ended(call))?;
        writeln!(out, "    session {} ({}, sure {})", call.session, super::how_word(call.how), call.how.sure())?;
        let args = if call.args.is_empty() { "none".to_owned() } else { list(&call.args) };
        writeln!(out, "    agent {}; arguments {args}", call.agent)?;
    }
    let dead: u64 = seen.dead.values().map(|(count, _)| count).sum();
    writeln!(
        out,
        "\nrecords   {}: {} calls, {} dead, {} other than calls",
        grouped(seen.records),
        grouped(seen.calls),
        grouped(dead),
        grouped(seen.other)
    )?;
    for (reason, (count, detail)) in &seen.dead {
        writeln!(out, "dead      {} {reason}: {detail}", grouped(*count))?;
    }
    if seen.calls == 0 {
        return writeln!(out, "no calls  is this the right --format? A record of each stands in docs/decoders.md");
    }
    for (how, derived) in &seen.derived {
        writeln!(
            out,
            "sessions  {} {how} (sure {}), {} calls",
            grouped(derived.sessions() as u64),
            derived.sure,
            grouped(derived.calls)
        )?;
    }
    let shares = [
        ("id", Part::Id),
        ("principal", Part::Principal),
        ("agent", Part::Agent),
        ("device", Part::Device),
        ("arguments", Part::Arguments),
        ("status", Part::Status),
        ("result", Part::Result),
    ];
    let shares: Vec<String> =
        shares.iter().map(|(name, part)| format!("{name} {:.0} %", seen.share(*part) * 100.0)).collect();
    writeln!(out, "present   {}; missions in {} of {} sessions", shares.join(", "), missions(seen), seen.sessions())?;
    for missing in missing(seen) {
        writeln!(out, "missing   {missing}")?;
    }
    let routes = seen.routes();
    if !routes.is_empty() {
        writeln!(
            out,
            "routes    these paths hold identifiers that look like names; put them into the topic's `routes`:"
        )?;
        routes.iter().take(ROUTES_SHOWN).try_for_each(|route| writeln!(out, "            \"{route}\","))?;
    }
    Ok(())
}

/// What is not there, dearest first, with what that costs.
fn missing(seen: &Inspection) -> Vec<String> {
    let lacks = |part| seen.share(part) < HALF;
    let costs = |without: &str| match (in_time(ALL), in_time(without)) {
        (Some(all), Some(left)) => format!(
            "hijacks caught in time fall from {:.1} to {:.1} % (5 % of honest sessions flagged), from {:.1} to {:.1} % (1 %)",
            all.at_5, left.at_5, all.at_1, left.at_1
        ),
        _ => "README says what that costs".to_owned(),
    };
    let mut missing = Vec::new();
    if lacks(Part::Arguments) {
        missing.push(
            "arguments: no value can be traced to where it came from, so only the order of tools is left".to_owned(),
        );
    }
    if lacks(Part::Result) {
        missing.push(format!(
            "results (response bodies): {}; docs/decoders.md has a recipe for each gateway",
            costs(NO_RESULTS)
        ));
    }
    if missions(seen) * 2 < seen.sessions() {
        missing.push(format!("missions (what the user asked): {}", costs(NO_MISSIONS)));
    }
    if seen.derived.values().any(|derived| derived.sure < SURE && derived.calls * 2 > seen.calls) {
        missing
            .push("a session id: sessions are guessed from who calls, and two tasks at once look like one".to_owned());
    }
    if lacks(Part::Principal) {
        missing.push(
            "a principal: what only several sessions together show (copying, slow drips, budgets) goes unseen"
                .to_owned(),
        );
    }
    if lacks(Part::Agent) {
        missing.push("an agent's name: all agents are held to one pattern".to_owned());
    }
    if lacks(Part::Status) {
        missing.push("a status: a call that failed looks like one that worked".to_owned());
    }
    if lacks(Part::Id) {
        missing.push("an id: a call seen at two doors counts as two".to_owned());
    }
    missing
}

/// Sessions in which the user was heard; a session says it once.
fn missions(seen: &Inspection) -> usize {
    (seen.has.get(&Part::Mission).copied().unwrap_or(0) as usize).min(seen.sessions())
}

fn ended(call: &Seen) -> String {
    let status = match (call.status, call.phase) {
        (Some(Status::Ok), _) => "ok",
        (Some(Status::Error), _) => "error",
        (Some(Status::Denied), _) => "denied",
        (None, Phase::Request) => "request only",
        (None, _) => "no status",
    };
    match call.result {
        Some((bytes, sentences)) => format!("{status}, result of {} bytes, {sentences} sentences", grouped(bytes)),
        None => format!("{status}, no result"),
    }
}

fn list(args: &[String]) -> String {
    let more = args.len().saturating_sub(ARGS_SHOWN);
    let shown = args.iter().take(ARGS_SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}

/// Less than half of the calls is missing.
const HALF: f64 = 0.5;
/// Below, a derivation is a guess.
const SURE: f64 = 0.5;
const ARGS_SHOWN: usize = 8;
const ROUTES_SHOWN: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;
    use schema::decode::{Decoder, Format, Received, Routes};
    use schema::{Millis, TenantKey};

    fn inspect(format: Format, records: &[String]) -> String {
        let decoder = Decoder { format, routes: Routes::default() };
        let mut seen = Inspection::new(2, TenantKey::new([7; 32]));
        for (at, record) in records.iter().enumerate() {
            let id = format!("t/0/{at}");
            let received = Received { at: Millis(1_795_343_100_000), id: id.clone() };
            seen.add(&decoder.decode(record.as_bytes(), &received), &id);
        }
        told("a test", &seen)
    }

    #[test]
    fn a_log_that_lacks_nothing_is_told_so_and_no_value_is_shown() {
        let record = |n: u32| {
            serde_json::json!({"id": format!("c-{n}"), "at": 1_795_343_040_062u64, "session": "s-1", "seq": n, "agent": "a", "principal": "p",
            "tool": "pay", "args": {"to": "hunter2"}, "mission": "hunter2", "status": "ok", "result": "hunter2 was here"}).to_string()
        };
        let out = inspect(Format::Native, &[record(1), record(2), record(3)]);
        assert!(!out.contains("missing") && !out.contains("hunter2"), "{out}");
        assert_eq!(out.matches("2026-11-22T10:24:00.062Z  pay  ok, result of 16 bytes").count(), 2, "{out}");
        for said in ["sure 1)", "arguments to:id", "3 calls, 0 dead", "sessions  1 named by the record"] {
            assert!(out.contains(said), "`{said}` is missing in\n{out}");
        }
    }

    #[test]
    fn what_a_log_lacks_is_told_with_its_price() {
        let line = |n: char| {
            serde_json::json!({"start_time": 1_795_343_040, "method": "GET", "path": format!("/shops/{n}{n}{n}"), "authority": "shop", "response_code": 200}).to_string()
        };
        let mut records: Vec<String> = ('a'..='z').map(line).collect();
        records.push("{".to_owned());
        let out = inspect(Format::Envoy, &records);
        let price = format!("to {:.1} %", in_time(NO_RESULTS).unwrap().at_5);
        for said in [
            "missing   results",
            &price,
            "missing   missions",
            "sessions are guessed",
            "missing   a principal",
            "1 malformed: the JSON ends early",
            "\"GET /shops/{id}\"",
        ] {
            assert!(out.contains(said), "`{said}` is missing in\n{out}");
        }
    }

    #[test]
    fn nothing_readable_asks_for_the_format() {
        assert!(inspect(Format::Ocsf, &["{}".to_owned()]).contains("right --format"));
    }
}
