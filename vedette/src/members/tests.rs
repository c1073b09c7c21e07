use super::*;
use proptest::prelude::*;
use schema::{Millis, RECORD_VERSION};
use std::collections::BTreeSet;

fn member(address: &str) -> Member {
    let key = "00c0ffee00c0ffee".to_owned();
    Member { v: RECORD_VERSION, address: address.to_owned(), key, since: Millis(1), at: Millis(2) }
}

/// What `own` knows once it has heard of `others`.
fn knowing(own: &str, others: &[String]) -> Members {
    let mut members = Members::new(member(own), 3);
    others.iter().filter(|other| *other != own).for_each(|other| assert!(members.heard(&member(other))));
    members
}

fn owner(members: &Members, of: u64) -> String {
    members.owner(StateId(u128::from(of))).map_or(members.own.address.clone(), |owner| owner.to_string())
}

#[test]
fn one_alone_owns_everything_and_three_a_third_each() {
    assert!((0..100).all(|n| owner(&knowing("a:1", &[]), mixed(n)) == "a:1"));
    let all = ["a:1", "b:1", "c:1"].map(str::to_owned);
    let members = knowing("a:1", &all);
    for one in &all {
        let share = (0..30_000).filter(|n| owner(&members, mixed(*n)) == *one).count();
        assert!((9_500..10_500).contains(&share), "{one} owns {share} of 30,000");
    }
}

#[test]
fn one_that_is_not_heard_for_so_many_rounds_is_gone_and_one_that_leaves_at_once() {
    let (own, other) = (member("a:1"), member("b:1"));
    let mut members = knowing("a:1", &["b:1".to_owned(), "c:1".to_owned()]);
    for _ in 0..10 {
        assert!(!members.heard(&own) && !members.heard(&other) && !members.heard(&member("c:1")));
    }
    assert!(members.left("c:1") && !members.left("c:1"));
    for _ in 0..3 {
        assert!(!members.heard(&own), "it may have been late");
    }
    assert_eq!(members.count(), 2);
    assert!(members.heard(&own));
    assert_eq!(members.count(), 1);
    assert!(members.heard(&other), "it is back");
}

#[test]
fn where_nothing_comes_back_nobody_is_gone() {
    let mut members = knowing("a:1", &["b:1".to_owned()]);
    for _ in 0..100 {
        assert!(!members.heard(&member("b:1")));
        // What the process before this one wrote is no round of ours.
        assert!(!members.heard(&Member { since: Millis(0), ..member("a:1") }));
    }
    assert!(!members.settled() && members.count() == 2);
    members.heard(&member("a:1"));
    assert!(!members.settled());
    members.heard(&member("a:1"));
    assert!(members.settled());
}

#[test]
fn no_more_are_believed_in_than_may_be() {
    let mut members = Members::new(member("a:1"), 3);
    let joined = (0..1_000).filter(|n| members.heard(&member(&format!("b{n}:1")))).count();
    assert_eq!((joined, members.count()), (MEMBERS_MAX, MEMBERS_MAX + 1));
}

fn addresses() -> impl Strategy<Value = Vec<String>> {
    proptest::collection::btree_set(0..500u16, 1..12)
        .prop_map(|all: BTreeSet<u16>| all.into_iter().map(|n| format!("vedette-{n}:8184")).collect())
}

proptest! {
    #[test]
    fn all_who_know_of_each_other_find_the_same_owner(all in addresses(), of in any::<u64>()) {
        let owners: BTreeSet<String> = all.iter().map(|own| owner(&knowing(own, &all), of)).collect();
        prop_assert_eq!(owners.len(), 1);
    }

    #[test]
    fn one_that_leaves_moves_its_own_sessions_and_no_others(all in addresses(), gone in any::<proptest::sample::Index>(), of in any::<u64>()) {
        let before = knowing("own:1", &all);
        let mut after = before.clone();
        let gone = gone.get(&all);
        prop_assert!(after.left(gone));
        if owner(&before, of) == *gone {
            prop_assert_ne!(&owner(&after, of), gone);
        } else {
            prop_assert_eq!(owner(&before, of), owner(&after, of));
        }
    }
}
