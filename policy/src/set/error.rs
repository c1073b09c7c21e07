//! Why a policy file is refused, with line and column.

use crate::limits::{POLICIES_MAX, POLICY_BYTES_MAX};
use cedar_policy::{ParseErrors, Policy, Template, ValidationError};
use miette::Diagnostic;

/// Why policies are refused. Lines and columns count from 1, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// Not Cedar.
    #[error("line {line}, column {column}: {message}")]
    Syntax {
        /// Line.
        line: usize,
        /// Column.
        column: usize,
        /// What the parser says.
        message: String,
    },
    /// Cedar, but it speaks of what is not in the schema, or compares what cannot be compared.
    #[error("line {line}, column {column}: {message}")]
    Meaning {
        /// Line.
        line: usize,
        /// Column.
        column: usize,
        /// What the validator says.
        message: String,
    },
    /// An annotation is unknown or has no meaning where it stands.
    #[error("line {line}, column {column}: {message}")]
    Annotation {
        /// Line of the policy.
        line: usize,
        /// Column of the policy.
        column: usize,
        /// What is wrong.
        message: String,
    },
    /// No policy at all.
    #[error("there is no policy in it, which would deny every call")]
    Empty,
    /// Too long.
    #[error("{bytes} bytes, over the limit of {POLICY_BYTES_MAX}")]
    TooLong {
        /// Bytes found.
        bytes: usize,
    },
    /// Too many policies.
    #[error("{found} policies, over the limit of {POLICIES_MAX}")]
    TooMany {
        /// Policies found.
        found: usize,
    },
    /// What this build ships is broken.
    #[error("the shipped schema does not parse: {message}")]
    Shipped {
        /// What the parser says.
        message: String,
    },
}

impl PolicyError {
    /// Line and column of what is wrong, from 1.
    pub fn place(&self) -> Option<(usize, usize)> {
        match self {
            Self::Syntax { line, column, .. }
            | Self::Meaning { line, column, .. }
            | Self::Annotation { line, column, .. } => Some((*line, *column)),
            _ => None,
        }
    }

    pub(super) fn syntax(text: &str, errors: &ParseErrors) -> Self {
        let first = errors.iter().min_by_key(|error| offset(*error));
        let (line, column) = place(text, first.and_then(offset).unwrap_or(0));
        Self::Syntax { line, column, message: first.map_or_else(|| errors.to_string(), message) }
    }

    pub(super) fn meaning(text: &str, error: &ValidationError) -> Self {
        let (line, column) = place(text, offset(error).unwrap_or(0));
        Self::Meaning { line, column, message: message(error) }
    }

    pub(super) fn annotation(text: &str, policy: &Policy, message: String) -> Self {
        let at = policy.to_cedar().and_then(|source| text.find(&source)).unwrap_or(0);
        let (line, column) = place(text, at);
        Self::Annotation { line, column, message }
    }

    pub(super) fn template(text: &str, template: &Template) -> Self {
        let (line, column) = place(text, text.find(&template.to_cedar()).unwrap_or(0));
        Self::Annotation { line, column, message: "templates are not supported: replace the slot by a name".to_owned() }
    }
}

/// Byte offset of the first label of a report.
fn offset(error: &(impl Diagnostic + ?Sized)) -> Option<usize> {
    error.labels().and_then(|labels| labels.map(|label| label.offset()).min())
}

fn message(error: &(impl Diagnostic + ?Sized)) -> String {
    let label = error.labels().and_then(|mut labels| labels.next()).and_then(|label| label.label().map(str::to_owned));
    let mut text = error.to_string();
    for more in [label, error.help().map(|help| help.to_string())].into_iter().flatten() {
        text = format!("{text} ({more})");
    }
    text
}

fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}
