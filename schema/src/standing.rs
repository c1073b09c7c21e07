//! What is known of a session now, small enough to keep for a million of them.

use crate::limits::{STANDING_BYTES_MAX, STANDING_TOOLS_MAX};
use crate::{Millis, Risk, Session, Tool};
use serde::{Deserialize, Serialize};

/// A session's standing as it travels (topic [`crate::topics::STANDING`]).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// Record version.
    pub v: u8,
    /// The session.
    pub session: Session,
    /// Highest risk so far, decayed by the policy, not here.
    pub risk: Risk,
    /// The session has met instruction-like text.
    pub exposed: bool,
    /// The last tools, oldest first, at most [`STANDING_TOOLS_MAX`].
    pub last: Vec<Tool>,
    /// What the session has used.
    pub budgets: Budgets,
    /// Time of the last call.
    pub at: Millis,
}

/// What a session has used so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Budgets {
    /// Calls.
    pub calls: u32,
    /// Tokens.
    pub tokens: u64,
    /// Bytes of results.
    pub bytes: u64,
    /// Thousandths of a unit of the operator's currency.
    pub milliunits: u64,
}

impl Standing {
    /// The standing as stored: 62 bytes at most, little-endian, the session left to the key.
    ///
    /// `[v][exposed][risk f64][calls u32][tokens u64][bytes u64][milliunits u64][at u64]`, then up to four tool
    /// hashes cut to 32 bits, oldest first.
    pub fn pack(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(STANDING_BYTES_MAX);
        out.push(self.v);
        out.push(u8::from(self.exposed));
        out.extend_from_slice(&self.risk.get().to_le_bytes());
        out.extend_from_slice(&self.budgets.calls.to_le_bytes());
        for word in [self.budgets.tokens, self.budgets.bytes, self.budgets.milliunits, self.at.0] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        for tool in self.last.iter().rev().take(STANDING_TOOLS_MAX).rev() {
            let hash = tool.name_hash().0 as u32;
            out.extend_from_slice(&hash.to_le_bytes());
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_standing_fits_its_bound() {
        let tool = Tool::new(&"t".repeat(200)).unwrap();
        let standing = Standing {
            v: 1,
            session: Session::new("s-1").unwrap(),
            risk: Risk::new(0.97).unwrap(),
            exposed: true,
            last: vec![tool; 9],
            budgets: Budgets { calls: 9, tokens: u64::MAX, bytes: 1, milliunits: 1 },
            at: Millis(u64::MAX),
        };
        assert!(standing.pack().len() <= STANDING_BYTES_MAX, "{}", standing.pack().len());
    }
}
