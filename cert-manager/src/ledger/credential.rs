//! First trust: one-time tokens and vouchers. Only their hash is ever stored.

use std::fmt;

use ring::rand::SecureRandom;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::store::{Ledger, LedgerError, TOKENS, database, row};
use crate::device::{DeviceId, RequestId};
use crate::digest::{Digest, hex};
use crate::time::Millis;

/// What a one-time credential allows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// The one device it is for; `None` lets the holder choose a name nobody has.
    pub device: Option<DeviceId>,
    /// The class the device gets.
    pub class: String,
    /// Last moment it can be used.
    pub until: Millis,
    /// Whether it brings a device that is already there back, on a new key.
    pub voucher: bool,
    /// The request that used it up.
    pub spent_by: Option<RequestId>,
}

/// The secret text of a token: 32 hex digits, shown once.
pub struct TokenText(Zeroizing<String>);

impl TokenText {
    /// The text, for the one place that shows it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for TokenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenText(..)")
    }
}

/// The hash under which a token is looked up. Looking up by hash, not by comparing texts, leaves a
/// timing attacker nothing to climb.
pub fn token_hash(text: &str) -> Digest {
    Digest::of(format!("vedette-token-v1\0{}", text.trim()).as_bytes())
}

impl Ledger {
    /// Makes a one-time token or voucher and gives its text, which is stored nowhere.
    ///
    /// # Errors
    /// [`LedgerError::NoRandomness`] or a database error.
    pub fn token(&self, token: &Token) -> Result<TokenText, LedgerError> {
        let mut secret = Zeroizing::new([0; 16]);
        ring::rand::SystemRandom::new().fill(secret.as_mut()).map_err(|_| LedgerError::NoRandomness)?;
        let text = Zeroizing::new(hex(secret.as_ref()));
        let write = self.db.begin_write().map_err(database)?;
        {
            let mut tokens = write.open_table(TOKENS).map_err(database)?;
            tokens.insert(&token_hash(&text).0, row(token)?.as_slice()).map_err(database)?;
        }
        write.commit().map_err(database)?;
        Ok(TokenText(text))
    }
}
