//! What a device says it holds, sent along when it looks for bundles: `api=1 root=2 model=17 policy=0 trust=0`.
//!
//! It is the device's word: shown to operators, and good for nothing but to be held against it (a model whose
//! time is over makes certificates short). Names that are not known are passed over, so that a newer agent is
//! understood; what is left out is 0: none.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::bundle::Kind;

/// What a device holds, by its own word.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holds {
    /// Version of its device API.
    pub api: u32,
    /// Its newest root document.
    pub root: u32,
    /// The model in force.
    pub model: u64,
    /// The policy set in force.
    pub policy: u64,
    /// The trust files in force.
    pub trust: u64,
}

/// Longest text that is read, in bytes.
pub const HOLDS_BYTES_MAX: usize = 256;

/// Text that is too long, or in which a name has no number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not `api=1 root=2 model=17 …`, of {HOLDS_BYTES_MAX} bytes at most")]
pub struct HoldsError;

impl Holds {
    /// Sets the number in force of one kind.
    pub fn set(&mut self, kind: Kind, version: u64) {
        *match kind {
            Kind::Model => &mut self.model,
            Kind::Policy => &mut self.policy,
            Kind::Trust => &mut self.trust,
        } = version;
    }
}

impl FromStr for Holds {
    type Err = HoldsError;

    fn from_str(text: &str) -> Result<Self, HoldsError> {
        if text.len() > HOLDS_BYTES_MAX {
            return Err(HoldsError);
        }
        let mut holds = Self::default();
        for word in text.split_ascii_whitespace() {
            let (name, number) = word.split_once('=').ok_or(HoldsError)?;
            let number: u64 = number.parse().map_err(|_| HoldsError)?;
            let small = || u32::try_from(number).map_err(|_| HoldsError);
            match name {
                "api" => holds.api = small()?,
                "root" => holds.root = small()?,
                "model" => holds.model = number,
                "policy" => holds.policy = number,
                "trust" => holds.trust = number,
                _ => {}
            }
        }
        Ok(holds)
    }
}

impl fmt::Display for Holds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { api, root, model, policy, trust } = self;
        write!(f, "api={api} root={root} model={model} policy={policy} trust={trust}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_device_says_is_read_or_refused_as_a_whole() {
        let holds = Holds { api: 1, root: 2, model: 17, policy: 0, trust: u64::MAX };
        assert_eq!(holds.to_string().parse(), Ok(holds));
        assert_eq!("model=3 colour=4".parse(), Ok(Holds { model: 3, ..Holds::default() }), "a newer agent");
        assert_eq!("".parse(), Ok(Holds::default()));
        for bad in ["model", "model=", "model=-1", "api=4294967296", "model=1,api=2", &"a=1 ".repeat(65)] {
            assert_eq!(bad.parse::<Holds>(), Err(HoldsError), "{bad}");
        }
    }
}
