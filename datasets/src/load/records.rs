//! The lines of each file, as types. Unknown fields are ignored: a sessions file also holds labels, which are not
//! named here and so cannot be read.

use crate::Split;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A line of NAME.sessions.
#[derive(Debug, Deserialize)]
pub(crate) struct SessionLine {
    pub(crate) session: String,
    pub(crate) split: Split,
    #[serde(default)]
    pub(crate) fold: Option<u8>,
    #[serde(default)]
    pub(crate) pool: Option<String>,
}

/// A line of NAME.calls.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct CallLine {
    pub(crate) session: String,
    pub(crate) seq: u64,
    #[serde(default)]
    pub(crate) ts_ms: Option<i64>,
    #[serde(default)]
    pub(crate) agent: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) principal: Option<String>,
    #[serde(default)]
    pub(crate) app: Option<String>,
    pub(crate) tool: String,
    #[serde(default)]
    pub(crate) args: Value,
    #[serde(default)]
    pub(crate) status: Option<schema::Status>,
    #[serde(default)]
    pub(crate) result_bytes: Option<u64>,
    #[serde(default)]
    pub(crate) result: Option<Value>,
}

/// A line of NAME.results.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct ResultLine {
    pub(crate) result: String,
    pub(crate) text: String,
}

/// A line of NAME.missions.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct MissionLine {
    pub(crate) session: String,
    #[serde(default)]
    pub(crate) mission: Option<String>,
    /// What the user said later: (seq of the next call, text).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) turns: Vec<(u64, String)>,
}

/// A line of NAME.longargs.
#[derive(Debug, Deserialize)]
pub(crate) struct LongArgLine {
    pub(crate) sha1: String,
    pub(crate) text: String,
}

/// A line of a file of numbered events.
#[derive(Debug, Deserialize)]
pub(crate) struct SequenceLine {
    pub(crate) id: String,
    pub(crate) split: Split,
    pub(crate) seq: Vec<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_line_parser_panics(text in "[\\[\\]{}\":,a-z0-9\\-. ]{0,200}", bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            for input in [text.as_bytes(), &bytes] {
                let _ = serde_json::from_slice::<SessionLine>(input);
                let _ = serde_json::from_slice::<CallLine>(input);
                let _ = serde_json::from_slice::<ResultLine>(input);
                let _ = serde_json::from_slice::<MissionLine>(input);
                let _ = serde_json::from_slice::<LongArgLine>(input);
                let _ = serde_json::from_slice::<SequenceLine>(input);
            }
        }

        #[test]
        fn a_call_line_reads_back_what_it_writes(session in "\\PC{1,20}", seq in any::<u64>(), ts in any::<Option<i64>>(), tool in "\\PC{0,20}") {
            let text = serde_json::json!({ "session": session, "seq": seq, "ts_ms": ts, "tool": tool, "args": { "x": [1, "y"] } }).to_string();
            let line: CallLine = serde_json::from_str(&text).unwrap();
            prop_assert_eq!((&line.session, line.seq, line.ts_ms, &line.tool), (&session, seq, ts, &tool));
            let again: CallLine = serde_json::from_str(&serde_json::to_string(&line).unwrap()).unwrap();
            prop_assert_eq!(again.args, line.args);
        }
    }
}
