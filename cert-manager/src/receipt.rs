//! Receipts: one signed link for every certificate issued, so that a clone cannot hide.
//!
//! Each names the one before it by hash. A device shows its newest with every renewal; two parties
//! that both go on from the same link are a fork. Layout, integers big-endian, about 240 bytes:
//!
//! ```text
//! "VRC1" | u8 length, device | u64 n | 32 prev | 32 key | u8 length, serial | u64 not_after ms
//!        | u64 server_time ms | u32 trust version | u32 bundle version | u8 risk | 64 signature
//! ```

use crate::device::DeviceId;
use crate::digest::Digest;
use crate::facts::Serial;
use crate::risk::Risk;
use crate::sign::{PublicKey, Role, SIGNATURE_BYTES, SigningKey};
use crate::time::Millis;

/// Largest receipt, in bytes: every field at its longest.
pub const RECEIPT_BYTES_MAX: usize = 4 + 65 + 8 + 32 + 32 + 21 + 8 + 8 + 4 + 4 + 1 + SIGNATURE_BYTES;

const MAGIC: &[u8] = b"VRC1";

/// What one receipt says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Whose certificate.
    pub device: DeviceId,
    /// The how-manieth of this device, from 1.
    pub n: u64,
    /// Hash of receipt `n - 1`, [`Digest::ZERO`] for the first.
    pub prev: Digest,
    /// Id of the key the certificate is for.
    pub key: Digest,
    /// The certificate's serial number.
    pub serial: Serial,
    /// The certificate's last valid moment.
    pub not_after: Millis,
    /// The server's clock when it was issued.
    pub server_time: Millis,
    /// Newest root document the server knew.
    pub trust_version: u32,
    /// Newest bundle the server knew.
    pub bundle_version: u32,
    /// The device's risk when it was issued.
    pub risk: Risk,
}

/// A receipt with its exact bytes. Parsed is not verified: see [`SignedReceipt::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedReceipt {
    receipt: Receipt,
    bytes: Vec<u8>,
}

/// Why bytes are not a receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiptError {
    /// Longer than [`RECEIPT_BYTES_MAX`].
    #[error("receipt of {found} bytes, the limit is {RECEIPT_BYTES_MAX}")]
    TooLarge {
        /// Bytes given.
        found: usize,
    },
    /// Cut short, too long, or not a receipt at all.
    #[error("not a receipt")]
    Malformed,
    /// Signed by no key of the receipt role.
    #[error("receipt is not signed by a key of the receipt role")]
    Signature,
}

impl Receipt {
    /// Signs the receipt.
    pub fn sign(self, key: &SigningKey) -> SignedReceipt {
        let mut bytes = self.encode();
        let signature = key.sign(Role::Receipt, &bytes);
        bytes.extend_from_slice(&signature);
        SignedReceipt { receipt: self, bytes }
    }

    fn encode(&self) -> Vec<u8> {
        let device = self.device.as_str().as_bytes();
        let mut out = Vec::with_capacity(RECEIPT_BYTES_MAX);
        out.extend_from_slice(MAGIC);
        out.push(device.len() as u8); // INVARIANT: a device name is at most 64 bytes
        out.extend_from_slice(device);
        out.extend_from_slice(&self.n.to_be_bytes());
        out.extend_from_slice(&self.prev.0);
        out.extend_from_slice(&self.key.0);
        out.push(self.serial.bytes().len() as u8); // INVARIANT: a serial is at most 20 bytes
        out.extend_from_slice(self.serial.bytes());
        out.extend_from_slice(&self.not_after.0.to_be_bytes());
        out.extend_from_slice(&self.server_time.0.to_be_bytes());
        out.extend_from_slice(&self.trust_version.to_be_bytes());
        out.extend_from_slice(&self.bundle_version.to_be_bytes());
        out.push(self.risk.code());
        out
    }
}

impl SignedReceipt {
    /// What it says.
    pub fn receipt(&self) -> &Receipt {
        &self.receipt
    }

    /// The bytes that travel and are stored.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The link the next receipt names.
    pub fn hash(&self) -> Digest {
        Digest::of(&self.bytes)
    }

    /// Checks the signature against the keys of the receipt role.
    ///
    /// # Errors
    /// [`ReceiptError::Signature`] when none of `keys` signed it.
    pub fn verify(&self, keys: &[PublicKey]) -> Result<&Receipt, ReceiptError> {
        let at = self.bytes.len().saturating_sub(SIGNATURE_BYTES);
        let signed = self.bytes.split_at_checked(at).ok_or(ReceiptError::Malformed)?;
        if keys.iter().any(|key| key.verifies(Role::Receipt, signed.0, signed.1)) {
            Ok(&self.receipt)
        } else {
            Err(ReceiptError::Signature)
        }
    }
}

/// Reads a receipt; the signature is kept, not checked.
///
/// # Errors
/// [`ReceiptError::TooLarge`] or [`ReceiptError::Malformed`].
pub fn parse_receipt(bytes: &[u8]) -> Result<SignedReceipt, ReceiptError> {
    if bytes.len() > RECEIPT_BYTES_MAX {
        return Err(ReceiptError::TooLarge { found: bytes.len() });
    }
    let receipt = read(bytes).ok_or(ReceiptError::Malformed)?;
    // One form per receipt: a second encoding of the same facts would have another hash.
    let canonical = bytes.len() == receipt.encode().len() + SIGNATURE_BYTES;
    if canonical { Ok(SignedReceipt { receipt, bytes: bytes.to_vec() }) } else { Err(ReceiptError::Malformed) }
}

fn read(bytes: &[u8]) -> Option<Receipt> {
    let mut rest = bytes.strip_prefix(MAGIC)?;
    let length = usize::from(take::<1>(&mut rest)?[0]);
    let device = std::str::from_utf8(take_slice(&mut rest, length)?).ok()?.parse().ok()?;
    let n = u64::from_be_bytes(take(&mut rest)?);
    let (prev, key) = (Digest(take(&mut rest)?), Digest(take(&mut rest)?));
    let length = usize::from(take::<1>(&mut rest)?[0]);
    let serial = take_slice(&mut rest, length)?;
    if serial.first() == Some(&0) {
        return None; // a leading zero would be a second form of the same number
    }
    Some(Receipt {
        device,
        n,
        prev,
        key,
        serial: Serial::new(serial).ok()?,
        not_after: Millis(u64::from_be_bytes(take(&mut rest)?)),
        server_time: Millis(u64::from_be_bytes(take(&mut rest)?)),
        trust_version: u32::from_be_bytes(take(&mut rest)?),
        bundle_version: u32::from_be_bytes(take(&mut rest)?),
        risk: Risk::from_code(take::<1>(&mut rest)?[0])?,
    })
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}

fn take_slice<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (head, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    Some(head)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn signed(key: &SigningKey) -> SignedReceipt {
        Receipt {
            device: "dev-9".parse().unwrap(),
            n: 3,
            prev: Digest::of(b"2"),
            key: Digest::of(b"k"),
            serial: Serial::new(&[7; 16]).unwrap(),
            not_after: Millis(2),
            server_time: Millis(1),
            trust_version: 1,
            bundle_version: 0,
            risk: Risk::Amber,
        }
        .sign(key)
    }

    #[test]
    fn a_receipt_survives_the_wire_and_verifies() {
        let key = SigningKey::generate().unwrap();
        let sent = signed(&key);
        let got = parse_receipt(sent.bytes()).unwrap();
        assert_eq!(got, sent);
        assert_eq!(got.verify(&[key.public()]).unwrap().n, 3);
        let other = SigningKey::generate().unwrap().public();
        assert_eq!(got.verify(&[other]), Err(ReceiptError::Signature));
    }

    #[test]
    fn every_cut_every_extra_byte_and_every_flipped_bit_is_refused() {
        let key = SigningKey::generate().unwrap();
        let good = signed(&key).bytes().to_vec();
        for end in 0..good.len() {
            assert_eq!(parse_receipt(&good[..end]), Err(ReceiptError::Malformed), "cut at {end}");
        }
        let longer = [good.as_slice(), &[0]].concat();
        assert_eq!(parse_receipt(&longer), Err(ReceiptError::Malformed));
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let accepted = parse_receipt(&bad).is_ok_and(|r| r.verify(&[key.public()]).is_ok());
            assert!(!accepted, "bit {bit}");
        }
        assert_eq!(parse_receipt(&[0; 4_000]), Err(ReceiptError::TooLarge { found: 4_000 }));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(tail in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse_receipt(&tail);
            let _ = parse_receipt(&[MAGIC, &tail].concat());
        }
    }
}
