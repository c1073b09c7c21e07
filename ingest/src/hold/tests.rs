//! What order comes out of what disorder.

use super::*;
use proptest::prelude::*;

/// One fold over items as they come: (key, number, time, item) → (key, item) as they go.
struct Fold {
    hold: Hold<u8, u32>,
    turns: BTreeMap<u8, Turn>,
    now: Millis,
    went: Vec<(u8, u32)>,
}

impl Fold {
    fn new(bounds: Bounds) -> Self {
        Self { hold: Hold::new(bounds), turns: BTreeMap::new(), now: Millis(0), went: Vec::new() }
    }

    fn come(&mut self, key: u8, seq: u64, at: u64, item: u32) {
        self.tick(at);
        let (turn, bounds) = (self.turns.entry(key).or_default(), *self.hold.bounds());
        if turn.has_come(seq, &bounds) {
            turn.pass(seq, &bounds);
            self.went.push((key, item));
            self.drain(key);
        } else {
            self.hold.put(key, Held { seq, at: Millis(at), bytes: 10, item });
            self.tick(at);
        }
    }

    fn tick(&mut self, now: u64) {
        self.now = self.now.max(Millis(now));
        while let Some(key) = self.hold.overdue(self.now) {
            let item = self.hold.let_go(key, self.turns.entry(key).or_default()).unwrap();
            self.went.push((key, item));
            self.drain(key);
        }
    }

    fn drain(&mut self, key: u8) {
        while let Some(item) = self.hold.in_turn(key, self.turns.entry(key).or_default()) {
            self.went.push((key, item));
        }
    }

    fn of(&self, key: u8) -> Vec<u32> {
        self.went.iter().filter(|(of, _)| *of == key).map(|(_, item)| *item).collect()
    }
}

/// (number, time) as they come → numbers in the order they go, the clock's end included.
#[track_caller]
fn check(come: &[(u64, u64)], until: u64, expected: &[u32]) {
    let mut fold = Fold::new(Bounds::default());
    come.iter().for_each(|(seq, at)| fold.come(1, *seq, *at, *seq as u32));
    fold.tick(until);
    assert_eq!(fold.of(1), expected);
}

#[test]
fn what_comes_before_its_turn_waits_for_what_is_missing() {
    check(&[(0, 0), (2, 10), (1, 1_900)], 1_900, &[0, 1, 2]);
    check(&[(2, 0), (1, 10), (0, 20)], 20, &[0, 1, 2]);
    check(&[(0, 0), (2, 10), (4, 20), (1, 30)], 30, &[0, 1, 2]);
}

#[test]
fn it_waits_no_longer_than_its_bound_and_goes_with_all_before_it() {
    check(&[(0, 0), (2, 10)], 2_009, &[0]);
    check(&[(0, 0), (2, 10)], 2_010, &[0, 2]);
    check(&[(0, 0), (5, 10), (3, 1_000), (6, 1_500)], 2_010, &[0, 3, 5, 6]);
    // What was missed comes after all: it goes at once.
    check(&[(0, 0), (2, 10), (1, 2_500)], 2_500, &[0, 2, 1]);
}

#[test]
fn what_comes_twice_goes_twice_and_is_no_gap() {
    check(&[(0, 0), (0, 1), (2, 2), (2, 3), (1, 4), (1, 5)], 5, &[0, 0, 1, 2, 2, 1]);
}

#[test]
fn who_numbers_with_holes_is_not_kept_waiting_for_ever() {
    let come: Vec<(u64, u64)> = (0..8).map(|n| (2 * n, 10 * n)).collect();
    check(&come, 2_030, &[0, 2, 4, 6, 8, 10, 12, 14]);
    let mut fold = Fold::new(Bounds::default());
    come.iter().for_each(|(seq, at)| fold.come(1, *seq, 3_000 * at, *seq as u32));
    assert_eq!(fold.of(1), [0, 2, 4, 6, 8, 10, 12, 14], "after three gaps that nothing filled");
}

#[test]
fn a_crowd_goes_early_and_in_order() {
    let mut fold = Fold::new(Bounds { of_key: Load { items: 3, bytes: 1_000 }, ..Bounds::default() });
    (2..7).rev().for_each(|seq| fold.come(1, seq, 0, seq as u32));
    assert_eq!(fold.of(1), [3, 4, 5, 6, 2]);
    let mut fold = Fold::new(Bounds { in_all: Load { items: 10, bytes: 25 }, ..Bounds::default() });
    [(1, 5), (2, 6), (3, 7)].iter().for_each(|(key, seq)| fold.come(*key, *seq, u64::from(*key), 0));
    assert_eq!((fold.went.as_slice(), fold.hold.load()), ([(1, 0)].as_slice(), Load { items: 2, bytes: 20 }));
}

#[test]
fn the_first_number_is_as_configured() {
    let mut fold = Fold::new(Bounds { first: 1, ..Bounds::default() });
    fold.come(1, 1, 0, 1);
    fold.come(1, 2, 0, 2);
    assert_eq!(fold.of(1), [1, 2]);
}

proptest! {
    /// Whatever is late by less than the bound goes as if it had come in order.
    #[test]
    fn any_order_within_the_bound_is_the_order_of_numbers(
        delays in proptest::collection::vec((0u8..3, 0u64..2_000, 0u64..400), 1..60),
    ) {
        let (mut come, mut next, mut at) = (Vec::new(), [0u64; 3], 0);
        for (key, delay, pace) in delays {
            at += pace;
            let seq = &mut next[usize::from(key)];
            come.push((at + delay, key, *seq));
            *seq += 1;
        }
        come.sort_unstable();
        let mut fold = Fold::new(Bounds::default());
        come.iter().for_each(|(at, key, seq)| fold.come(*key, *seq, *at, *seq as u32));
        for key in 0..3 {
            prop_assert_eq!(fold.of(key), (0..next[usize::from(key)] as u32).collect::<Vec<_>>());
        }
        prop_assert_eq!((fold.hold.load(), fold.hold.counts().gaps), (Load::default(), 0));
    }

    /// Whatever comes goes once, nothing waits longer than its bound, and a successor goes on alike.
    #[test]
    fn nothing_is_lost_or_doubled_and_a_successor_goes_on_alike(
        come in proptest::collection::vec((0u8..3, 0u64..20, 0u64..900), 1..60),
        crash_at in 0usize..60,
    ) {
        let bounds = Bounds { of_key: Load { items: 5, bytes: 45 }, in_all: Load { items: 9, bytes: 1_000 }, ..Bounds::default() };
        let (mut fold, mut other, mut at) = (Fold::new(bounds), Fold::new(bounds), 0);
        for (number, (key, seq, pace)) in come.iter().enumerate() {
            at += pace;
            if number == crash_at {
                let mut hold = Hold::new(bounds);
                fold.hold.keys().for_each(|key| hold.restore(key, fold.hold.of(key).to_vec()));
                fold.hold = hold;
            }
            fold.come(*key, *seq, at, number as u32);
            other.come(*key, *seq, at, number as u32);
            prop_assert_eq!(&fold.went, &other.went);
            let waits = fold.hold.keys().flat_map(|key| fold.hold.of(key)).collect::<Vec<_>>();
            prop_assert!(waits.iter().all(|held| at - held.at.0 < bounds.ms) && waits.len() <= 9);
            prop_assert_eq!(fold.hold.load(), Load { items: waits.len(), bytes: 10 * waits.len() });
        }
        fold.tick(at + bounds.ms);
        let mut went: Vec<u32> = fold.went.iter().map(|(_, item)| *item).collect();
        went.sort_unstable();
        prop_assert_eq!(went, (0..come.len() as u32).collect::<Vec<_>>());
    }
}
