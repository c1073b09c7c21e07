use super::counts::Counts;
use super::*;
use proptest::prelude::*;

fn tool(n: u8) -> NameHash {
    NameHash::of("tool", &n.to_string())
}

fn symbols(names: &[u8], agent: u64) -> Sequence {
    names.iter().map(|n| Symbol { tool: tool(*n), shape: u64::from(*n), class: agent / 10, agent }).collect()
}

fn learned(sessions: &[Vec<u8>]) -> Markov {
    Markov::learn(&sessions.iter().map(|s| symbols(s, 10)).collect::<Vec<_>>())
}

fn after(model: &Markov, history: &[u8], next: u8) -> Step {
    let mut state = SequenceState::default();
    symbols(history, 10).iter().for_each(|s| state.advance(model, s));
    model.step(&state, &symbols(&[next], 10)[0])
}

fn risk(model: &Markov, session: &[u8]) -> f64 {
    let mut state = SequenceState::default();
    symbols(session, 10).iter().for_each(|s| state.advance(model, s));
    state.risk().get()
}

#[test]
fn what_always_follows_is_expected_and_what_never_did_is_not() {
    let model = learned(&vec![vec![1, 2, 3]; 20]);
    assert!(after(&model, &[1], 2).p > 0.9 && after(&model, &[1], 3).p < 0.05);
    assert!(after(&model, &[1], 9).p < after(&model, &[1], 3).p);
    assert_eq!((after(&model, &[1], 2).novel, after(&model, &[1], 9).novel), (0, ORDER as u32 + 1));
}

/// Three honest trades: reading, paying, and now and then a detour.
fn honest(at: usize) -> Vec<u8> {
    let mut session = if at.is_multiple_of(2) { vec![1, 2, 2, 3, 4] } else { vec![5, 6, 7, 6, 8] };
    session.extend_from_within(..at % 4);
    session.extend(std::iter::repeat_n(if at.is_multiple_of(2) { 2 } else { 6 }, at % 5));
    session
}

#[test]
fn an_odd_order_a_new_tool_and_a_mix_of_two_trades_rank_above_honest_sessions() {
    let model = learned(&(0..200).map(honest).collect::<Vec<_>>());
    let highest = (200..300).map(|at| risk(&model, &honest(at))).fold(0.0, f64::max);
    for odd in [&[4, 3, 2, 2, 1][..], &[1, 2, 9, 3, 4], &[1, 2, 2, 7, 6, 8, 3, 5]] {
        assert!(risk(&model, odd) > highest, "{odd:?}: {} of {highest}", risk(&model, odd));
    }
}

#[test]
fn a_loop_of_known_steps_shows_in_the_mix() {
    let model = learned(&(0..200).map(honest).collect::<Vec<_>>());
    let looped: Vec<u8> = [1].into_iter().chain(std::iter::repeat_n(2, 300)).collect();
    assert!(risk(&model, &looped) > risk(&model, &looped[..5]), "{}", risk(&model, &looped));
}

#[test]
fn what_only_one_agent_does_is_expected_of_that_agent() {
    let (reads, pays) = (vec![1, 2, 1, 2, 1, 2, 1, 2], vec![1, 3, 1, 3, 1, 3, 1, 3]);
    let both = |agent: u64| symbols(if agent.is_multiple_of(2) { &reads } else { &pays }, agent);
    let model = Markov::learn(&(0..60u64).map(|at| both(at % 4)).collect::<Vec<_>>());
    let p = |agent: u64| model.step(&SequenceState::default(), &symbols(&[1], agent)[0]).p;
    assert!((p(0) - p(1)).abs() < 0.05);
    let next = |agent: u64, next: u8| {
        let mut state = SequenceState::default();
        state.push(tool(1));
        model.step(&state, &symbols(&[next], agent)[0]).p
    };
    assert!(next(0, 2) > 0.8 && next(1, 2) < 0.2, "{} {}", next(0, 2), next(1, 2));
}

#[test]
fn the_risk_of_a_session_never_falls() {
    let model = learned(&(0..100).map(honest).collect::<Vec<_>>());
    let mut state = SequenceState::default();
    let mut last = 0.0;
    for symbol in symbols(&[1, 2, 9, 3, 4, 4, 4, 1, 2, 2, 3], 10) {
        state.advance(&model, &symbol);
        assert!(state.risk().get() >= last);
        last = state.risk().get();
    }
}

#[test]
fn a_long_session_keeps_a_bounded_state() {
    let model = learned(&(0..50).map(honest).collect::<Vec<_>>());
    let mut state = SequenceState::default();
    for n in 0..5_000u32 {
        state.advance(&model, &symbols(&[(n % 251) as u8], 10)[0]);
    }
    assert!(postcard::to_allocvec(&state).unwrap().len() < 2_500);
}

#[test]
fn nothing_and_one_session_can_be_learned_from() {
    for sessions in [vec![], vec![vec![]], vec![vec![1]]] {
        let p = after(&learned(&sessions), &[1, 1], 1).p;
        assert!(p > 0.0 && p <= 1.0, "{sessions:?}: {p}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn probabilities_of_the_known_and_one_unknown_sum_to_one(
        sessions in proptest::collection::vec(proptest::collection::vec(0u8..6, 1..8), 1..20),
        history in proptest::collection::vec(0u8..7, 0..9),
    ) {
        let model = learned(&sessions);
        let known = (0..6).filter(|n| model.knows(tool(*n)));
        // A session that made unknown calls expects those again: more unknowns than one.
        let history: Vec<u8> = history.into_iter().filter(|n| model.knows(tool(*n))).collect();
        let sum: f64 = known.chain([99]).map(|n| after(&model, &history, n).p).sum();
        prop_assert!((sum - 1.0).abs() < 1e-9, "{}", sum);
    }

    #[test]
    fn counts_of_two_parts_merge_to_the_counts_of_all(
        a in proptest::collection::vec(proptest::collection::vec(0u8..6, 0..8), 0..9),
        b in proptest::collection::vec(proptest::collection::vec(3u8..9, 0..8), 0..9),
    ) {
        let tools = |sessions: &[Vec<u8>]| -> Vec<Vec<NameHash>> {
            sessions.iter().map(|s| s.iter().map(|n| tool(*n)).collect()).collect()
        };
        let of = |sessions: &[Vec<NameHash>]| Counts::of(sessions.iter().map(Vec::as_slice));
        let all = [tools(&a), tools(&b)].concat();
        prop_assert_eq!(of(&tools(&a)).merge(&of(&tools(&b))), of(&all));
        let scoped = |sessions: &[Vec<u8>]| {
            let sessions: Vec<Sequence> = sessions.iter().map(|s| symbols(s, 10)).collect();
            Tally::of(sessions.iter().map(Vec::as_slice))
        };
        prop_assert_eq!(scoped(&a).merge(&scoped(&b)), scoped(&[a, b].concat()));
    }

    #[test]
    fn a_model_reads_back_as_it_was(sessions in proptest::collection::vec(proptest::collection::vec(0u8..6, 1..8), 1..20)) {
        let model = learned(&sessions);
        let back: Markov = postcard::from_bytes(&postcard::to_allocvec(&model).unwrap()).unwrap();
        prop_assert_eq!(model, back);
    }
}

#[test]
fn the_mean_surprise_rises_with_an_odd_order_and_not_with_a_tool_that_is_new() {
    let model = learned(&(0..200).map(honest).collect::<Vec<_>>());
    let mean = |session: &[u8]| {
        let mut state = SequenceState::default();
        let symbols = symbols(session, 10);
        let (last, before) = symbols.split_last().unwrap();
        before.iter().for_each(|symbol| state.advance(&model, symbol));
        state.mean_surprise(&model, &model.step(&state, last), last)
    };
    assert!(mean(&[4, 8]) > mean(&[1, 2]) + 0.5, "{} {}", mean(&[4, 8]), mean(&[1, 2]));
    // A tool never seen counts as an ordinary call.
    assert!((mean(&[99]) - Markov::ORDINARY).abs() < 1e-9, "{}", mean(&[99]));
}
