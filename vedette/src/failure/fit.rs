//! What is said where no model is learned.

use miette::Diagnostic;

/// Why no model was learned.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[non_exhaustive]
pub enum FitFailure {
    /// Learning failed.
    #[error("cannot learn a model")]
    #[diagnostic(
        code(vedette::fit),
        help("a model needs honest sessions: check --split and --not-fold, or add another --set")
    )]
    Failed {
        /// Why.
        #[from]
        source: detector::FitError,
    },
    /// A topic without calls.
    #[error("`{topic}` holds no call to learn from{}", if *since { " that is so young" } else { "" })]
    #[diagnostic(
        code(vedette::fit::nothing),
        help(
            "`vedette inspect --topic {topic}` shows what it holds; the topic's `format` in `[[topics]]` has to be the one of its records"
        )
    )]
    Nothing {
        /// The topic.
        topic: String,
        /// Only young ones were asked for.
        since: bool,
    },
    /// A topic that forgot what is asked for.
    #[error("`{topic}` no longer holds all that is asked for: its oldest record is of {}", schema::decode::time::rfc3339(*oldest))]
    #[diagnostic(
        code(vedette::fit::retention),
        help(
            "learn from what there is: leave out --since, or name a time after that one; `retention.ms` of the topic says how long records stay"
        )
    )]
    RetentionTooShort {
        /// The topic.
        topic: String,
        /// When its oldest record was stamped.
        oldest: schema::Millis,
    },
    /// More calls than are learned from at once.
    #[error("there are more than {calls_max} calls to learn from")]
    #[diagnostic(code(vedette::fit::too_much), help("they are all in memory at once: name a later --since"))]
    TooMuch {
        /// The bound.
        calls_max: u64,
    },
}
