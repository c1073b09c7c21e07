//! A body as it comes in: no more of it than may be in hand, and no slower than it may be.

use super::{BODY_BYTES_MAX, UNIT_BYTES, busy};
use axum::body::{Body, HttpBody as _};
use axum::http::StatusCode;
use policy::server::Problem;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The whole body, and the room it takes.
pub(super) async fn read(body: Body, all: &Arc<Semaphore>) -> Result<(Vec<u8>, OwnedSemaphorePermit), Problem> {
    let told = body.size_hint().upper().unwrap_or(0);
    let too_long = || {
        let detail = format!("a body has at most {BODY_BYTES_MAX} bytes");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-long", detail)
    };
    if told > BODY_BYTES_MAX as u64 {
        return Err(too_long());
    }
    let Ok(mut room) = Arc::clone(all).try_acquire_many_owned(0) else { return Err(busy()) };
    let collect = async {
        let (mut body, mut bytes) = (body, Vec::new());
        while let Some(frame) = poll_fn(|task| Pin::new(&mut body).poll_frame(task)).await {
            let frame =
                frame.map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "broken-body", "the body broke off"))?;
            let Ok(data) = frame.into_data() else { continue };
            if bytes.len() + data.len() > BODY_BYTES_MAX {
                return Err(too_long());
            }
            if !grow(all, &mut room, bytes.len() + data.len()) {
                return Err(busy());
            }
            bytes.extend_from_slice(&data);
        }
        Ok(bytes)
    };
    match tokio::time::timeout(BODY_MAX, collect).await {
        Ok(bytes) => Ok((bytes?, room)),
        Err(_) => Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "slow-body", "the body took too long to arrive")),
    }
}

/// Makes room for `bytes` in all, where there is some.
pub(super) fn grow(all: &Arc<Semaphore>, room: &mut OwnedSemaphorePermit, bytes: usize) -> bool {
    let more = bytes.div_ceil(UNIT_BYTES).saturating_sub(room.num_permits());
    match Arc::clone(all).try_acquire_many_owned(u32::try_from(more).unwrap_or(u32::MAX)) {
        Ok(more) => {
            room.merge(more);
            true
        }
        Err(_) => false,
    }
}

/// A body may take this long to arrive: 8 MiB over a slow uplink.
const BODY_MAX: Duration = Duration::from_secs(60);
