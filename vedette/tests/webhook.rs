//! A gateway asks call by call, tells results, and gets what a backtest of the same calls says.

use crate::fitted::FITTED;
use detector::Detector;
use schema::{Decision, Ladder, Mode, Phase, RawCall, Verdict};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use vedette::config::Config;
use vedette::pipeline::Pipeline;

async fn ask(address: SocketAddr, path: &str, body: &[u8]) -> (u16, Vec<u8>) {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: vedette\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let status = String::from_utf8_lossy(&answer[9..12]).parse().unwrap();
    (status, answer[end + 4..].to_vec())
}

fn sighting(call: &RawCall, phase: Phase) -> Vec<u8> {
    let mut call = call.clone();
    call.phase = phase;
    if phase == Phase::Request {
        (call.status, call.result, call.result_bytes) = (None, None, None);
    }
    schema::decode::native::encode(&call)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asking_call_by_call_gives_the_decisions_of_a_backtest() {
    let mut config = Config::default();
    config.policy.mode = Mode::Enforce;
    // The sessions are asked about faster than they happened: their pace is not what is compared.
    config.policy.burst = policy::Burst { nats_max: 1e9, calls_max: u32::MAX, ..config.policy.burst };
    let parts = vedette::parts::for_data_sets(&config, FITTED.detector.clone()).unwrap();
    let listener = vedette::commands::policy::listen("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = {
        let (parts, config) = (Arc::clone(&parts), config.clone());
        tokio::spawn(async move {
            vedette::commands::policy::serve(listener, parts, &config, async move { drop(stopped.await) }).await
        })
    };

    let mut denied = 0;
    for calls in FITTED.others.iter().take(150) {
        let mut backtest = Pipeline::new(Arc::clone(&parts));
        for call in calls {
            let (status, body) = ask(address, "/v1/decide", &sighting(call, Phase::Request)).await;
            let answer: Decision =
                serde_json::from_slice(&body).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&body)));
            let judged = backtest.judge(call).unwrap();
            // Over the route's deadline on a busy machine: said so, and not compared. The call still counts.
            if !answer.degraded {
                let would = backtest.decide(&judged).would;
                assert_eq!((status, answer.would), (200, would), "call {}", call.id);
            }
            denied += u32::from(answer.decision == Ladder::Deny);
            if call.status.is_some() || call.result.is_some() || call.result_bytes.is_some() {
                let (status, _) = ask(address, "/v1/result", &sighting(call, Phase::Result)).await;
                assert_eq!(status, 202);
            }
        }
    }
    assert!(denied > 0, "no hijack of the world was denied");
    drop(stop);
    server.await.unwrap().unwrap();
}

#[tokio::test]
async fn with_no_model_everything_is_learning_and_nothing_is_denied() {
    let parts = vedette::parts::for_data_sets(&Config::default(), Detector::learning()).unwrap();
    let mut pipeline = Pipeline::new(parts);
    for call in FITTED.others.iter().flatten().take(300) {
        let judged = pipeline.judge(call).unwrap();
        let Verdict { learning, .. } = judged.verdict;
        assert!(learning && pipeline.decide(&judged).would < Ladder::StepUp);
    }
}
