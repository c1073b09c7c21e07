//! What is said of a data set that cannot be used as asked.

use miette::Diagnostic;
use std::path::PathBuf;

/// Why a data set cannot be used.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[non_exhaustive]
pub enum DataSetFailure {
    /// Its files are not as they have to be.
    #[error("cannot use the data set `{set}`")]
    #[diagnostic(
        code(vedette::data_set),
        help(
            "--data names a folder, --set a NAME of which it holds NAME.calls.jsonl.gz and NAME.sessions.jsonl.gz (or NAME.jsonl.gz); without --data, the set is `world`"
        )
    )]
    Unusable {
        /// Its name.
        set: String,
        /// What is wrong with it.
        source: datasets::DatasetError,
    },
    /// No such set in the folder.
    #[error("`{folder}` holds no data set `{set}`", folder = folder.display())]
    #[diagnostic(code(vedette::data_set::unknown), help("{advice}"))]
    Unknown {
        /// Its name.
        set: String,
        /// The folder.
        folder: PathBuf,
        /// Which there are, the nearest first.
        advice: String,
    },
    /// A set that needs a folder.
    #[error("no folder was named for the data set `{set}`")]
    #[diagnostic(code(vedette::data_set::no_folder), help("add --data DIR; only the built-in set `world` needs none"))]
    NoFolder {
        /// Its name.
        set: String,
    },
    /// A view that the built-in world does not have.
    #[error("the built-in world has no results view `{view}`")]
    #[diagnostic(
        code(vedette::data_set::no_view),
        help("leave out --results, or name a data set with --data and --set")
    )]
    NoView {
        /// Its name.
        view: String,
    },
    /// Nothing fits the selection.
    #[error(
        "no session of `{set}` fits --split, --fold and --not-fold: it has {train} of `train` and {test} of `test`"
    )]
    #[diagnostic(
        code(vedette::data_set::nothing_selected),
        help("choose another part (`--split all` takes both), or another set to learn from")
    )]
    NothingSelected {
        /// Its name.
        set: String,
        /// Sessions for fitting.
        train: usize,
        /// Sessions for measuring.
        test: usize,
    },
    /// No such session.
    #[error("`{set}` has no session `{session}`")]
    #[diagnostic(code(vedette::data_set::no_session), help("leave out --session to see the riskiest one"))]
    NoSession {
        /// The set.
        set: String,
        /// The session.
        session: String,
    },
}
