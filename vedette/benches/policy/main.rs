//! The webhook's figures, each beside its baseline, all in one run: `make bench-policy`. The last line is JSON.
//!
//! Servers run as processes of their own, as they would; the load generator shares the machine with them. Calls are the
//! built-in world's: one MCP request each, sessions that go on, ids that never repeat.
//!
//! - `p50_us`, `p99_us`: seal, features, scores, pace, Cedar, decision, in process
//! - `grpc_rps`, `ratio_to_bare`, `paced_*`: ext_authz beside a tonic server that decodes the request and says OK
//! - `decide_rps`, `ratio_to_opa`: `POST /v1/decide` beside OPA's server with 20 rules
//! - `envoy_added_p99_ms`: through real Envoy, with and without ext_authz
//! - `rss_bytes_1m_standings`, `past_deadline_p999_ms`: memory, and answers when the scorer hangs

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a bench fails as a test does"
)]

mod calls; // what is asked
mod chaos; // a scorer that hangs
mod envoy; // through the real gateway
mod grpc; // ext_authz, ours and bare
mod http; // the native door and OPA
mod inside; // without a network
mod memory; // a million standings
mod process; // servers as processes

use process::Server;
use serde_json::json;
use std::path::PathBuf;
use std::time::Duration;

/// How long each closed loop or pace lasts.
const RUN: Duration = Duration::from_secs(5);
/// Pairs of measurements; the pair with the fastest baseline counts, for it was disturbed least.
const ROUNDS: usize = 3;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("bare-server") => return runtime().block_on(grpc::serve_bare(arguments[1].parse().unwrap())),
        Some("upstream-server") => return runtime().block_on(envoy::serve_upstream(arguments[1].parse().unwrap())),
        Some("fill-standings") => return memory::fill(),
        _ => {}
    }
    // One group of figures: process, memory, late, grpc, decide or envoy.
    let only = arguments.iter().position(|argument| argument == "--only").map(|at| arguments[at + 1].clone());
    let wanted = |group: &str| only.as_deref().is_none_or(|only| only == group);
    let folder = tempfile::tempdir().unwrap();
    let model = calls::fit(folder.path());
    println!("machine: {}", process::machine());
    let mut figures = json!({});

    if wanted("process") {
        let (p50, p99) = runtime().block_on(inside::measure(&model));
        let policies = policy::PolicySet::default().rules().len();
        println!("in process, score + decision, {policies} policies: p50 {p50:.1} us, p99 {p99:.1} us");
        (figures["p50_us"], figures["p99_us"]) = (round(p50), round(p99));
    }
    if wanted("memory") {
        let rss = memory::measure();
        println!("1,000,000 standings: {:.0} MB resident", rss as f64 / 1e6);
        figures["rss_bytes_1m_standings"] = rss.into();
    }
    if wanted("late") {
        let past = runtime().block_on(chaos::measure());
        println!("scorer hangs: answers come p99.9 {past:.2} ms after the deadline");
        figures["past_deadline_p999_ms"] = round(past);
    }
    let ours = Server::vedette(&model, folder.path());
    if wanted("grpc") {
        let grpc = runtime().block_on(grpc::measure(&ours));
        let ratio = grpc.ours / grpc.bare;
        println!("ext_authz closed loop: {:.0}/s, bare {:.0}/s, ratio {ratio:.2}", grpc.ours, grpc.bare);
        println!(
            "ext_authz at 10,000/s: p99 {:.2} ms, bare {:.2} ms; {:.0}/s and {:.0}/s were kept up",
            grpc.paced, grpc.paced_bare, grpc.kept, grpc.kept_bare
        );
        (figures["grpc_rps"], figures["bare_rps"]) = (grpc.ours.round().into(), grpc.bare.round().into());
        figures["ratio_to_bare"] = round(ratio);
        (figures["paced_p99_ms"], figures["paced_bare_p99_ms"]) = (round(grpc.paced), round(grpc.paced_bare));
    }
    if wanted("decide") {
        let http = runtime().block_on(http::measure(&ours, folder.path()));
        for (who, rate) in [("decide", http.ours), ("OPA", http.opa), ("OPA with its log", http.opa_logs)] {
            println!("{who}: {:.0}/s p50 {:.2} p99 {:.2} ms", rate.rate, rate.p50, rate.p99);
        }
        (figures["decide_rps"], figures["decide_p99_ms"]) = (http.ours.rate.round().into(), round(http.ours.p99));
        (figures["opa_rps"], figures["opa_p99_ms"]) = (http.opa.rate.round().into(), round(http.opa.p99));
        figures["ratio_to_opa"] = round(http.ours.rate / http.opa.rate);
        figures["ratio_to_opa_with_log"] = round(http.ours.rate / http.opa_logs.rate);
    }
    if wanted("envoy") {
        let envoy = runtime().block_on(envoy::measure(&ours, folder.path()));
        println!(
            "Envoy at 5,000/s: p99 {:.2} ms with ext_authz, {:.2} ms without; {:.0}/s and {:.0}/s were kept up",
            envoy.with, envoy.without, envoy.kept, envoy.kept_without
        );
        figures["envoy_added_p99_ms"] = round(envoy.with - envoy.without);
    }
    println!("machine afterwards: {}", process::machine());
    println!("{figures}");
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap()
}

fn round(figure: f64) -> serde_json::Value {
    ((figure * 1e3).round() / 1e3).into()
}

/// What is `share` of the way up, of figures in any order.
fn quantile(figures: &mut [f64], share: f64) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    figures[((figures.len() as f64 * share) as usize).min(figures.len() - 1)]
}

/// Programs that `policy/tests/gateways/setup.sh` and the bench's script fetched.
fn program(name: &str) -> PathBuf {
    let home = std::env::var_os("VEDETTE_GATEWAYS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/gateways"), PathBuf::from);
    let path = home.join("bin").join(name);
    assert!(path.exists(), "{name} is missing: run `make bench-policy`");
    path.canonicalize().unwrap()
}
