//! What went wrong.

/// How often each kind of fault struck: a simulation in which nothing goes wrong proves nothing.
#[derive(Debug, Default, Clone)]
pub(super) struct Faults {
    pub(super) crashes: u64,
    pub(super) crashes_after_commit: u64,
    pub(super) zombies: u64,
    pub(super) refused_of_zombies: u64,
    pub(super) revoked: u64,
    pub(super) aborted: u64,
    pub(super) dropped: u64,
    pub(super) duplicates: u64,
    pub(super) strays: u64,
    pub(super) torn: u64,
    pub(super) not_persisted: u64,
    pub(super) replayed: u64,
    pub(super) nudged: u64,
    /// Records that came before their turn.
    pub(super) held: u64,
    /// Checkpoints that were what is new alone.
    pub(super) added: u64,
    /// Of these, such as found nothing to add to: a zombie's late checkpoint had taken its place. Rare.
    pub(super) gaps: u64,
}

impl Faults {
    pub(super) fn add(&mut self, other: &Self) {
        self.crashes += other.crashes;
        self.crashes_after_commit += other.crashes_after_commit;
        self.zombies += other.zombies;
        self.refused_of_zombies += other.refused_of_zombies;
        self.revoked += other.revoked;
        self.aborted += other.aborted;
        self.dropped += other.dropped;
        self.duplicates += other.duplicates;
        self.strays += other.strays;
        self.torn += other.torn;
        self.not_persisted += other.not_persisted;
        self.replayed += other.replayed;
        self.nudged += other.nudged;
        self.held += other.held;
        self.added += other.added;
        self.gaps += other.gaps;
    }

    pub(super) fn assert_all_happened(&self) {
        let Self { crashes, crashes_after_commit, zombies, refused_of_zombies, revoked, aborted, .. } = self;
        let Self { dropped, duplicates, strays, torn, not_persisted, replayed, nudged, held, added, gaps, .. } = self;
        let counts = [crashes, crashes_after_commit, zombies, refused_of_zombies, revoked, aborted]
            .into_iter()
            .chain([dropped, duplicates, strays, torn, not_persisted, replayed, nudged, held, added]);
        assert!(counts.into_iter().all(|count| *count > 100) && *gaps > 0, "{self:?}");
    }
}
