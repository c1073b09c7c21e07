//! Where a new owner of a partition begins: a pure choice from what the group, the log and the store say.

use super::core::{Persistence, Start};
use crate::checkpoint::Stored;
use crate::{IngestError, Partition};

/// What is known of a partition on gain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Known {
    /// The group's committed offset; `None`: it never committed one.
    pub(super) committed: Option<i64>,
    /// First offset the log still has.
    pub(super) log_start: i64,
    /// Whether states are kept.
    pub(super) persistence: Persistence,
}

/// Decides from where to read and from where to answer. `checkpoint`: the newest at or before the committed offset.
pub(super) fn start(partition: &Partition, known: Known, checkpoint: Option<Stored>) -> Result<Start, IngestError> {
    let gone = |needed, purpose| {
        Err(IngestError::LogStartsLater { partition: partition.clone(), log_start: known.log_start, needed, purpose })
    };
    let Some(committed) = known.committed else {
        // A new group: everything there is. A checkpoint would be of another log under the same name.
        return Ok(Start { from: known.log_start, live_from: known.log_start, checkpoint: None });
    };
    if committed < known.log_start {
        return gone(committed, "as the first record not answered yet");
    }
    if known.persistence == Persistence::None {
        return Ok(Start { from: committed, live_from: committed, checkpoint: None });
    }
    // Without any checkpoint the state is the fold from the very first record.
    let from = checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.offset);
    if from < known.log_start && from < committed {
        return gone(from, "to rebuild the state from the newest checkpoint");
    }
    Ok(Start { from, live_from: committed, checkpoint })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (committed, log start, checkpoint's offset) → (from, live from), or the offset that is missed.
    #[track_caller]
    fn check(committed: Option<i64>, log_start: i64, checkpoint: Option<i64>, expected: Result<(i64, i64), i64>) {
        let known = Known { committed, log_start, persistence: Persistence::Checkpoints };
        let checkpoint = checkpoint.map(|offset| Stored { offset, model: None, segments: vec![] });
        let found = match start(&Partition::new("t", 0), known, checkpoint) {
            Ok(start) => Ok((start.from, start.live_from)),
            Err(IngestError::LogStartsLater { needed, .. }) => Err(needed),
            Err(other) => panic!("{other}"),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn a_new_owner_replays_from_the_checkpoint_and_answers_from_the_committed_offset() {
        check(None, 0, None, Ok((0, 0)));
        check(None, 70, None, Ok((70, 70)));
        check(Some(100), 0, Some(40), Ok((40, 100)));
        check(Some(100), 100, Some(100), Ok((100, 100)));
        check(Some(100), 0, None, Ok((0, 100)));
    }

    #[test]
    fn a_log_that_lost_what_is_needed_is_refused() {
        check(Some(100), 60, Some(40), Err(40));
        check(Some(100), 60, None, Err(0));
        check(Some(100), 101, Some(100), Err(100));
    }

    #[test]
    fn without_a_store_reading_goes_on_where_it_ended() {
        let known = Known { committed: Some(9), log_start: 3, persistence: Persistence::None };
        let start = start(&Partition::new("t", 0), known, None).unwrap();
        assert_eq!((start.from, start.live_from), (9, 9));
    }
}
