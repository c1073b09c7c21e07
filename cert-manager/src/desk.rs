//! The server's answer to each request, without sockets: peer and request in, response out.
//!
//! [`Desk::plan`] checks and either answers or makes a job for the ledger; [`Desk::finish`] turns the
//! ledger's answer into a response. Between them the rim may gather many jobs into one transaction.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::authority::Authority;
use crate::bundle::Kind;
use crate::device::{DeviceId, RequestId};
use crate::digest::Digest;
use crate::est::csr::{CsrFacts, parse_csr};
use crate::est::wire::{certs_only, decode_body, encode_body};
use crate::fleet::{page, parse_query};
use crate::floor::{Nonce, TimeAnswer};
use crate::http::{Request, Response};
use crate::ledger::{Answer, Ask, Credential, Job, Ledger, LedgerError, Office, Refusal, token_hash};
use crate::meters::{Facts, Meters};
use crate::receipt::{SignedReceipt, parse_receipt};
use crate::revocation::{crl, status_list};
use crate::risk::RiskSource;
use crate::rotation::Window;
use crate::sign::SigningKey;
use crate::time::{Millis, Span};
use crate::tls::Issued;
use crate::trust::Trust;

mod device; // what is made of a device that asks: its risk, its word
pub mod lists; // revocation lists, kept for a moment
pub mod operators; // whose client certificates read the fleet
pub mod peer; // who is on the other end, from the certificate TLS has verified
pub mod route; // which peer may use which route
pub mod shelf; // published bundles

pub use lists::Lists;
pub use operators::Operators;
pub use peer::{Known, Peer};
pub use route::Route;
pub use shelf::Shelf;

/// Header that carries a request id: 32 hex digits.
pub const REQUEST_HEADER: &str = "vedette-request";
/// Header that carries a receipt, base64, both ways.
pub const RECEIPT_HEADER: &str = "vedette-receipt";
/// Header that names why a certificate was refused, as [`Refusal`] in kebab case.
pub const REFUSED_HEADER: &str = "vedette-refused";
/// Header in which a device says what it holds, as [`crate::holds::Holds`].
pub const HOLDS_HEADER: &str = "vedette-holds";

/// The authority's counter.
pub struct Desk {
    /// Its memory.
    pub ledger: Ledger,
    /// Who signs, and the classes.
    pub office: Office,
    /// Signs time answers.
    pub time: SigningKey,
    /// Published bundles.
    pub shelf: Shelf,
    /// Signs status lists.
    pub status: SigningKey,
    /// Authorities of earlier generations, oldest first: their CRLs are still served.
    pub retired: Vec<Authority>,
    /// Lists made a moment ago, so that a crowd of checkers costs one signature.
    pub lists: Lists,
    /// Certificates signed a moment ago, for TLS.
    pub issued: Arc<Issued>,
    /// Whose certificates are read: our own of every generation, makers', operators'.
    pub known: Known,
    /// Certificates for `/cacerts`: the authority, its chain, and at a rollover OldWithNew and
    /// NewWithOld.
    pub cacerts: Vec<Vec<u8>>,
    /// Root documents as bytes; the first is number 1.
    pub roots: Vec<Vec<u8>>,
    /// Asked for every renewal.
    pub risk: Box<dyn RiskSource>,
    /// When the server would like renewals sooner, for all.
    pub hint: Option<Window>,
    /// What the server counts.
    pub meters: Meters,
}

/// What a request needs.
#[derive(Debug)]
pub enum Plan {
    /// Nothing more: here is the answer.
    Done(Response),
    /// The ledger.
    Job(Job),
    /// Here is the answer, and something to note for which nobody need wait.
    Noted(Response, Job),
}

impl Desk {
    /// Checks a request and answers it where the ledger is not needed.
    pub fn plan(&self, peer: &Peer, request: &Request, now: Millis) -> Plan {
        let Some(route) = Route::of(request) else {
            return Plan::Done(Response::text(404, "no such route"));
        };
        if !route.open_to(peer) {
            return Plan::Done(refuse_peer(route, peer));
        }
        let made = match route {
            Route::CaCerts => self.ca_certs(),
            Route::CsrAttributes => Ok(Response::new(200, "application/csrattrs", encode_body(CSR_ATTRIBUTES))),
            Route::Enrol => return self.plan_enrol(peer, request).unwrap_or_else(Plan::Done),
            Route::Renew => return self.plan_renew(peer, request, now).unwrap_or_else(Plan::Done),
            Route::Time => self.time(request, now),
            Route::Trust(version) => Ok(self.root(version)),
            Route::Crl(generation) => self.crl(generation, now),
            Route::Status => self.status_list(now),
            Route::Manifest(kind) => {
                let newest = self.shelf.newest(kind).and_then(|version| self.shelf.manifest(kind, version));
                let response = shelved(newest, "application/json");
                return match self.told(peer, request, now) {
                    Some(job) => Plan::Noted(response, job),
                    None => Plan::Done(response),
                };
            }
            Route::Content(kind, version, offset) => {
                Ok(shelved(self.shelf.chunk(kind, version, offset), "application/octet-stream"))
            }
            Route::RenewalInfo => Ok(self.renewal_info()),
            Route::Probe => Ok(Response::empty(204)),
            Route::Fleet => self.fleet(request, now),
            Route::Metrics => self.metrics(),
        };
        Plan::Done(made.unwrap_or_else(|refused| refused))
    }

    /// The response for a ledger's answer.
    pub fn finish(&self, answer: Result<Answer, LedgerError>) -> Response {
        match answer {
            Ok(Answer::Issued { certificate, receipt }) => match certs_only([certificate.as_slice()]) {
                Ok(message) => {
                    self.issued.note(&certificate);
                    Response::new(200, "application/pkcs7-mime; smime-type=certs-only", encode_body(&message))
                        .with("content-transfer-encoding", "base64")
                        .with(RECEIPT_HEADER, STANDARD.encode(receipt))
                }
                Err(_) => Response::text(500, "cannot write the certificate"),
            },
            Ok(Answer::Later(span)) => later(span),
            Ok(Answer::Noted) => Response::empty(204),
            Ok(Answer::Refused(Refusal::Credential)) => unauthorized(),
            Ok(Answer::Refused(refusal)) => refused(refusal),
            // Nothing was written, nothing may be answered: the device asks again with the same id.
            Err(_) => Response::text(503, "the ledger cannot be written").with("retry-after", "60"),
        }
    }

    /// Plans and carries out one request, for callers that gather no batches.
    pub fn answer(&self, peer: &Peer, request: &Request, now: Millis) -> Response {
        match self.plan(peer, request, now) {
            Plan::Done(response) => response,
            Plan::Job(job) => {
                let answers = self.apply(&[job], now);
                self.finish(answers.and_then(|mut all| all.pop().ok_or(LedgerError::Row { table: "(answers)" })))
            }
            Plan::Noted(response, job) => {
                let _ = self.apply(&[job], now); // told again tomorrow
                response
            }
        }
    }

    /// Has the ledger carry out a batch. Bundles are published beside a running server, so that which is the
    /// newest is looked up here: once for all.
    ///
    /// # Errors
    /// [`LedgerError`]; then nothing was written and nothing may be answered.
    pub fn apply(&self, jobs: &[Job], now: Millis) -> Result<Vec<Answer>, LedgerError> {
        // A shelf that cannot be read says nothing new.
        if let Ok(newest) = self.shelf.newest(Kind::Model) {
            self.office.bundle_version.store(u32::try_from(newest).unwrap_or(u32::MAX), Ordering::Relaxed);
        }
        self.ledger.apply(jobs, &self.office, now)
    }

    fn fleet(&self, request: &Request, now: Millis) -> Result<Response, Response> {
        let query = parse_query(&request.query).map_err(|error| Response::text(400, error.to_string()))?;
        let page = page(&self.ledger, &self.shelf, self.trust_version(), &query, now);
        let page = page.map_err(|_| Response::text(503, "the ledger cannot be read").with("retry-after", "60"))?;
        let json = serde_json::to_vec(&page).map_err(|_| Response::text(500, "cannot write the page"))?;
        Ok(Response::new(200, "application/json", json))
    }

    fn metrics(&self) -> Result<Response, Response> {
        // The chain was walked when the folder was opened, so the newest document can be read.
        let root =
            self.roots.last().and_then(|bytes| Trust::start(bytes).ok()).map(|trust| trust.document().expires_ms);
        let facts = Facts {
            authority_until: self.office.authority.facts().validity.until.unix_seconds(),
            root_until: root.map_or(0, Millis::unix_seconds),
            root_version: self.trust_version(),
            bundle_version: self.office.bundle_version.load(Ordering::Relaxed),
        };
        Ok(Response::new(200, "text/plain; version=0.0.4; charset=utf-8", self.meters.page(&facts)))
    }

    fn trust_version(&self) -> u32 {
        u32::try_from(self.roots.len()).unwrap_or(u32::MAX)
    }

    fn ca_certs(&self) -> Result<Response, Response> {
        let message = certs_only(self.cacerts.iter().map(Vec::as_slice))
            .map_err(|_| Response::text(500, "cannot write the authority's certificates"))?;
        Ok(Response::new(200, "application/pkcs7-mime", encode_body(&message))
            .with("content-transfer-encoding", "base64"))
    }

    fn time(&self, request: &Request, now: Millis) -> Result<Response, Response> {
        #[derive(serde::Deserialize)]
        struct Question {
            nonce: Nonce,
        }
        let question: Question = serde_json::from_slice(&request.body)
            .map_err(|_| Response::text(400, "send {\"nonce\":\"<32 hex digits>\"}"))?;
        let answer = TimeAnswer { nonce: question.nonce, time_ms: now, trust_version: self.trust_version() };
        Ok(Response::new(200, "application/json", answer.sign(&self.time)))
    }

    fn root(&self, version: u32) -> Response {
        let at = usize::try_from(version).ok().and_then(|v| v.checked_sub(1));
        match at.and_then(|at| self.roots.get(at)) {
            Some(bytes) => Response::new(200, "application/json", bytes.clone()),
            None => Response::text(404, "no such root document"),
        }
    }

    fn crl(&self, generation: Option<usize>, now: Millis) -> Result<Response, Response> {
        let newest = self.retired.len() + 1;
        let number = generation.unwrap_or(newest);
        let authority = match number.checked_sub(1) {
            Some(at) if number == newest || at < self.retired.len() => {
                self.retired.get(at).unwrap_or(&self.office.authority)
            }
            _ => return Err(Response::text(404, "no such authority")),
        };
        let made = self.lists.fresh(number, now, || crl(&self.ledger.revocations().ok()?, authority, now).ok());
        let der = made.ok_or_else(|| Response::text(503, "the list cannot be made").with("retry-after", "60"))?;
        Ok(Response::new(200, "application/pkix-crl", der))
    }

    fn status_list(&self, now: Millis) -> Result<Response, Response> {
        let make = || Some(status_list(&self.ledger.revocations().ok()?, &self.status, now));
        let bytes = self.lists.fresh(0, now, make);
        let bytes = bytes.ok_or_else(|| Response::text(503, "the list cannot be made").with("retry-after", "60"))?;
        Ok(Response::new(200, "application/octet-stream", bytes))
    }

    fn renewal_info(&self) -> Response {
        match &self.hint {
            Some(window) => Response::new(200, "application/json", serde_json::to_vec(window).unwrap_or_default()),
            None => Response::empty(204),
        }
    }

    fn plan_renew(&self, peer: &Peer, request: &Request, now: Millis) -> Result<Plan, Response> {
        let Peer::Device(device) = peer else { return Err(Response::text(403, "a device certificate is needed")) };
        let (csr_der, csr) = read_csr(request)?;
        // RFC 7030 section 4.2.2: the subject stays the same. An empty one counts as unchanged.
        if csr.common_name.as_deref().is_some_and(|name| name != device.name.as_str()) {
            return Err(Response::text(400, "the request's common name is not the certificate's"));
        }
        let shown = receipt(request)?;
        let ask = Ask {
            request: request_id(request, device.fingerprint, &csr_der)?,
            by: device.key,
            by_until: device.until,
            new_key: csr.key.id,
            head: None,
        };
        let risk = self.risk_of(device, now)?;
        Ok(Plan::Job(Job::Renew { device: device.name.clone(), ask, shown, spki: csr.spki, risk }))
    }

    fn plan_enrol(&self, peer: &Peer, request: &Request) -> Result<Plan, Response> {
        let (csr_der, csr) = read_csr(request)?;
        let wanted: Option<DeviceId> = csr.common_name.as_deref().and_then(|name| name.parse().ok());
        let (device, credential) = match peer {
            Peer::Factory { name, key, class } => {
                (Some(name.clone()), Credential::Factory { key: *key, class: class.clone() })
            }
            _ => (wanted, Credential::Token(token_hash(&basic_password(request).ok_or_else(unauthorized)?))),
        };
        let device = device.ok_or_else(|| Response::text(400, "the common name is not a device name"))?;
        let by = match &credential {
            Credential::Token(hash) => *hash,
            Credential::Factory { key, .. } => *key,
        };
        let request = request_id(request, by, &csr_der)?;
        Ok(Plan::Job(Job::Enrol { device, request, credential, new_key: csr.key.id, spki: csr.spki }))
    }
}

/// The receipt a device shows. Its signature is checked by the ledger, and only where it is not the
/// very receipt the ledger expects: the same bytes need no second proof.
fn receipt(request: &Request) -> Result<Option<SignedReceipt>, Response> {
    let Some(text) = request.header(RECEIPT_HEADER) else { return Ok(None) };
    let bytes = STANDARD.decode(text).map_err(|_| Response::text(400, "the receipt is not base64"))?;
    parse_receipt(&bytes).map(Some).map_err(|_| Response::text(400, "the receipt cannot be read"))
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Desk({:?}, ..)", self.office.authority)
    }
}

fn read_csr(request: &Request) -> Result<(Vec<u8>, CsrFacts), Response> {
    let bad = |error: &dyn std::fmt::Display| Response::text(400, error.to_string());
    let der = decode_body(&request.body).map_err(|e| bad(&e))?;
    let facts = parse_csr(&der).map_err(|e| bad(&e))?;
    Ok((der, facts))
}

fn request_id(request: &Request, credential: Digest, csr: &[u8]) -> Result<RequestId, Response> {
    match request.header(REQUEST_HEADER) {
        Some(text) => text.parse().map_err(|_| Response::text(400, "the request id is not 32 hex digits")),
        None => Ok(RequestId::of_plain(credential, csr)),
    }
}

/// The password of HTTP Basic (RFC 7030 section 3.2.3); the name before it is not looked at.
fn basic_password(request: &Request) -> Option<zeroize::Zeroizing<String>> {
    let (scheme, value) = request.header("authorization")?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") || value.len() > 1_024 {
        return None;
    }
    let text = zeroize::Zeroizing::new(String::from_utf8(STANDARD.decode(value.trim()).ok()?).ok()?);
    text.split_once(':').map(|(_, password)| zeroize::Zeroizing::new(password.to_owned()))
}

fn shelved(found: std::io::Result<Option<Vec<u8>>>, content_type: &str) -> Response {
    match found {
        Ok(Some(bytes)) => Response::new(200, content_type, bytes),
        Ok(None) => Response::text(404, "no such bundle"),
        Err(_) => Response::text(503, "the bundle cannot be read").with("retry-after", "60"),
    }
}

fn unauthorized() -> Response {
    Response::text(401, "a one-time token is needed: send it as the password of HTTP Basic")
        .with("www-authenticate", "Basic realm=\"vedette\"")
}

fn later(span: Span) -> Response {
    let seconds = span.0.div_ceil(1_000).max(1);
    Response::text(202, "not yet; ask again").with("retry-after", seconds.to_string())
}

fn refused(refusal: Refusal) -> Response {
    let name = serde_json::to_value(refusal).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default();
    Response::text(403, refusal.to_string()).with(REFUSED_HEADER, name)
}

fn refuse_peer(route: Route, peer: &Peer) -> Response {
    match (route, peer) {
        (Route::Renew | Route::Probe | Route::RenewalInfo | Route::Fleet | Route::Metrics, Peer::Anonymous) => {
            Response::text(403, "a client certificate is needed")
        }
        _ => Response::text(403, "this certificate may not use this route"),
    }
}

/// What a request should hold (RFC 7030 section 4.5.2): a key on P-256, signed with SHA-256.
const CSR_ATTRIBUTES: &[u8] = &[
    0x30, 0x21, // SEQUENCE
    0x30, 0x15, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, // attribute id-ecPublicKey
    0x31, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, // SET { prime256v1 }
    0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02, // ecdsa-with-SHA256
];
