//! Which peer may use which route: one table, and the test that prints it.

use super::peer::{DeviceStanding, Peer};
use crate::bundle::Kind;
use crate::http::{Method, Request};

/// Everything the authority serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// `GET /.well-known/est/cacerts`.
    CaCerts,
    /// `GET /.well-known/est/csrattrs`.
    CsrAttributes,
    /// `POST /.well-known/est/simpleenroll`.
    Enrol,
    /// `POST /.well-known/est/simplereenroll`.
    Renew,
    /// `POST /v1/time`.
    Time,
    /// `GET /v1/trust/N`.
    Trust(u32),
    /// `GET /v1/crl`, or `GET /v1/crl/N` for the authority of generation N.
    Crl(Option<usize>),
    /// `GET /v1/status`.
    Status,
    /// `GET /v1/bundles/KIND`: the newest manifest.
    Manifest(Kind),
    /// `GET /v1/bundles/KIND/N/OFFSET`: a piece of the content.
    Content(Kind, u64, u64),
    /// `GET /v1/renewal-info`.
    RenewalInfo,
    /// `POST /v1/probe`.
    Probe,
    /// `GET /v1/fleet`.
    Fleet,
    /// `GET /metrics`.
    Metrics,
}

/// What a route lets happen, which decides who may use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    /// Public facts, and the time.
    Everyone,
    /// Getting a first certificate.
    Newcomers,
    /// Getting the next one: also for expired certificates, which the ledger judges, and for revoked
    /// ones, so that they are told why.
    Returning,
    /// What a device that came back may do.
    Quarantined,
    /// Everything else: a certificate that is good in full.
    Members,
    /// What is known of every device, and of the server.
    Operators,
}

impl Route {
    /// The route of a request; `None` when there is none.
    pub fn of(request: &Request) -> Option<Self> {
        let (method, path) = (request.method, request.path.as_str());
        let est = path.strip_prefix("/.well-known/est/");
        match (method, est, path) {
            (Method::Get, Some("cacerts"), _) => Some(Self::CaCerts),
            (Method::Get, Some("csrattrs"), _) => Some(Self::CsrAttributes),
            (Method::Post, Some("simpleenroll"), _) => Some(Self::Enrol),
            (Method::Post, Some("simplereenroll"), _) => Some(Self::Renew),
            (Method::Post, _, "/v1/time") => Some(Self::Time),
            (Method::Get, _, "/v1/crl") => Some(Self::Crl(None)),
            (Method::Get, _, "/v1/status") => Some(Self::Status),
            (Method::Get, _, "/v1/renewal-info") => Some(Self::RenewalInfo),
            (Method::Post, _, "/v1/probe") => Some(Self::Probe),
            (Method::Get, _, "/v1/fleet") => Some(Self::Fleet),
            (Method::Get, _, "/metrics") => Some(Self::Metrics),
            (Method::Get, _, path) if path.starts_with("/v1/bundles/") => bundle(path.strip_prefix("/v1/bundles/")?),
            (Method::Get, _, path) => match path.strip_prefix("/v1/crl/") {
                Some(number) => number.parse().ok().map(|number| Self::Crl(Some(number))),
                None => path.strip_prefix("/v1/trust/")?.parse().ok().map(Self::Trust),
            },
            _ => None,
        }
    }

    /// Its name among the meters.
    pub fn name(self) -> &'static str {
        match self {
            Self::CaCerts => "cacerts",
            Self::CsrAttributes => "csrattrs",
            Self::Enrol => "enroll",
            Self::Renew => "reenroll",
            Self::Time => "time",
            Self::Trust(_) => "trust",
            Self::Crl(_) => "crl",
            Self::Status => "status",
            Self::Manifest(_) => "manifest",
            Self::Content(..) => "content",
            Self::RenewalInfo => "renewal-info",
            Self::Probe => "probe",
            Self::Fleet => "fleet",
            Self::Metrics => "metrics",
        }
    }

    fn door(self) -> Door {
        match self {
            Self::CaCerts | Self::CsrAttributes | Self::Time | Self::Trust(_) | Self::Crl(_) | Self::Status => {
                Door::Everyone
            }
            Self::Enrol => Door::Newcomers,
            Self::Renew => Door::Returning,
            Self::RenewalInfo | Self::Probe => Door::Quarantined,
            Self::Manifest(_) | Self::Content(..) => Door::Members,
            Self::Fleet | Self::Metrics => Door::Operators,
        }
    }

    /// Whether a revoked certificate is treated differently from another: then, and only then, the ledger is
    /// asked before the route is opened. (A renewal by a revoked one is refused by the ledger itself.)
    pub fn minds_revocation(self) -> bool {
        matches!(self.door(), Door::Quarantined | Door::Members)
    }

    /// Whether `peer` may use the route.
    pub fn open_to(self, peer: &Peer) -> bool {
        use DeviceStanding::{Current, Quarantine};
        let standing = match peer {
            Peer::Device(device) => Some(device.standing),
            _ => None,
        };
        match self.door() {
            Door::Everyone => true,
            Door::Newcomers => matches!(peer, Peer::Anonymous | Peer::Factory { .. }),
            Door::Returning => standing.is_some(),
            Door::Members => standing == Some(Current),
            Door::Quarantined => matches!(standing, Some(Current | Quarantine)),
            Door::Operators => matches!(peer, Peer::Operator { .. }),
        }
    }
}

fn bundle(rest: &str) -> Option<Route> {
    let mut parts = rest.split('/');
    let kind: Kind = parts.next()?.parse().ok()?;
    let numbers: Result<Vec<u64>, _> = parts.map(str::parse).collect();
    match numbers.ok()?.as_slice() {
        [] => Some(Route::Manifest(kind)),
        [version, offset] => Some(Route::Content(kind, *version, *offset)),
        _ => None,
    }
}
