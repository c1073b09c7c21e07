//! Replicas that hear of each other as the test lets them.

use super::{Replica, in_a_session, request, sessions, two};
use crate::fitted::FITTED;
use policy::{Circumstances, Fit, Mission};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose};
use schema::{Phase, RawCall};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_asked_about_at_two_replicas_in_turn_get_what_one_says_of_them() {
    let (detector, sessions) = (&FITTED.detector, sessions());
    let alone = Replica::start(detector, None).await;
    let replicas = two(detector, [None, None]).await;
    let (mut denied, mut forwarded) = (0, 0);
    for calls in sessions.iter().take(80) {
        for (n, call) in calls.iter().enumerate() {
            let (asked, told) = (&replicas[n % 2], &replicas[(n + 1) % 2]);
            forwarded += usize::from(asked.asks_another(call));
            let (want, got) = (alone.ask(request(call)).await, asked.ask(request(call)).await);
            let (one, other) = (want.scored.unwrap(), got.scored.unwrap());
            assert_eq!(one.verdict, other.verdict);
            assert_eq!((&one.call, &one.row, one.edge), (&other.call, &other.row, other.edge));
            assert_eq!(one.standing, other.standing);
            // How a tool's arguments usually look is learned by each replica from what it is asked.
            assert_eq!(
                Circumstances { conformity_permille: None, ..want.circumstances },
                Circumstances { conformity_permille: None, ..got.circumstances }
            );
            denied += usize::from(one.verdict.flagged(0.01));
            let result = RawCall { phase: Phase::Result, ..call.clone() };
            alone.state.scorer.result(result.clone()).await.unwrap();
            told.state.scorer.result(result).await.unwrap();
        }
    }
    assert!(denied > 0 && forwarded > 0, "{denied} flagged, {forwarded} forwarded");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_owner_is_away_answers_are_degraded_and_then_another_owns_its_sessions() {
    let (detector, sessions) = (&FITTED.detector, sessions());
    let [one, other] = two(detector, [None, None]).await;
    let call = in_a_session(&sessions[0][0], |call| one.asks_another(call));
    assert!(!one.ask(request(&call)).await.decision.degraded);
    let next = |n: u32| RawCall { id: format!("next-{n}").parse().unwrap(), ..request(&call) };

    let address = other.address.to_string();
    other.end().await;
    let judged = one.ask(next(0)).await;
    // What the owner said of the session is known here, too.
    assert!(judged.decision.degraded && judged.scored.is_some(), "{:?}", judged.decision);
    let stranger = in_a_session(&call, |other| one.asks_another(other) && other.session != call.session);
    let judged = one.ask(request(&stranger)).await;
    assert!(judged.decision.degraded && judged.scored.is_none(), "{:?}", judged.decision);

    // So many rounds without it.
    for _ in 0..4 {
        assert!(one.asks_another(&call), "{address} is not given up too soon");
        one.hear(&one.membership);
    }
    let judged = one.ask(next(1)).await;
    assert!(!judged.decision.degraded && judged.scored.is_some(), "{:?}", judged.decision);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mission_told_to_any_replica_is_held_where_its_session_is() {
    let (detector, sessions) = (&FITTED.detector, sessions());
    let alone = Replica::start(detector, None).await;
    let replicas = two(detector, [None, None]).await;
    let call = in_a_session(&sessions[0][0], |call| replicas[0].asks_another(call));
    let call = RawCall { mission: None, ..call };
    let mission = |tool: &str, text: Option<&str>| -> Mission {
        let json = serde_json::json!({ "tenant": call.tenant, "device": call.device, "session": call.session,
            "tools": [tool], "text": text });
        serde_json::from_value(json).unwrap()
    };
    alone.state.missions.declare(mission(call.tool.as_str(), Some("Pay Ada 50 for the boat."))).unwrap();
    let told = replicas[0].state.scorer.mission(mission(call.tool.as_str(), Some("Pay Ada 50 for the boat."))).await;
    assert_eq!(told, Ok(None), "it is elsewhere");
    let (want, got) = (alone.ask(request(&call)).await, replicas[0].ask(request(&call)).await);
    assert_eq!(want.circumstances.mission, Fit::Inside);
    assert_eq!(want.circumstances, got.circumstances);
    let (want, got) = (want.scored.unwrap(), got.scored.unwrap());
    assert_eq!((&want.verdict, &want.row), (&got.verdict, &got.row));
    // Its owner is told, too, and keeps it.
    let own = replicas[1].state.scorer.mission(mission("another", None)).await.unwrap().unwrap();
    replicas[1].state.missions.declare(own).unwrap();
    let next = RawCall { id: "next".parse().unwrap(), ..request(&call) };
    assert_eq!(replicas[0].ask(next).await.circumstances.mission, Fit::Tool);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_with_certificates_of_one_authority_ask_each_other_and_no_other() {
    let (detector, sessions) = (&FITTED.detector, sessions());
    let authority = |name: &str| {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    };
    let tls = |by: &CertifiedIssuer<'static, KeyPair>| {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&key, by).unwrap();
        let (certificate, key, clients) = (certificate.pem(), key.serialize_pem(), by.pem());
        policy::server::Tls::new(certificate.as_bytes(), key.as_bytes(), clients.as_bytes(), None).unwrap()
    };
    let (ours, others) = (authority("ours"), authority("others"));
    for (pair, degraded) in [([&ours, &ours], false), ([&ours, &others], true)] {
        let replicas = two(detector, pair.map(|by| Some(tls(by)))).await;
        let call = in_a_session(&sessions[0][0], |call| replicas[0].asks_another(call));
        assert_eq!(replicas[0].ask(request(&call)).await.decision.degraded, degraded);
    }
}
