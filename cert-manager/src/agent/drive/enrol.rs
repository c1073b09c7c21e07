//! A new certificate, step by step: a key and a request are staged, sent, the answer is checked and installed, the pair is
//! tried out, and becomes the one in use.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, DnType};
use zeroize::Zeroizing;

use super::{Agent, AgentError, Moment, TOKEN_FILE, good, random, unacceptable};
use crate::agent::channel::Channel;
use crate::agent::storage::Storage;
use crate::agent::store::{Pair, Slot, Staged, View};
use crate::desk::{RECEIPT_HEADER, REFUSED_HEADER, REQUEST_HEADER};
use crate::device::RequestId;
use crate::est::wire::{decode_body, encode_body, parse_certs_only};
use crate::facts::parse_certificate;
use crate::http::{Request, Response};
use crate::keys::Key;
use crate::ledger::Refusal;
use crate::receipt::{SignedReceipt, parse_receipt};
use crate::rotation::Trouble;
use crate::sign::Role;
use crate::time::{Millis, Span};

impl<S: Storage, C: Channel> Agent<S, C> {
    pub(super) fn stage(&mut self, view: &View) -> Result<(), AgentError> {
        let slot = view.newest.as_ref().map_or(Slot::A, |pair| pair.slot.other());
        let key = self.store.keys().generate().map_err(|e| AgentError::Key(e.to_string()))?;
        Ok(self.store.stage(slot, &key, RequestId(random()?))?)
    }

    pub(super) fn send(&mut self, view: &View, moment: Moment) -> Result<(), AgentError> {
        let Some(staged) = view.staged else { return Ok(()) };
        let Some(key) = self.store.key(staged.slot)? else { return Ok(()) };
        let request = self.request(view, staged, &key)?;
        // A token speaks for itself; showing an old certificate beside it would only confuse.
        let identity = if self.token.is_some() { None } else { self.identity(view)? };
        let response = self.channel.exchange(identity.as_ref(), &request)?;
        let now = self.clock(moment).now();
        match response.status {
            200 => self.take(view, staged, &response),
            202 => self.later(&response, now),
            403 if response.header(REFUSED_HEADER).is_some() => self.refused(&response, now),
            401 => {
                self.memory.trouble.refused = Some(Refusal::Credential);
                self.memory.trouble.last = now;
                self.remember()?;
                self.forget_token() // spent or wrong: asking again with it gets the same answer
            }
            status => {
                self.memory.trouble.not_before = now + response.retry_after().unwrap_or(Span::ZERO);
                Err(AgentError::Answer { status, say: response.first_line() })
            }
        }
    }

    fn request(&self, view: &View, staged: Staged, key: &Key) -> Result<Request, AgentError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, self.device.as_str());
        let csr = params.serialize_request(key).map_err(|e| AgentError::Key(e.to_string()))?;
        let path = match (&self.token, &view.newest) {
            (Some(_), _) | (None, None) => "/.well-known/est/simpleenroll",
            (None, Some(_)) => "/.well-known/est/simplereenroll",
        };
        let mut request = Request::post(path, "application/pkcs10", encode_body(csr.der()))
            .with("content-transfer-encoding", "base64")
            .with(REQUEST_HEADER, staged.request.to_string());
        match (&self.token, &view.newest) {
            (Some(token), _) => {
                let basic = Zeroizing::new(format!("{}:{}", self.device, token.as_str()));
                request = request.with("authorization", format!("Basic {}", STANDARD.encode(basic.as_bytes())));
            }
            (None, Some(pair)) => request = request.with(RECEIPT_HEADER, STANDARD.encode(pair.receipt.bytes())),
            (None, None) => {}
        }
        Ok(request)
    }

    /// Checks an issued certificate against everything known, then installs it.
    fn take(&mut self, view: &View, staged: Staged, response: &Response) -> Result<(), AgentError> {
        let message = decode_body(&response.body).map_err(unacceptable)?;
        let certs = parse_certs_only(&message).map_err(unacceptable)?;
        let mine = |der: &&Vec<u8>| parse_certificate(der).is_ok_and(|facts| facts.key.id == staged.key);
        let certificate = certs.iter().find(mine).ok_or_else(|| unacceptable("no certificate for the key"))?;
        let facts = parse_certificate(certificate).map_err(unacceptable)?;
        let receipt = self.receipt(response)?;
        let said = receipt.receipt();
        let before = view.newest.as_ref().map_or(0, |pair| pair.receipt.receipt().n);
        let agrees = said.device == self.device
            && said.key == facts.key.id
            && said.serial == facts.serial
            && said.not_after == facts.validity.until
            && facts.common_name.as_deref() == Some(self.device.as_str())
            && said.n > before;
        if !agrees {
            return Err(unacceptable("the receipt and the certificate disagree"));
        }
        let chain = self.chain(view.newest.as_ref(), &facts.issuer)?;
        self.store.install(staged.slot, certificate, &chain, &receipt)?;
        self.memory.floor = self.memory.floor.raised(said.server_time);
        self.memory.trouble = Trouble::default();
        self.memory.hint = None;
        self.remember()?;
        self.forget_token()
    }

    fn receipt(&self, response: &Response) -> Result<SignedReceipt, AgentError> {
        let text = response.header(RECEIPT_HEADER).ok_or_else(|| unacceptable("no receipt"))?;
        let bytes = STANDARD.decode(text).map_err(unacceptable)?;
        let receipt = parse_receipt(&bytes).map_err(unacceptable)?;
        receipt.verify(self.trust.keys(Role::Receipt)).map_err(unacceptable)?;
        Ok(receipt)
    }

    /// Certificates between the new one and an anchor: as before, unless the issuer changed.
    fn chain(&mut self, held: Option<&Pair>, issuer: &str) -> Result<Vec<Vec<u8>>, AgentError> {
        if let Some(pair) = held.filter(|pair| pair.facts.issuer == issuer) {
            return Ok(pair.chain.clone());
        }
        let response = good(self.channel.exchange(None, &Request::get("/.well-known/est/cacerts"))?, 200)?;
        let certs = parse_certs_only(&decode_body(&response.body).map_err(unacceptable)?).map_err(unacceptable)?;
        // Anchors are known from the root document; only what lies between is kept.
        let anchors = self.trust.anchors(self.memory.floor.at());
        Ok(certs.into_iter().filter(|der| !anchors.contains(der)).collect())
    }

    fn later(&mut self, response: &Response, now: Millis) -> Result<(), AgentError> {
        self.memory.trouble.not_before = now + response.retry_after().unwrap_or(Span::ZERO);
        self.memory.trouble.unreachable = false;
        self.remember()
    }

    fn refused(&mut self, response: &Response, now: Millis) -> Result<(), AgentError> {
        let name = response.header(REFUSED_HEADER).unwrap_or_default();
        let refusal = serde_json::from_value(serde_json::Value::String(name.to_owned()));
        // A reason this version does not know is still a refusal.
        self.memory.trouble.refused = Some(refusal.unwrap_or(Refusal::UnknownDevice));
        self.memory.trouble.last = now;
        self.remember()
    }

    pub(super) fn probe(&mut self, view: &View) -> Result<(), AgentError> {
        let Some(pair) = &view.newest else { return Ok(()) };
        let identity = self.identity(view)?;
        let request = Request::post("/v1/probe", "application/json", Vec::new());
        good(self.channel.exchange(identity.as_ref(), &request)?, 204)?;
        self.memory.probed = Some(pair.facts.key.id);
        self.memory.trouble = Trouble::default();
        self.remember()
    }

    pub(super) fn commit(&mut self, view: &View) -> Result<(), AgentError> {
        let Some(pair) = &view.newest else { return Ok(()) };
        Ok(self.store.commit(pair.slot)?)
    }

    fn forget_token(&mut self) -> Result<(), AgentError> {
        match self.token.take() {
            Some(_) => Ok(self.store.forget(TOKEN_FILE)?),
            None => Ok(()),
        }
    }
}
