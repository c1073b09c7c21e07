//! What several tests need: an office, and devices that renew as `vedette-agent` does.

use cert_manager::authority::{Authority, key_id, self_signed_authority};
use cert_manager::device::{DeviceId, RequestId};
use cert_manager::ledger::{Answer, Ask, Credential, Job, Ledger, Office, Token, token_hash};
use cert_manager::receipt::{SignedReceipt, parse_receipt};
use cert_manager::risk::Risk;
use cert_manager::sign::SigningKey;
use cert_manager::time::{Millis, Span, Validity};
use cert_manager::{Digest, facts::parse_certificate};
use rcgen::{KeyPair, PublicKeyData};

/// The moment tests begin: 22 November 2026.
pub const START: Millis = Millis(1_795_343_040_000);

pub fn authority() -> Authority {
    let key = KeyPair::generate().unwrap();
    let validity = Validity { from: START - Span::days(1), until: START + Span::days(20 * 365) };
    let certificate = self_signed_authority("test ca", &key, validity).unwrap();
    Authority::new(certificate, key, None).unwrap()
}

pub fn office() -> Office {
    let receipts = SigningKey::generate().unwrap();
    let classes = [("default".to_owned(), Default::default())].into();
    Office { authority: authority(), receipts, classes, trust_version: 1, bundle_version: 0.into() }
}

/// A device as the ledger meets it: keys and receipts, no files.
#[derive(Clone)]
pub struct Device {
    pub name: DeviceId,
    pub key: Digest,
    pub until: Millis,
    pub receipt: Option<SignedReceipt>,
    pub pending: Option<Pending>,
}

#[derive(Clone)]
pub struct Pending {
    pub request: RequestId,
    pub key: Digest,
    pub spki: Vec<u8>,
}

impl Pending {
    pub fn new(request: u128) -> Self {
        let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let spki = key.subject_public_key_info();
        Self { request: RequestId(request.to_be_bytes()), key: key_id(&key), spki }
    }
}

impl Device {
    /// Enrols with a fresh token.
    pub fn enrol(name: &str, ledger: &Ledger, office: &Office, now: Millis) -> Self {
        let name: DeviceId = name.parse().unwrap();
        let token = Token { device: None, class: "default".into(), until: now, voucher: false, spent_by: None };
        let text = ledger.token(&token).unwrap();
        let mut pending = Pending::new(0);
        pending.request = RequestId(Digest::of(name.as_str().as_bytes()).0[..16].try_into().unwrap());
        let job = Job::Enrol {
            device: name.clone(),
            request: pending.request,
            credential: Credential::Token(token_hash(text.expose())),
            new_key: pending.key,
            spki: pending.spki.clone(),
        };
        let mut device = Self { name, key: Digest::ZERO, until: Millis(0), receipt: None, pending: Some(pending) };
        let answer = ledger.apply(&[job], office, now).unwrap().remove(0);
        assert!(device.take(&answer), "{answer:?}");
        device
    }

    /// What it would send now.
    pub fn renewal(&self) -> Job {
        let pending = self.pending.clone().unwrap();
        Job::Renew {
            device: self.name.clone(),
            ask: Ask { request: pending.request, by: self.key, by_until: self.until, new_key: pending.key, head: None },
            shown: self.receipt.clone(),
            spki: pending.spki,
            risk: Risk::Green,
        }
    }

    /// Installs an issued certificate; says whether it was one.
    pub fn take(&mut self, answer: &Answer) -> bool {
        let Answer::Issued { certificate, receipt } = answer else { return false };
        let facts = parse_certificate(certificate).unwrap();
        let pending = self.pending.take().unwrap();
        assert_eq!(facts.key.id, pending.key);
        self.key = pending.key;
        self.until = facts.validity.until;
        self.receipt = Some(parse_receipt(receipt).unwrap());
        true
    }

    /// Stages a new key and renews, all in one.
    pub fn renew(&mut self, request: u128, ledger: &Ledger, office: &Office, now: Millis) -> Answer {
        self.pending = Some(Pending::new(request));
        let answer = ledger.apply(&[self.renewal()], office, now).unwrap().remove(0);
        self.take(&answer);
        answer
    }
}

pub mod door;
pub mod live;
pub mod sim;

/// A desk with an empty ledger and the first root document of its trust chain.
pub fn desk() -> (cert_manager::desk::Desk, cert_manager::trust::Trust) {
    use cert_manager::desk::peer::{Issuer, Known};
    use cert_manager::sign::Role;
    use cert_manager::trust::{Anchor, RoleKeys, RootDocument, Trust};
    let (office, root, time) = (office(), SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
    let one = |key: &SigningKey| RoleKeys { threshold: 1, keys: vec![key.public()] };
    let document = RootDocument {
        v: 1,
        version: 1,
        expires_ms: START + Span::days(3_650),
        roles: [(Role::Root, one(&root)), (Role::Receipt, one(&office.receipts)), (Role::Time, one(&time))].into(),
        anchors: vec![Anchor::new(office.authority.certificate(), office.authority.facts().validity)],
    };
    let bytes = document.sign(&[&root]);
    let trust = Trust::start(&bytes).unwrap();
    let desk = cert_manager::desk::Desk {
        ledger: Ledger::in_memory().unwrap(),
        status: SigningKey::generate().unwrap(),
        retired: vec![],
        lists: Default::default(),
        issued: Default::default(),
        shelf: cert_manager::desk::Shelf::new("/nonexistent".as_ref()),
        known: Known { issuers: vec![Issuer::new(office.authority.certificate()).unwrap()], ..Known::default() },
        cacerts: vec![office.authority.certificate().to_vec()],
        office,
        time,
        roots: vec![bytes],
        risk: Box::new(cert_manager::risk::FixedRisk(Risk::Green)),
        hint: None,
        meters: Default::default(),
    };
    (desk, trust)
}

/// A token for any one device.
pub fn token(ledger: &Ledger, until: Millis) -> zeroize::Zeroizing<String> {
    let token = Token { device: None, class: "default".into(), until, voucher: false, spent_by: None };
    ledger.token(&token).unwrap().expose().to_owned().into()
}

/// A device with a certificate that is good in full.
pub fn member(name: &str) -> cert_manager::desk::Peer {
    use cert_manager::desk::peer::{DevicePeer, DeviceStanding};
    cert_manager::desk::Peer::Device(DevicePeer {
        name: name.parse().unwrap(),
        key: Digest::of(b"k"),
        until: START + Span::days(1),
        fingerprint: Digest::of(b"c"),
        standing: DeviceStanding::Current,
    })
}
