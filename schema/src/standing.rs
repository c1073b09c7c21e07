//! What is known of a session now, small enough to keep for a million of them.

use crate::limits::{SKETCH_BYTES_MAX, STANDING_BYTES_MAX, STANDING_RECORD_BYTES_MAX, STANDING_TOOLS_MAX};
use crate::{Device, Millis, Principal, RECORD_VERSION, Risk, Session, Tenant, Tool};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A session's standing.
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

/// A standing as it travels (topic [`crate::topics::STANDING`], under the name of the session's state), with whose it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StandingRecord {
    /// What is known of the session.
    #[serde(flatten)]
    pub standing: Standing,
    /// Whose it is: nobody joins another's session by naming it.
    pub tenant: Tenant,
    /// On whose behalf.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<Principal>,
    /// From which device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<Device>,
    /// The model in force had learned too little for a promise.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub learning: bool,
    /// Where a result told the agent what to do: the detector's short form of the session's state, fingerprints and no
    /// text, so that a gateway that sees requests only can trace what is done next.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "write_sketch",
        deserialize_with = "read_sketch"
    )]
    pub sketch: Option<Box<[u8]>>,
}

/// Why a record is no standing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StandingError {
    /// None of ours.
    #[error("it is no standing of a session")]
    Malformed,
    /// Of a build that writes other records.
    #[error("it is of a newer version than this build reads")]
    NewerVersion,
}

impl StandingRecord {
    /// From outside bytes.
    pub fn read(payload: &[u8]) -> Result<Self, StandingError> {
        if payload.len() > STANDING_RECORD_BYTES_MAX {
            return Err(StandingError::Malformed);
        }
        let record: Self = serde_json::from_slice(payload).map_err(|_| StandingError::Malformed)?;
        match &record.standing {
            standing if standing.v > RECORD_VERSION => Err(StandingError::NewerVersion),
            standing if standing.last.len() > STANDING_TOOLS_MAX => Err(StandingError::Malformed),
            _ => Ok(record),
        }
    }
}

fn write_sketch<S: Serializer>(sketch: &Option<Box<[u8]>>, out: S) -> Result<S::Ok, S::Error> {
    sketch.as_deref().map(|bytes| STANDARD.encode(bytes)).serialize(out)
}

fn read_sketch<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Box<[u8]>>, D::Error> {
    let text: Option<String> = Option::deserialize(input)?;
    let Some(text) = text else { return Ok(None) };
    let bytes = STANDARD.decode(text).map_err(D::Error::custom)?;
    if bytes.len() > SKETCH_BYTES_MAX { Err(D::Error::custom("too long")) } else { Ok(Some(bytes.into())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> StandingRecord {
        let standing = Standing {
            v: 1,
            session: Session::new("s-1").unwrap(),
            risk: Risk::new(0.97).unwrap(),
            exposed: true,
            last: vec![Tool::new("read").unwrap()],
            budgets: Budgets { calls: 9, ..Budgets::default() },
            at: Millis(7),
        };
        let tenant = Tenant::new("acme").unwrap();
        StandingRecord { standing, tenant, principal: None, device: None, learning: false, sketch: None }
    }

    #[test]
    fn a_standing_travels_with_whose_it_is_and_its_sketch() {
        let plain = record();
        let full = StandingRecord {
            principal: Some(Principal::new("user:1").unwrap()),
            device: Some(Device::new("dev-9").unwrap()),
            learning: true,
            sketch: Some(vec![0, 255, 7].into()),
            ..record()
        };
        for record in [plain, full] {
            let bytes = serde_json::to_vec(&record).unwrap();
            assert_eq!(StandingRecord::read(&bytes), Ok(record));
        }
    }

    #[test]
    fn what_is_no_standing_of_ours_is_refused() {
        let changed = |change: &dyn Fn(&mut serde_json::Value)| {
            let mut value = serde_json::to_value(record()).unwrap();
            change(&mut value);
            StandingRecord::read(value.to_string().as_bytes()).err()
        };
        assert_eq!(changed(&|_| {}), None);
        assert_eq!(changed(&|value| value["v"] = 9.into()), Some(StandingError::NewerVersion));
        assert_eq!(
            changed(&|value| drop(value.as_object_mut().unwrap().remove("tenant"))),
            Some(StandingError::Malformed)
        );
        assert_eq!(changed(&|value| value["sketch"] = "no base64!".into()), Some(StandingError::Malformed));
        let long = STANDARD.encode(vec![1; SKETCH_BYTES_MAX + 1]);
        assert_eq!(changed(&|value| value["sketch"] = long.clone().into()), Some(StandingError::Malformed));
        let tools = vec!["pay"; STANDING_TOOLS_MAX + 1];
        assert_eq!(changed(&|value| value["last"] = tools.clone().into()), Some(StandingError::Malformed));
        let blank = vec![b' '; STANDING_RECORD_BYTES_MAX + 1];
        assert_eq!(StandingRecord::read(&blank), Err(StandingError::Malformed));
        // The longest that is written is read.
        let most = StandingRecord { sketch: Some(vec![1; SKETCH_BYTES_MAX].into()), ..record() };
        assert_eq!(StandingRecord::read(&serde_json::to_vec(&most).unwrap()), Ok(most));
    }

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
