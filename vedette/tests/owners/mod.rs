//! Replicas that share sessions: each session is owned by one, any of them is asked, and what comes back is what a single
//! one would say.

mod inside; // replicas in this process
mod processes; // the real binary, with a Kafka in this process
mod refusals; // what no replica answers

use crate::fitted::FITTED;
use detector::Detector;
use policy::server::{AppState, Endpoint, Judged, Question, Tls, listen};
use schema::{Phase, RawCall, topics};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use vedette::config::Config;
use vedette::hop::{Hop, LIMITS, router};
use vedette::members::Membership;

/// The sessions to ask about. Of clients that send queries there is one: identities are linked where they are owned, so
/// that what is said of two depends on who owns them.
pub fn sessions() -> Vec<&'static [RawCall]> {
    let key = vedette::key::for_data_sets();
    let mut client = None;
    let wanted = |calls: &&'static [RawCall]| {
        let asks = calls.iter().any(|call| schema::seal(call, &key).query.is_some());
        !asks || *client.get_or_insert(&calls[0].principal) == &calls[0].principal
    };
    FITTED.others.iter().map(Vec::as_slice).filter(wanted).collect()
}

/// Everything as shipped, but for time: a busy machine is not what is tested.
pub fn config() -> Config {
    let mut config = Config::default();
    config.policy.mode = schema::Mode::Enforce;
    config.policy.burst = policy::Burst { nats_max: 1e9, calls_max: u32::MAX, ..config.policy.burst };
    config.policy.routes.default.deadline_ms = 60_000;
    config
}

/// A replica in this process.
pub struct Replica {
    /// Its doors'.
    pub state: Arc<AppState>,
    /// What it knows of others.
    pub membership: Arc<Membership>,
    /// Where others ask it.
    pub address: SocketAddr,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

impl Replica {
    /// One that knows of no other.
    pub async fn start(detector: &Detector, tls: Option<Tls>) -> Self {
        let config = config();
        let parts = vedette::parts::for_data_sets(&config, detector.clone()).unwrap();
        let (mut state, owner) = vedette::commands::policy::doors(parts, &config).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let membership = Arc::new(Membership::new(&address.to_string(), owner.key(), 3));
        state.scorer = Arc::new(Hop::new(Arc::clone(&owner), Arc::clone(&membership), tls.clone()));
        let state = Arc::new(state);
        let doors = router(owner, Arc::clone(&membership), Arc::clone(&state));
        let (stop, stopped) = oneshot::channel::<()>();
        let endpoint = Endpoint { listener, tls, workers: None };
        let served = tokio::spawn(async move {
            listen(endpoint, doors, LIMITS, async move { drop(stopped.await) }).await.unwrap();
        });
        Self { state, membership, address, stop, served }
    }

    /// Hears once of what `other` tells.
    pub fn hear(&self, other: &Membership) {
        let own = other.watch().borrow().own().clone();
        let payload = serde_json::to_vec(&own).unwrap();
        self.hear_of(&own.address, payload);
    }

    fn hear_of(&self, address: &str, payload: Vec<u8>) {
        let (topic, key) = (topics::MEMBERS.into(), Some(address.into()));
        self.membership.hear(&ingest::Record { topic, partition: 0, offset: 0, at: schema::Millis(0), key, payload });
    }

    /// Its decision about `raw`.
    pub async fn ask(&self, raw: RawCall) -> Judged {
        self.state.judge(Question::of(raw, "native")).await.unwrap()
    }

    /// Whether another one owns the session of `raw`, as this one knows.
    pub fn asks_another(&self, raw: &RawCall) -> bool {
        let of = vedette::members::owned_by(&vedette::key::for_data_sets(), raw);
        self.membership.owner(of).is_some()
    }

    /// Ends, and answers nobody any more.
    pub async fn end(self) {
        self.stop.send(()).unwrap();
        self.served.await.unwrap();
    }
}

/// Two that know of each other.
pub async fn two(detector: &Detector, tls: [Option<Tls>; 2]) -> [Replica; 2] {
    let [one, other] = tls;
    let (one, other) = (Replica::start(detector, one).await, Replica::start(detector, other).await);
    one.hear(&other.membership);
    other.hear(&one.membership);
    [one, other]
}

/// A call before it goes through.
pub fn request(call: &RawCall) -> RawCall {
    RawCall { phase: Phase::Request, status: None, result: None, result_bytes: None, ..call.clone() }
}

/// `call` in a session of its own that is as `wanted`; its principal is left out.
pub fn in_a_session(call: &RawCall, wanted: impl Fn(&RawCall) -> bool) -> RawCall {
    let named = |n: u32| RawCall { session: format!("n-{n}").parse().unwrap(), principal: None, ..call.clone() };
    (0..).map(named).find(wanted).unwrap()
}
