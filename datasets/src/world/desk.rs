//! What a desk is: agents, tasks they are given, and what attackers want there.

use super::run::{Goal, Run, Style};
use super::values::{Person, Values};

/// A place of work.
pub(super) struct Desk {
    /// The application.
    pub(super) app: &'static str,
    pub(super) agents: [Style; 3],
    pub(super) tasks: &'static [Task],
    pub(super) goals: &'static [fn(&mut Values, &Person) -> Goal],
    /// What a thorough agent does first.
    pub(super) look_around: fn(&mut Run<'_>),
}

/// Something users ask for.
pub(super) struct Task {
    pub(super) name: &'static str,
    pub(super) play: fn(&mut Run<'_>),
    /// An outsider's text is read on the way, so an instruction can be planted.
    pub(super) open: bool,
}

/// A task in which outsiders' texts are read.
pub(super) const fn open(name: &'static str, play: fn(&mut Run<'_>)) -> Task {
    Task { name, play, open: true }
}

/// A task in which none are.
pub(super) const fn closed(name: &'static str, play: fn(&mut Run<'_>)) -> Task {
    Task { name, play, open: false }
}
