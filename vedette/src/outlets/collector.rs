//! A collector of spans, by OTLP over HTTP (OTLP 1.x, "OTLP/HTTP", binary Protobuf).

use super::Attempt;
use super::receiver::{AddressError, Receiver, patience};
use crate::config::Config;
use crate::failure::Failure;
use axum::http::{Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Held;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use schema::{Digest, Millis};
use std::time::Duration;

/// Where spans go, and who says so.
#[derive(Debug)]
pub struct Collector {
    receiver: Receiver,
    instance: String,
}

impl Collector {
    /// The collector at `endpoint`, as OpenTelemetry's own settings name it: without the path of a signal. `authorities`: PEM
    /// certificates that vouch for it, where it is https. `instance`: names this process among others.
    pub fn new(endpoint: &str, authorities: &[u8], instance: String) -> Result<Self, AddressError> {
        let url = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
        Ok(Self { receiver: Receiver::new(&url, authorities)?, instance })
    }

    /// The configured one, as told by `instance`.
    pub fn configured(config: &Config, instance: String) -> Result<Self, Failure> {
        // Where there is no such file, nobody is vouched for; only https minds.
        let authorities = std::fs::read(&config.telemetry.otlp_authorities).unwrap_or_default();
        Self::new(&config.telemetry.otlp_endpoint, &authorities, instance)
            .map_err(|source| Failure::Collector { source })
    }

    /// Sends `spans`, once. `key`: names them for whoever counts.
    pub(crate) async fn export(&self, key: &str, spans: Vec<Span>) -> Attempt {
        let body = self.request(spans).encode_to_vec().into();
        match self.receiver.post("application/x-protobuf", key, body).await {
            Ok(answer) => judge(answer).await,
            Err(why) => Attempt::Again(why, None),
        }
    }

    fn request(&self, spans: Vec<Span>) -> ExportTraceServiceRequest {
        let version = env!("CARGO_PKG_VERSION");
        let attributes = vec![
            text("service.name", "vedette"),
            text("service.version", version),
            text("service.instance.id", &self.instance),
        ];
        let scope = InstrumentationScope { name: "vedette".into(), version: version.into(), ..Default::default() };
        let spans = ScopeSpans { scope: Some(scope), spans, schema_url: SCHEMA.into() };
        let resource = Some(Resource { attributes, ..Default::default() });
        let of_us = ResourceSpans { resource, scope_spans: vec![spans], schema_url: SCHEMA.into() };
        ExportTraceServiceRequest { resource_spans: vec![of_us] }
    }
}

/// A span of ours from `start` to `end`: under the span of `caller`, else in a trace of `alone`. The same `names` make the
/// same span.
pub(crate) fn span(name: &str, caller: Option<Caller>, alone: &str, names: &str, start: Millis, end: Millis) -> Span {
    let (trace, parent) = caller.map_or_else(|| (first(&Digest::of(alone.as_bytes())), None), |(t, s)| (t, Some(s)));
    Span {
        trace_id: trace.to_vec(),
        span_id: first::<8>(&Digest::of(names.as_bytes())).to_vec(),
        parent_span_id: parent.map(Vec::from).unwrap_or_default(),
        flags: if parent.is_some() { SAMPLED | PARENT_IS_REMOTE } else { SAMPLED },
        name: name.to_owned(),
        kind: SpanKind::Internal.into(),
        start_time_unix_nano: start.0.saturating_mul(NS_PER_MS),
        // Clocks differ: what ends before it begins is no span.
        end_time_unix_nano: start.max(end).0.saturating_mul(NS_PER_MS),
        ..Default::default()
    }
}

/// Trace and span of who called.
pub(crate) type Caller = ([u8; 16], [u8; 8]);

/// Trace and span of a `traceparent` (W3C Trace Context, section 3.2.2); none where it is not one. Versions after 00 may
/// have more at their end.
pub(crate) fn caller(traceparent: &str) -> Option<Caller> {
    let mut parts = traceparent.split('-');
    let mut hex = |digits: usize| {
        let part = parts.next()?;
        let is = part.len() == digits && part.bytes().all(|b| b.is_ascii_hexdigit());
        u128::from_str_radix(part, 16).ok().filter(|_| is)
    };
    let (version, trace, span, _flags) = (hex(2)?, hex(32)?, u64::try_from(hex(16)?).ok()?, hex(2)?);
    let whole = version != 0xff && (version > 0 || parts.next().is_none());
    (whole && trace != 0 && span != 0).then(|| (trace.to_be_bytes(), span.to_be_bytes()))
}

/// The first bytes of a digest. All zeros is no id, and never met.
fn first<const N: usize>(digest: &Digest) -> [u8; N] {
    digest.0.first_chunk().copied().unwrap_or([1; N])
}

/// An attribute that is a text.
pub(crate) fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Held::StringValue(value.to_owned()))
}

/// An attribute.
pub(crate) fn attribute(key: &str, held: Held) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(held) }), ..Default::default() }
}

/// OTLP 1.x, "OTLP/HTTP Response": these four are tried again and no others; what a collector took in part it does not want
/// again.
async fn judge(answer: Response<Incoming>) -> Attempt {
    let later = [
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::BAD_GATEWAY,
        StatusCode::SERVICE_UNAVAILABLE,
        StatusCode::GATEWAY_TIMEOUT,
    ];
    match answer.status() {
        status if status.is_success() => match left_out(answer).await {
            None => Attempt::Done,
            Some(why) => Attempt::Refused(format!("the collector left it out: {why}")),
        },
        status if later.contains(&status) => {
            Attempt::Again(format!("the collector answered {status}"), patience(answer.headers()))
        }
        status => Attempt::Refused(format!("the collector answered {status}")),
    }
}

/// Why a collector that took the request left the span out, if it did. An answer that cannot be read says nothing.
async fn left_out(answer: Response<Incoming>) -> Option<String> {
    let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect();
    let body = tokio::time::timeout(ANSWER_MAX, body).await.ok()?.ok()?.to_bytes();
    let partly = ExportTraceServiceResponse::decode(body).ok()?.partial_success?;
    (partly.rejected_spans > 0).then(|| partly.error_message.chars().take(WHY_CHARS_MAX).collect())
}

const SCHEMA: &str = "https://opentelemetry.io/schemas/1.41.0";
/// W3C trace flags, and OTLP's `SpanFlags`: that it is known where the parent is, and that it is elsewhere. A span of ours is
/// sent whether the caller's was sampled or not: they are few.
const SAMPLED: u32 = 0x01;
const PARENT_IS_REMOTE: u32 = 0x300;
const NS_PER_MS: u64 = 1_000_000;
const ANSWER_BYTES_MAX: usize = 64 << 10;
const ANSWER_MAX: Duration = Duration::from_secs(5);
const WHY_CHARS_MAX: usize = 200;

#[cfg(test)]
mod tests;
