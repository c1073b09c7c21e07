//! Revocation for everyone else: a CRL for TLS servers, and a compact signed list for those that
//! check offline.
//!
//! The status list holds eight bytes of SHA-256 a revoked serial number, sorted, about a quarter of
//! what a CRL takes. Layout, integers big-endian:
//!
//! ```text
//! "VSL1" | u64 made ms | u64 until ms | u32 count | count x 8 bytes, rising | 64 signature
//! ```

use rcgen::{
    CertificateRevocationListParams, KeyIdMethod, RevocationReason as CrlReason, RevokedCertParams, SerialNumber,
};

use crate::authority::{Authority, AuthorityError, date};
use crate::digest::{Digest, unhex};
use crate::ledger::store::{Revocation, RevocationKind};
use crate::sign::{PublicKey, Role, SIGNATURE_BYTES, SigningKey};
use crate::time::{Millis, Span};

/// Largest status list, in bytes: about 130,000 revocations.
pub const STATUS_BYTES_MAX: usize = 1024 * 1024;
/// How long a CRL or a status list may be relied on: a day, so that a checker that is cut off for a
/// night goes on, and a stolen certificate is stopped by the next one.
pub const LIST_LIFE: Span = Span::hours(24);

const MAGIC: &[u8] = b"VSL1";

/// The CRL (RFC 5280 section 5) over every revocation ever, expired ones too. Its number is the second
/// it was made in, so it rises without being kept.
///
/// # Errors
/// [`AuthorityError::Sign`].
pub fn crl(entries: &[(String, Revocation)], authority: &Authority, now: Millis) -> Result<Vec<u8>, AuthorityError> {
    let revoked = entries.iter().filter_map(|(serial, entry)| {
        Some(RevokedCertParams {
            serial_number: SerialNumber::from(unhex(serial)?),
            revocation_time: date(entry.at),
            reason_code: Some(match entry.why {
                RevocationKind::Revoked => CrlReason::KeyCompromise,
                RevocationKind::Hold => CrlReason::CertificateHold,
            }),
            invalidity_date: None,
        })
    });
    let params = CertificateRevocationListParams {
        this_update: date(now),
        next_update: date(now + LIST_LIFE),
        crl_number: SerialNumber::from(now.unix_seconds()),
        issuing_distribution_point: None,
        revoked_certs: revoked.collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    authority.sign_crl(params)
}

/// What a status list says of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// Not on the list.
    Good,
    /// On the list.
    Revoked,
    /// The list is too old to say.
    Stale,
}

/// A verified status list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusList {
    made: Millis,
    until: Millis,
    entries: Vec<[u8; 8]>,
}

/// Why a status list is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StatusError {
    /// Longer than [`STATUS_BYTES_MAX`].
    #[error("status list of {found} bytes, the limit is {STATUS_BYTES_MAX}")]
    TooLarge {
        /// Bytes given.
        found: usize,
    },
    /// Cut short, too long, unsorted, or not a status list at all.
    #[error("not a status list")]
    Malformed,
    /// Signed by no key of the status role.
    #[error("status list is not signed by a key of the status role")]
    Signature,
    /// Older than one already held.
    #[error("status list is older than the one held")]
    Rollback,
}

/// Makes and signs a status list.
pub fn status_list(entries: &[(String, Revocation)], key: &SigningKey, now: Millis) -> Vec<u8> {
    let mut hashes: Vec<[u8; 8]> = entries.iter().filter_map(|(serial, _)| short(&unhex(serial)?)).collect();
    hashes.sort_unstable();
    hashes.dedup();
    hashes.truncate((STATUS_BYTES_MAX - HEAD_BYTES - SIGNATURE_BYTES) / 8);
    let mut out = Vec::with_capacity(HEAD_BYTES + hashes.len() * 8 + SIGNATURE_BYTES);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&now.0.to_be_bytes());
    out.extend_from_slice(&(now + LIST_LIFE).0.to_be_bytes());
    out.extend_from_slice(&u32::try_from(hashes.len()).unwrap_or(u32::MAX).to_be_bytes());
    hashes.iter().for_each(|hash| out.extend_from_slice(hash));
    let signature = key.sign(Role::Status, &out);
    out.extend_from_slice(&signature);
    out
}

const HEAD_BYTES: usize = 4 + 8 + 8 + 4;

/// Reads a status list without checking its signature: for the fuzzer, and first half of
/// [`StatusList::read`].
///
/// # Errors
/// [`StatusError::TooLarge`] or [`StatusError::Malformed`].
pub fn parse_status_list(bytes: &[u8]) -> Result<StatusList, StatusError> {
    if bytes.len() > STATUS_BYTES_MAX {
        return Err(StatusError::TooLarge { found: bytes.len() });
    }
    read(bytes).ok_or(StatusError::Malformed)
}

impl StatusList {
    /// Reads and verifies a list. `held`: the one known so far, which an older one never replaces.
    ///
    /// # Errors
    /// [`StatusError`].
    pub fn read(bytes: &[u8], keys: &[PublicKey], held: Option<&Self>) -> Result<Self, StatusError> {
        let list = parse_status_list(bytes)?;
        let at = bytes.len().saturating_sub(SIGNATURE_BYTES);
        let (signed, signature) = bytes.split_at_checked(at).ok_or(StatusError::Malformed)?;
        if !keys.iter().any(|key| key.verifies(Role::Status, signed, signature)) {
            return Err(StatusError::Signature);
        }
        if held.is_some_and(|held| held.made > list.made) { Err(StatusError::Rollback) } else { Ok(list) }
    }

    /// When it was made, by the authority's clock.
    pub fn made(&self) -> Millis {
        self.made
    }

    /// What the list says of a serial number at `now`.
    pub fn says(&self, serial: &[u8], now: Millis) -> Said {
        let on = short(serial).is_some_and(|hash| self.entries.binary_search(&hash).is_ok());
        match on {
            // A revocation holds however old the list is.
            true => Said::Revoked,
            false if now > self.until => Said::Stale,
            false => Said::Good,
        }
    }
}

fn read(bytes: &[u8]) -> Option<StatusList> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let (made, rest) = rest.split_first_chunk()?;
    let (until, rest) = rest.split_first_chunk()?;
    let (count, rest) = rest.split_first_chunk()?;
    let length = usize::try_from(u32::from_be_bytes(*count)).ok()?.checked_mul(8)?;
    let (list, signature) = rest.split_at_checked(length)?;
    if signature.len() != SIGNATURE_BYTES {
        return None;
    }
    let entries: Option<Vec<[u8; 8]>> = list.chunks_exact(8).map(|chunk| chunk.try_into().ok()).collect();
    let entries = entries?;
    let rising = entries.iter().zip(entries.iter().skip(1)).all(|(a, b)| a < b);
    rising.then(|| StatusList {
        made: Millis(u64::from_be_bytes(*made)),
        until: Millis(u64::from_be_bytes(*until)),
        entries,
    })
}

fn short(serial: &[u8]) -> Option<[u8; 8]> {
    Digest::of(serial).0.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Millis = Millis(1_795_343_040_000);

    fn entries(count: u32) -> Vec<(String, Revocation)> {
        let entry = |why| Revocation { device: "dev-9".parse().unwrap(), at: NOW, why, not_after: NOW };
        (0..count).map(|n| (format!("4{n:031x}"), entry(RevocationKind::Revoked))).collect()
    }

    #[test]
    fn a_status_list_says_who_is_revoked_for_as_long_as_it_may() {
        let key = SigningKey::generate().unwrap();
        let bytes = status_list(&entries(1_000), &key, NOW);
        assert_eq!(bytes.len(), HEAD_BYTES + 8_000 + SIGNATURE_BYTES);
        let list = StatusList::read(&bytes, &[key.public()], None).unwrap();
        let serial = |n: u32| unhex(&format!("4{n:031x}")).unwrap();
        let late = NOW + LIST_LIFE + Span(1);
        assert_eq!(list.says(&serial(999), NOW), Said::Revoked);
        assert_eq!(list.says(&serial(1_000), NOW), Said::Good);
        assert_eq!(list.says(&serial(999), late), Said::Revoked, "a revocation never ends");
        assert_eq!(list.says(&serial(1_000), late), Said::Stale);
    }

    #[test]
    fn forged_cut_and_older_lists_are_refused() {
        let key = SigningKey::generate().unwrap();
        let keys = [key.public()];
        let bytes = status_list(&entries(3), &key, NOW);
        let held = StatusList::read(&bytes, &keys, None).unwrap();
        let older = status_list(&entries(1), &key, NOW - Span(1));
        assert_eq!(StatusList::read(&older, &keys, Some(&held)), Err(StatusError::Rollback));
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(StatusList::read(&bad, &keys, None).is_err(), "bit {bit}");
        }
        for end in 0..bytes.len() {
            assert_eq!(parse_status_list(&bytes[..end]), Err(StatusError::Malformed), "cut at {end}");
        }
        let huge = vec![0; STATUS_BYTES_MAX + 1];
        assert_eq!(parse_status_list(&huge), Err(StatusError::TooLarge { found: huge.len() }));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(tail in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse_status_list(&tail);
            let _ = parse_status_list(&[MAGIC, &tail].concat());
        }
    }
}
