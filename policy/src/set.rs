//! The policies in force: parsed and checked whole, replaced whole.

mod error; // where in the file something is wrong
mod guard; // what a policy demands of single facts
mod rule; // what annotations add to a policy
mod slice; // the policies that can speak of a call

pub use error::PolicyError;
pub use rule::Rule;

use crate::facts::{Asked, FactsError, Names};
use crate::limits::{POLICIES_MAX, POLICY_BYTES_MAX};
use arc_swap::ArcSwap;
use cedar_policy::{Schema, ValidationMode, Validator};
use schema::Digest;
use slice::Slices;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, LazyLock};

/// A checked set of policies. [`PolicySet::default`] is the shipped one.
#[derive(Debug, Clone)]
pub struct PolicySet {
    slices: Arc<Slices>,
    rules: HashMap<cedar_policy::PolicyId, Rule>,
    names: Names,
    digest: Digest,
}

impl PolicySet {
    /// The shipped policies, as text: the file to copy and edit.
    pub const DEFAULT: &str = include_str!("../policies/default.cedar");
    /// The schema policies are checked against.
    pub const SCHEMA: &str = include_str!("../policies/vedette.cedarschema");

    /// Parses `text`, checks it against [`Self::SCHEMA`], reads the annotations.
    ///
    /// Errors: the first thing that is wrong, with its line and column.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        if text.len() > POLICY_BYTES_MAX {
            return Err(PolicyError::TooLong { bytes: text.len() });
        }
        let cedar: cedar_policy::PolicySet = text.parse().map_err(|errors| PolicyError::syntax(text, &errors))?;
        let count = cedar.policies().count();
        if count > POLICIES_MAX {
            return Err(PolicyError::TooMany { found: count });
        }
        if let Some(template) = cedar.templates().next() {
            return Err(PolicyError::template(text, template));
        }
        // A file cut to nothing would deny every call there is; nobody means that.
        if count == 0 {
            return Err(PolicyError::Empty);
        }
        let schema = SCHEMA.as_ref().map_err(|message| PolicyError::Shipped { message: message.clone() })?;
        let checked = Validator::new(schema.clone()).validate(&cedar, ValidationMode::Strict);
        if let Some(error) = checked.validation_errors().next() {
            return Err(PolicyError::meaning(text, error));
        }
        let mut taken = HashSet::new();
        let mut rules = HashMap::with_capacity(count);
        for policy in cedar.policies() {
            let rule = Rule::read(text, policy)?;
            if !taken.insert(rule.id.clone()) {
                return Err(PolicyError::annotation(text, policy, format!("the id `{}` is taken", rule.id)));
            }
            rules.insert(policy.id().clone(), rule);
        }
        let names = Names::parse().map_err(|error| PolicyError::Shipped { message: error.to_string() })?;
        let slices = Arc::new(Slices::of(&cedar));
        Ok(Self { slices, rules, names, digest: Digest::of(text.as_bytes()) })
    }

    /// SHA-256 of the text.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// All rules, as they stand in the file.
    pub fn rules(&self) -> Vec<&Rule> {
        let mut rules: Vec<&Rule> = self.rules.values().collect();
        rules.sort_by_key(|rule| rule.order);
        rules
    }

    /// The rule a decision names as its reason.
    pub fn rule(&self, id: &schema::PolicyId) -> Option<&Rule> {
        self.rules.values().find(|rule| rule.id == *id)
    }

    pub(crate) fn rule_of(&self, id: &cedar_policy::PolicyId) -> Option<&Rule> {
        self.rules.get(id)
    }

    /// What the policies say: one `is_authorized`.
    pub(crate) fn ask(&self, asked: &Asked<'_>) -> Result<cedar_policy::Response, FactsError> {
        self.slices.for_call(asked).ask(asked, &self.names)
    }
}

impl Default for PolicySet {
    fn default() -> Self {
        #[expect(clippy::expect_used, reason = "the text is part of this build, and a test parses it")]
        Self::parse(Self::DEFAULT).expect("the shipped policies parse")
    }
}

/// The policies in force, shared by all doors. Replaced whole or not at all.
#[derive(Debug)]
pub struct Policies(ArcSwap<PolicySet>);

impl Policies {
    /// Starts with `set`.
    pub fn new(set: PolicySet) -> Self {
        Self(ArcSwap::from_pointee(set))
    }

    /// The set in force now. A decision holds on to the one it began with.
    pub fn now(&self) -> Arc<PolicySet> {
        self.0.load_full()
    }

    /// Puts `text` in force and says its digest; on any error the set in force stays.
    pub fn reload(&self, text: &str) -> Result<Digest, PolicyError> {
        let set = PolicySet::parse(text)?;
        let digest = set.digest();
        self.0.store(Arc::new(set));
        Ok(digest)
    }
}

static SCHEMA: LazyLock<Result<Schema, String>> = LazyLock::new(|| {
    Schema::from_cedarschema_str(PolicySet::SCHEMA).map(|(schema, _)| schema).map_err(|error| error.to_string())
});
