//! The native door, over a socket, with a scorer that does what it is told.

use crate::common::http::{Answer, LastKnown, Running, Scripted, decide, http, read, record_of, start};
use crate::common::standing;
use policy::server::{AppState, Endpoint, Limits, Logged, Workers};
use policy::{Fallback, PolicySet, Route, Routes};
use schema::*;
use serde_json::json;
use std::sync::Arc;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

fn state(scorer: &Arc<Scripted>, mode: Mode) -> AppState {
    let mut state = AppState::new(Arc::clone(scorer) as Arc<dyn policy::Scorer>, PolicySet::default(), mode);
    // Generous, so that a slow test machine is not taken for a slow scorer.
    state.routes.default.deadline_ms = 30_000;
    state
}

async fn plain(mode: Mode) -> Running {
    start(state(&Arc::default(), mode)).await
}

fn check(answer: &Answer, decision: &str, would: &str, degraded: bool, because: &str) {
    let body = answer.json();
    let said = (&body["decision"], &body["would"], &body["degraded"], &body["reasons"][0]);
    assert_eq!(said, (&json!(decision), &json!(would), &json!(degraded), &json!(because)), "{answer:?}");
}

fn problem(answer: &Answer, status: u16, name: &str) {
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (status, Some("application/problem+json")),
        "{answer:?}"
    );
    assert_eq!(answer.json()["type"], format!("urn:vedette:problem:{name}"));
    assert_eq!(answer.json()["status"], status);
}

#[tokio::test]
async fn in_shadow_a_hijack_goes_through_and_the_answer_says_what_enforce_would_do() {
    let at = plain(Mode::Shadow).await.address;
    check(&decide(at, "hijacked_pay", &[]).await, "allow", "deny", false, "injection");
    check(&decide(at, "pay", &[]).await, "allow", "allow", false, "default-allow");
}

#[tokio::test]
async fn in_enforce_a_hijack_is_denied_and_a_copy_is_slowed_down() {
    let at = plain(Mode::Enforce).await.address;
    check(&decide(at, "hijacked_pay", &[]).await, "deny", "deny", false, "injection");
    let slowed = decide(at, "copy_model", &[]).await;
    check(&slowed, "throttle", "throttle", false, "extraction-suspected");
    assert_eq!(slowed.json()["retry_after_ms"], 5_000);
}

#[tokio::test]
async fn the_answer_is_the_decision_record() {
    let at = plain(Mode::Enforce).await.address;
    let want = json!({"v":1,"id":"c-1","decision":"deny","would":"deny","mode":"enforce","degraded":false,
        "reasons":["injection","injection-suspected"],"policy":PolicySet::default().digest().to_string(),"retry_after_ms":null});
    assert_eq!(decide(at, "hijacked_pay", &[]).await.json(), want);
}

#[tokio::test]
async fn what_is_no_call_is_a_problem_that_says_where_and_repeats_nothing() {
    let at = plain(Mode::Enforce).await.address;
    for body in
        [&b"{"[..], b"[]", b"{\"tool\":7,\"session\":\"hunter2\"}", b"", b"\xff\xfe", b"{\"session\":\"hunter2\"}"]
    {
        let answer = http(at, "POST", "/v1/decide", &[], body).await;
        problem(&answer, 400, "bad-record");
        assert!(!answer.body.contains("hunter2"), "{answer:?}");
    }
    problem(&http(at, "GET", "/v1/decide", &[], b"").await, 405, "method-not-allowed");
    problem(&http(at, "GET", "/v2/decide", &[], b"").await, 404, "not-found");
    problem(&decide(at, "pay", &["vedette-deadline-ms: soon"]).await, 400, "bad-request");
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let limits = Limits { body_bytes_max: 1_000, ..Limits::default() };
    let at = start(state(&Arc::default(), Mode::Enforce).with_limits(limits)).await.address;
    problem(&http(at, "POST", "/v1/decide", &[], &[b' '; 1_001]).await, 413, "oversize");
}

#[tokio::test]
async fn a_client_that_trickles_its_headers_is_cut_off() {
    let limits = Limits { header_ms_max: 50, ..Limits::default() };
    let at = start(state(&Arc::default(), Mode::Enforce).with_limits(limits)).await.address;
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream.write_all(b"POST /v1/decide HTTP/1.1\r\nhost: ved").await.unwrap();
    // Ends only because the server closes.
    assert!([0, 408].contains(&read(stream).await.status));
}

#[tokio::test]
async fn a_client_that_trickles_its_body_is_told_so() {
    let limits = Limits { body_ms_max: 50, ..Limits::default() };
    let at = start(state(&Arc::default(), Mode::Enforce).with_limits(limits)).await.address;
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream
        .write_all(b"POST /v1/decide HTTP/1.1\r\nhost: v\r\nconnection: close\r\ncontent-length: 9\r\n\r\n{")
        .await
        .unwrap();
    problem(&read(stream).await, 408, "slow-body");
}

#[tokio::test]
async fn when_the_queue_is_full_the_next_is_told_when_to_come_back() {
    let scorer = Arc::new(Scripted::default());
    let limits = Limits { in_flight_max: 1, ..Limits::default() };
    let at = start(state(&scorer, Mode::Enforce).with_limits(limits)).await.address;
    let first = tokio::spawn(async move { decide(at, "late_pay", &[]).await });
    scorer.asked.notified().await;
    let second = decide(at, "pay", &[]).await;
    problem(&second, 429, "full");
    assert_eq!(second.header("retry-after"), Some("1"));
    scorer.go_on.notify_one();
    check(&first.await.unwrap(), "allow", "allow", false, "default-allow");
    check(&decide(at, "pay", &[]).await, "allow", "allow", false, "default-allow");
}

#[tokio::test]
async fn of_ten_times_what_fits_all_get_an_answer_and_what_fits_gets_a_decision() {
    const FIT: usize = 8;
    let scorer = Arc::new(Scripted::default());
    let limits = Limits { in_flight_max: FIT as u32, ..Limits::default() };
    let at = start(state(&scorer, Mode::Enforce).with_limits(limits)).await.address;
    let inside: Vec<_> = (0..FIT).map(|_| tokio::spawn(async move { decide(at, "late_pay", &[]).await })).collect();
    while scorer.seen.lock().unwrap().len() < FIT {
        scorer.asked.notified().await;
    }
    let outside: Vec<_> = (0..FIT * 9).map(|_| tokio::spawn(async move { decide(at, "pay", &[]).await })).collect();
    for answer in outside {
        let answer = answer.await.unwrap();
        problem(&answer, 429, "full");
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    for _ in 0..FIT {
        scorer.go_on.notify_one();
        scorer.finished.notified().await;
    }
    for answer in inside {
        check(&answer.await.unwrap(), "allow", "allow", false, "default-allow");
    }
    check(&decide(at, "pay", &[]).await, "allow", "allow", false, "default-allow");
}

fn with_fallback(scorer: &Arc<Scripted>, mode: Mode, fallback: Fallback) -> AppState {
    let mut state = state(scorer, mode);
    let named = [("payments".to_owned(), Route { deadline_ms: 1, fallback, ..Route::default() })].into();
    state.routes = Routes { named, ..state.routes }.check().unwrap();
    state
}

#[tokio::test]
async fn a_scorer_over_its_deadline_leaves_the_answer_to_the_route() {
    for (mode, fallback, decision, would) in [
        (Mode::Shadow, Fallback::Deny, "allow", "deny"),
        (Mode::Enforce, Fallback::Deny, "deny", "deny"),
        (Mode::Enforce, Fallback::Allow, "allow", "allow"),
        (Mode::Enforce, Fallback::LastStanding, "throttle", "throttle"),
    ] {
        let at = start(with_fallback(&Arc::default(), mode, fallback)).await.address;
        let answer = decide(at, "late_pay", &["vedette-route: payments"]).await;
        check(&answer, decision, would, true, "fallback:deadline");
    }
}

#[tokio::test]
async fn a_caller_in_a_hurry_shortens_the_deadline() {
    let at = plain(Mode::Shadow).await.address;
    let answer = decide(at, "late_pay", &["vedette-deadline-ms: 1"]).await;
    check(&answer, "allow", "throttle", true, "fallback:deadline");
}

#[tokio::test]
async fn a_late_answer_falls_back_on_what_was_last_known_of_the_session() {
    let mut state = with_fallback(&Arc::default(), Mode::Enforce, Fallback::LastStanding);
    let mut last = standing(1.0, true, Budgets::default());
    last.at = Millis(u64::MAX); // just now, whatever the wall clock says
    state.standings = Some(Arc::new(LastKnown(last)));
    let at = start(state).await.address;
    let answer = decide(at, "late_pay", &["vedette-route: payments"]).await;
    check(&answer, "step_up", "step_up", true, "degraded-risky-write");
}

#[tokio::test]
async fn a_call_whose_answer_came_too_late_still_counts_for_its_session() {
    let scorer = Arc::new(Scripted::default());
    let at = start(with_fallback(&scorer, Mode::Shadow, Fallback::Allow)).await.address;
    decide(at, "late_pay", &["vedette-route: payments"]).await;
    scorer.go_on.notify_one();
    scorer.finished.notified().await;
}

#[tokio::test]
async fn a_scorer_that_fails_panics_or_is_out_of_reach_is_never_a_denial_unless_the_route_says_so() {
    for (tool, because) in
        [("broken_pay", "fallback:failure"), ("panics_pay", "fallback:failure"), ("away_pay", "fallback:unreachable")]
    {
        let at = plain(Mode::Enforce).await.address;
        check(&decide(at, tool, &[]).await, "throttle", "throttle", true, because);
        let at = plain(Mode::Shadow).await.address;
        check(&decide(at, tool, &[]).await, "allow", "throttle", true, because);
    }
}

#[tokio::test]
async fn a_batch_is_answered_in_order_and_a_bad_record_in_it_harms_only_itself() {
    let scorer = Arc::new(Scripted::default());
    let at = start(state(&scorer, Mode::Enforce)).await.address;
    let record = |tool| String::from_utf8(record_of(tool)).unwrap();
    let body = format!("{{\"calls\":[{},{{\"tool\":7}},{}]}}", record("read"), record("hijacked_pay"));
    let answer = http(at, "POST", "/v1/decide:batch", &[], body.as_bytes()).await.json();
    let decisions = answer["decisions"].as_array().unwrap();
    assert_eq!(decisions[0]["decision"], "allow");
    assert_eq!(decisions[1]["problem"]["status"], 400);
    assert_eq!(decisions[2]["decision"], "deny");
    assert_eq!(decisions.len(), 3);
    let seen: Vec<_> = scorer.seen.lock().unwrap().iter().map(|(tool, _)| tool.clone()).collect();
    assert_eq!(seen, ["read", "hijacked_pay"]);
    let many = format!("{{\"calls\":[{}]}}", vec!["{}"; 101].join(","));
    problem(&http(at, "POST", "/v1/decide:batch", &[], many.as_bytes()).await, 400, "bad-request");
}

#[tokio::test]
async fn a_result_is_taken_note_of_and_an_empty_one_is_a_problem() {
    let scorer = Arc::new(Scripted::default());
    let at = start(state(&scorer, Mode::Enforce)).await.address;
    let done = crate::common::record(json!({"tool": "read", "phase": "done", "status": "ok", "result": "hello"}));
    assert_eq!(http(at, "POST", "/v1/result", &[], &done).await.status, 202);
    problem(&http(at, "POST", "/v1/result", &[], &record_of("read")).await, 400, "bad-request");
    assert_eq!(*scorer.seen.lock().unwrap(), [("read".to_owned(), Phase::Result)]);
}

#[tokio::test]
async fn what_the_user_asked_goes_with_the_sessions_next_call_and_no_other() {
    let scorer = Arc::new(Scripted::default());
    let at = start(state(&scorer, Mode::Enforce)).await.address;
    let mission = |text: &str| {
        let mission =
            json!({"tenant": "acme", "session": "s-1", "principal": "user:42", "device": "dev-9", "text": text});
        mission.to_string()
    };
    assert_eq!(http(at, "POST", "/v1/mission", &[], mission("pay Ada").as_bytes()).await.status, 204);
    decide(at, "pay", &[]).await;
    decide(at, "pay", &[]).await;
    let long = mission(&"x".repeat(policy::limits::MISSION_TEXT_BYTES_MAX + 1));
    problem(&http(at, "POST", "/v1/mission", &[], long.as_bytes()).await, 400, "bad-request");
    assert_eq!(*scorer.missions.lock().unwrap(), [Some("pay Ada".to_owned()), None]);
}

#[tokio::test]
async fn every_decision_is_logged_with_what_it_rests_on() {
    let (log, mut logged) = tokio::sync::mpsc::channel::<Logged>(8);
    let mut state = state(&Arc::default(), Mode::Shadow);
    state.log = Some(log);
    let at = start(state).await.address;
    decide(at, "hijacked_pay", &[]).await;
    let logged = logged.recv().await.unwrap();
    assert_eq!(logged.decision.would, Ladder::Deny);
    assert_eq!(logged.scored.unwrap().verdict.pattern, Pattern::Injection);
}

#[tokio::test]
async fn a_full_log_does_not_hold_up_answers() {
    let (log, _kept) = tokio::sync::mpsc::channel::<Logged>(1);
    let mut state = state(&Arc::default(), Mode::Shadow);
    state.log = Some(log);
    let at = start(state).await.address;
    for _ in 0..3 {
        assert_eq!(decide(at, "pay", &[]).await.status, 200);
    }
}

#[tokio::test]
async fn health_and_readiness_are_told_apart() {
    let scorer = Arc::new(Scripted { not_ready: Some("no broker".to_owned()), ..Scripted::default() });
    let at = start(state(&scorer, Mode::Shadow)).await.address;
    assert_eq!(http(at, "GET", "/healthz", &[], b"").await.status, 200);
    let answer = http(at, "GET", "/readyz", &[], b"").await;
    problem(&answer, 503, "not-ready");
    assert_eq!(answer.json()["detail"], "no broker");
}

#[tokio::test]
async fn a_shutdown_answers_the_calls_in_hand() {
    let scorer = Arc::new(Scripted::default());
    let Running { address, stop, done } = start(state(&scorer, Mode::Enforce)).await;
    let call = tokio::spawn(async move { decide(address, "late_pay", &[]).await });
    scorer.asked.notified().await;
    stop.send(()).unwrap();
    scorer.go_on.notify_one();
    check(&call.await.unwrap(), "allow", "allow", false, "default-allow");
    done.await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn plain_text_stays_on_this_machine() {
    let listener = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
    let error = policy::server::serve(listener, state(&Arc::default(), Mode::Shadow), async {}).await.unwrap_err();
    assert!(error.to_string().contains("needs TLS"), "{error}");
}

#[tokio::test]
async fn connections_that_threads_of_their_own_serve_end_with_the_server() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let workers = Some(Workers::start(2.try_into().unwrap()).unwrap());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let endpoint = Endpoint { listener, tls: None, workers };
    let served = policy::server::serve(endpoint, state(&Arc::default(), Mode::Enforce), async { drop(stopped.await) });
    let server = tokio::spawn(served);
    // Each question on a connection of its own, more of them than there are threads.
    for _ in 0..5 {
        check(&decide(at, "hijacked_pay", &[]).await, "deny", "deny", false, "injection");
    }
    drop(stop);
    server.await.unwrap().unwrap();
    assert!(TcpStream::connect(at).await.is_err());
}
