//! Recorded sessions as clients of the gateway: one MCP request a call, the next one so long after the last answer.

use crate::Recorded;
use crate::replicas::{Gateway, http};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// From an answer to the next call: as fast as recorded agents ever acted.
const BETWEEN: Duration = Duration::from_millis(67);
/// Sessions at a time.
const AT_ONCE: usize = 24;
/// How often a call that is told to wait is made again.
const PATIENCE: usize = 3;

/// What became of a session.
pub struct Played {
    pub end: End,
    /// Calls for which the user had to confirm; nobody did, and the agent went on with its next one.
    pub asked: usize,
    pub throttled: usize,
}

pub enum End {
    Finished,
    /// The call with this number was denied, and the agent stopped.
    Denied(usize),
}

/// All sessions, some at a time.
pub async fn play(gateway: &Gateway, recorded: Arc<Vec<Recorded>>) -> Vec<Played> {
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let doors = gateway.doors.clone();
    let running: Vec<_> = (0..recorded.len())
        .map(|at| {
            let (room, recorded, doors) = (Arc::clone(&room), Arc::clone(&recorded), doors.clone());
            tokio::spawn(async move {
                let _permit = room.acquire().await.unwrap();
                session(&doors, &recorded[at]).await
            })
        })
        .collect();
    let mut played = Vec::with_capacity(running.len());
    for session in running {
        played.push(session.await.unwrap());
    }
    played
}

async fn session(doors: &crate::replicas::Doors, recorded: &Recorded) -> Played {
    let mut played = Played { end: End::Finished, asked: 0, throttled: 0 };
    for (at, call) in recorded.calls.iter().enumerate() {
        if at > 0 {
            // What is replayed is the agents' pace.
            tokio::time::sleep(BETWEEN).await;
        }
        if let Some(text) = &call.mission {
            let mission = json!({"session": call.session, "text": text.chars().take(4_000).collect::<String>()});
            for replica in doors.replicas {
                let body = mission.to_string();
                assert_eq!(http(replica, "POST", "/v1/mission", &[], body.as_bytes()).await.status, 204);
            }
        }
        for _ in 0..=PATIENCE {
            let answer = http(doors.envoy, "POST", "/mcp", &headers(call), &request(call)).await;
            match answer.status {
                200 => break,
                401 => {
                    played.asked += 1;
                    break;
                }
                403 => {
                    played.end = End::Denied(at);
                    return played;
                }
                429 => {
                    played.throttled += 1;
                    let wait = answer.header("retry-after").and_then(|s| s.parse().ok()).unwrap();
                    tokio::time::sleep(Duration::from_secs(wait)).await;
                }
                other => panic!("{}: {other} {}", call.id, answer.text),
            }
        }
    }
    played
}

pub fn headers(call: &schema::RawCall) -> Vec<String> {
    vec![
        "content-type: application/json".to_owned(),
        format!("mcp-session-id: {}", call.session),
        format!("x-agent: {}", call.agent),
        format!("x-app: {}", call.app.as_ref().map_or("api", |app| app.as_str())),
        format!("x-call: {}", call.id),
    ]
}

pub fn request(call: &schema::RawCall) -> Vec<u8> {
    let params = json!({"name": call.tool, "arguments": call.args});
    json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string().into_bytes()
}
