//! Sketches of queries to model APIs: distances survive, values do not.

use crate::{Agent, App, CallId, Device, Fp, Millis, Principal, Session, Tenant, Tool};
use serde::{Deserialize, Serialize};

/// A distance-preserving sketch of one query: a keyed orthonormal projection, quantised.
///
/// Component `i` of the projection is `scale * v[i]`. Two sketches of one API (same tenant, app, tool, `numbers`)
/// are as far apart as their queries, up to the projection's and the quantiser's error; sketches of different APIs cannot be compared.
/// Source: Ailon and Chazelle, "The fast Johnson-Lindenstrauss transform", SIAM J. Comput. 39(1), 2009 (signs, Hadamard, sample).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QuerySketch {
    /// Fingerprint of the exact query under the API's key: equal queries of any session are equal.
    pub fp: u64,
    /// Numbers (or distinct stems) in the query.
    pub numbers: u32,
    /// Value of one step of `v`.
    pub scale: f32,
    /// Components, at most [`crate::limits::SKETCH_DIMS`].
    #[serde(with = "packed")]
    pub v: Vec<i16>,
    /// A byte for each run of neighbouring numbers, equal where all of them are equal: which parts of a query repeat an earlier
    /// one. At most [`crate::limits::SKETCH_CELLS`]; none in records of older builds.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "bytes")]
    pub cells: Vec<u8>,
}

impl QuerySketch {
    /// The fingerprint as such.
    pub fn fingerprint(&self) -> Fp {
        Fp(self.fp)
    }
}

/// One query as the principals stage sees it (topic [`crate::topics::QUERIES`]).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QueryRecord {
    /// Record version.
    pub v: u8,
    /// The call.
    pub id: CallId,
    /// When.
    pub at: Millis,
    /// Whose traffic.
    pub tenant: Tenant,
    /// Who asks: the principal, else the agent.
    pub principal: Principal,
    /// In which session.
    pub session: Session,
    /// By which agent.
    pub agent: Agent,
    /// From which device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<Device>,
    /// Of which application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<App>,
    /// Of which tool.
    pub tool: Tool,
    /// The query.
    pub query: QuerySketch,
    /// Whether the call failed.
    #[serde(default)]
    pub failed: bool,
    /// Bytes that came back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result_bytes: Option<u64>,
}

mod bytes {
    use base64::Engine as _;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(cells: &[u8], out: S) -> Result<S::Ok, S::Error> {
        base64::engine::general_purpose::STANDARD_NO_PAD.encode(cells).serialize(out)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<u8>, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(input)?;
        let cells =
            base64::engine::general_purpose::STANDARD_NO_PAD.decode(text.as_bytes()).map_err(D::Error::custom)?;
        if cells.len() > crate::limits::SKETCH_CELLS {
            return Err(D::Error::custom("a sketch has at most 40 cells"));
        }
        Ok(cells)
    }
}

mod packed {
    use base64::Engine as _;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(v: &[i16], out: S) -> Result<S::Ok, S::Error> {
        let bytes: Vec<u8> = v.iter().flat_map(|x| x.to_le_bytes()).collect();
        base64::engine::general_purpose::STANDARD_NO_PAD.encode(bytes).serialize(out)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<i16>, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(input)?;
        let bytes =
            base64::engine::general_purpose::STANDARD_NO_PAD.decode(text.as_bytes()).map_err(D::Error::custom)?;
        let (pairs, rest) = bytes.as_chunks::<2>();
        if !rest.is_empty() || pairs.len() > crate::limits::SKETCH_DIMS {
            return Err(D::Error::custom("a sketch is at most 80 components of two bytes"));
        }
        Ok(pairs.iter().map(|pair| i16::from_le_bytes(*pair)).collect())
    }
}
