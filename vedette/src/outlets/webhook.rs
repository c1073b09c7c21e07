//! Alerts as requests: `POST`, one finding a body, `Idempotency-Key` for receivers that count.

use super::Attempt;
use super::receiver::{AddressError, Receiver, patience};
use axum::http::{HeaderMap, StatusCode};
use ingest::Record;

/// Where findings are posted to.
#[derive(Debug)]
pub struct Webhook(Receiver);

impl Webhook {
    /// A receiver at `url`. `authorities`: PEM certificates that vouch for it, where it is https.
    pub fn new(url: &str, authorities: &[u8]) -> Result<Self, AddressError> {
        Receiver::new(url, authorities).map(Self)
    }

    pub(super) async fn post(&self, record: &Record) -> Attempt {
        match self.0.post("application/json", &record.id(), record.payload.clone().into()).await {
            Ok(answer) => judge(answer.status(), answer.headers()),
            Err(why) => Attempt::Again(why, None),
        }
    }
}

/// RFC 9110, section 15: what the receiver is at fault for, and what asks for patience, is tried again.
fn judge(status: StatusCode, headers: &HeaderMap) -> Attempt {
    let later = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS];
    match status {
        // An alert that was taken before is one that is there.
        status if status.is_success() || status == StatusCode::CONFLICT => Attempt::Done,
        status if status.is_server_error() || status.is_redirection() || later.contains(&status) => {
            Attempt::Again(format!("the receiver answered {status}"), patience(headers))
        }
        status => Attempt::Refused(format!("the receiver answered {status}")),
    }
}
