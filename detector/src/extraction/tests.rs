use super::*;
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use schema::{QuerySketch, RECORD_VERSION};

const DIMS: usize = 24;

/// One query; `factor` is the unit that the numbers are in.
fn query(values: &[f64], factor: f64, tool: &str) -> QueryRecord {
    let most = values.iter().fold(0f64, |most, x| most.max(x.abs())) * factor;
    let scale = if most > 0.0 { most / 32_767.0 } else { 1.0 };
    let fp = values.iter().fold(7u64, |fp, x| (fp ^ x.to_bits()).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23));
    QueryRecord {
        v: RECORD_VERSION,
        id: "c".parse().unwrap(),
        at: schema::Millis(1),
        tenant: "acme".parse().unwrap(),
        principal: "user:1".parse().unwrap(),
        session: "s".parse().unwrap(),
        agent: "a".parse().unwrap(),
        device: None,
        app: Some("vision".parse().unwrap()),
        tool: tool.parse().unwrap(),
        query: QuerySketch {
            fp,
            numbers: values.len() as u32,
            scale: scale as f32,
            v: values.iter().map(|x| (x * factor / scale).round() as i16).collect(),
            cells: values.iter().map(|x| (x.to_bits().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect(),
        },
        failed: false,
        result_bytes: None,
    }
}

/// An honest query: six causes mixed into all numbers, and a little noise.
fn honest_values(rng: &mut ChaCha8Rng) -> Vec<f64> {
    let causes: Vec<f64> = (0..6).map(|_| rng.random_range(-1.0..1.0)).collect();
    (0..DIMS).map(|at| mixed(&causes, at) + rng.random_range(-0.05..0.05)).collect()
}

/// What `causes` make of number `at`.
fn mixed(causes: &[f64], at: usize) -> f64 {
    causes.iter().enumerate().map(|(i, c)| c * libm::sin((at * 6 + i) as f64)).sum()
}

fn clients(rng: &mut ChaCha8Rng, factor: f64) -> Vec<Client> {
    let pool = |at: usize| Some(if at.is_multiple_of(2) { "a" } else { "b" }.to_owned());
    (0..120)
        .map(|at| Client {
            queries: (0..10 + at % 40).map(|_| query(&honest_values(rng), factor, "predict")).collect(),
            pool: pool(at),
        })
        .collect()
}

fn fitted(factor: f64) -> (Honest, ChaCha8Rng) {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let clients = clients(&mut rng, factor);
    (Honest::fit(&clients, 7).unwrap(), rng)
}

fn watch(honest: &Honest, queries: impl Iterator<Item = QueryRecord>) -> Vec<Finding> {
    let mut state = PrincipalState::default();
    queries.map(|query| honest.observe(&mut state, &query).0).collect()
}

fn worst(findings: &[Finding]) -> f64 {
    findings.iter().map(|f| f.risk.get()).fold(0.0, f64::max)
}

#[test]
fn random_queries_are_found_and_a_newcomer_is_not() {
    let (honest, mut rng) = fitted(1.0);
    let flagged = (0..50)
        .filter(|_| worst(&watch(&honest, (0..100).map(|_| query(&honest_values(&mut rng), 1.0, "predict")))) > 0.6)
        .count();
    assert!(flagged <= 3, "{flagged} of 50 newcomers");
    let random = (0..60).map(|_| query(&[0; DIMS].map(|_| rng.random_range(-2.0..2.0)), 1.0, "predict"));
    let findings = watch(&honest, random);
    let first = findings.iter().position(|f| f.p_value.get() <= 0.01).unwrap();
    assert!(first < 40, "found at query {first}");
    assert!(matches!(&findings[first].evidence[0], Evidence::Feature { name, .. } if name.starts_with("queries_")));
}

#[test]
fn a_bisection_between_two_honest_queries_is_found() {
    let (honest, mut rng) = fitted(1.0);
    let mut queries = Vec::new();
    for _ in 0..4 {
        let (mut low, mut high) = (honest_values(&mut rng), honest_values(&mut rng));
        for _ in 0..14 {
            let middle: Vec<f64> = low.iter().zip(&high).map(|(a, b)| (a + b) / 2.0).collect();
            queries.push(query(&middle, 1.0, "predict"));
            *(if rng.random() { &mut low } else { &mut high }) = middle;
        }
    }
    let findings = watch(&honest, queries.into_iter());
    let last = findings.last().unwrap();
    assert!(last.p_value.get() <= 0.01, "{last:?}");
    assert!(last.evidence.iter().any(|e| matches!(e, Evidence::Feature { name, .. } if name == "boundary_search")));
}

#[test]
fn the_unit_of_the_numbers_changes_nothing() {
    let risks = |factor: f64| {
        let (honest, mut rng) = fitted(factor);
        let mixed = (0..80).map(|at| {
            let mut values = honest_values(&mut rng);
            if at % 3 == 0 {
                values[at % DIMS] += 1.5;
            }
            query(&values, factor, "predict")
        });
        watch(&honest, mixed).iter().map(|f| f.risk.get()).collect::<Vec<_>>()
    };
    for (a, b) in risks(1.0).iter().zip(risks(1e6)) {
        assert!((a - b).abs() < 0.02, "{a} against {b}");
    }
}

#[test]
fn one_query_sent_a_thousand_times_is_one_query() {
    let (honest, mut rng) = fitted(1.0);
    let values = honest_values(&mut rng);
    let findings = watch(&honest, (0..1_000).map(|_| query(&values, 1.0, "predict")));
    assert_eq!(findings[0], findings[999]);
    assert!(findings[999].risk.get() < 0.5);
    let strange = watch(&honest, (0..1_000).map(|_| query(&[9.0; DIMS], 1.0, "predict")));
    assert!(worst(&strange) < 0.5, "one strange query, again and again, copies nothing");
}

#[test]
fn variations_of_one_query_are_an_explanation() {
    let (honest, mut rng) = fitted(1.0);
    let values = honest_values(&mut rng);
    let varied = (0..200).map(|_| {
        let near: Vec<f64> = values.iter().map(|x| x + rng.random_range(-0.15..0.15)).collect();
        query(&near, 1.0, "predict")
    });
    let risk = worst(&watch(&honest, varied));
    assert!(risk < 0.5, "{risk}");
}

/// Rows of which each query keeps most numbers and takes the others from somewhere else, as masks and coalitions do.
fn explanations(rng: &mut ChaCha8Rng, rows: usize, each: usize) -> Vec<QueryRecord> {
    let mut out = Vec::new();
    for _ in 0..rows {
        let row = honest_values(rng);
        for _ in 0..each {
            let varied: Vec<f64> =
                row.iter().map(|x| if rng.random_bool(0.4) { rng.random_range(-3.0..3.0) } else { *x }).collect();
            out.push(query(&varied, 1.0, "predict"));
        }
    }
    out
}

#[test]
fn explaining_a_few_rows_is_no_copy_however_strange_each_query_is() {
    let (honest, mut rng) = fitted(1.0);
    let queries = explanations(&mut rng, 4, 100);
    let findings = watch(&honest, queries.iter().cloned());
    assert_eq!(worst(&findings), 0.0);
    // It is the repeating that tells: the same queries without it are found.
    let unlike = queries
        .into_iter()
        .map(|record| QueryRecord { query: QuerySketch { cells: Vec::new(), ..record.query }, ..record });
    assert!(worst(&watch(&honest, unlike)) > 0.5);
}

/// Queries around `row`, as explainers by perturbation draw them; the row itself is not asked.
fn perturbed(rng: &mut ChaCha8Rng, row: &[f64], queries: usize) -> Vec<QueryRecord> {
    let mut noisy = || row.iter().map(|x| x + rng.random_range(-0.5..0.5)).collect::<Vec<f64>>();
    (0..queries).map(|_| query(&noisy(), 1.0, "predict")).collect()
}

#[test]
fn noise_around_a_row_that_a_query_could_be_is_an_explanation_and_elsewhere_a_copy() {
    let (honest, mut rng) = fitted(1.0);
    let mut around = |row: &[f64], queries| worst(&watch(&honest, perturbed(&mut rng, row, queries).into_iter()));
    let causes: [f64; 6] = std::array::from_fn(|at| 0.5 * libm::cos(at as f64));
    let possible: Vec<f64> = (0..DIMS).map(|at| mixed(&causes, at)).collect();
    assert!(around(&possible, 150) < 0.5);
    for (what, row) in [("the middle of all", [0.0; DIMS]), ("a row that nobody has", [2.0; DIMS])] {
        assert!(around(&row, 150) > 0.6, "{what}");
    }
    // An explanation does not go on for ever.
    assert!(around(&possible, 600) > 0.6);
}

/// What each of `identities` gets, `queries` each, in turn.
fn together(
    honest: &Honest,
    identities: usize,
    queries: usize,
    at_ms: impl Fn(usize) -> u64,
    mut next: impl FnMut(usize) -> Vec<f64>,
) -> (f64, f64) {
    let mut states = vec![PrincipalState::default(); identities];
    let mut links = LinksState::default();
    let (mut alone, mut linked) = (0f64, 0f64);
    for turn in 0..identities * queries {
        let who = turn % identities;
        let mut record = query(&next(who), 1.0, "predict");
        record.principal = format!("user:{who}").parse().unwrap();
        record.at = schema::Millis(at_ms(turn));
        let (finding, delta) = honest.observe(&mut states[who], &record);
        alone = alone.max(finding.risk.get());
        if let Some(delta) = delta {
            linked = linked.max(honest.observe_links(&mut links, delta).risk.get());
        }
    }
    assert!(links.kept() <= 64);
    (alone, linked)
}

#[test]
fn a_copy_split_over_many_identities_is_found_by_what_they_do_together() {
    let (honest, mut rng) = fitted(1.0);
    let mut foreign = |_| (0..DIMS).map(|at| if at < 6 { 2.0 } else { 0.0 } + rng.random_range(-1.0..1.0)).collect();
    let (alone, linked) = together(&honest, 30, 10, at_once, &mut foreign);
    assert!(alone < 0.5 && linked > 0.5, "alone {alone}, linked {linked}");
    // Two days between one identity's turn and the next's: nobody remembers.
    let (_, linked) = together(&honest, 30, 10, |turn| turn as u64 * 200_000_000, &mut foreign);
    assert_eq!(linked, 0.0);
    // The other way round, as devices bring what they kept for months.
    let backwards = |turn| (1_000 - turn as u64) * 200_000_000;
    assert_eq!(together(&honest, 30, 10, backwards, &mut foreign).1, 0.0);
}

/// A second from one query to the next.
fn at_once(turn: usize) -> u64 {
    turn as u64 * 1_000
}

#[test]
fn identities_that_are_strange_each_in_its_own_way_and_honest_ones_are_not_linked() {
    let (honest, mut rng) = fitted(1.0);
    let ways: Vec<Vec<f64>> = (0..12).map(|_| (0..DIMS).map(|_| rng.random_range(-4.0..4.0)).collect()).collect();
    let own = |who: usize| ways[who].iter().map(|x| x + rng.random_range(-0.5..0.5)).collect();
    let (_, linked) = together(&honest, 12, 10, at_once, own);
    assert_eq!(linked, 0.0);
    let (_, linked) = together(&honest, 40, 20, at_once, |_| honest_values(&mut rng));
    assert_eq!(linked, 0.0);
}

#[test]
fn what_an_older_build_kept_of_a_principal_is_read() {
    let (honest, mut rng) = fitted(1.0);
    let mut state = PrincipalState::default();
    for _ in 0..20 {
        honest.observe(&mut state, &query(&honest_values(&mut rng), 1.0, "predict"));
    }
    let mut older = serde_json::to_value(&state).unwrap();
    for field in ["recent_cells", "varied", "around", "offset"] {
        older["walks"][0][1].as_object_mut().unwrap().remove(field).unwrap();
    }
    let mut older: PrincipalState = serde_json::from_value(older).unwrap();
    assert_eq!(honest.observe(&mut older, &query(&honest_values(&mut rng), 1.0, "predict")).0.risk.get(), 0.0);
}

#[test]
fn an_api_nobody_was_seen_asking_says_nothing() {
    let (honest, mut rng) = fitted(1.0);
    for finding in watch(&honest, (0..50).map(|_| query(&[0; DIMS].map(|_| rng.random_range(-9.0..9.0)), 1.0, "embed")))
    {
        assert_eq!((finding.risk.get(), finding.p_value.get(), finding.evidence.len()), (0.0, 1.0, 0));
    }
}

#[test]
fn equal_clients_fit_to_equal_bits_and_nothing_fits_to_nothing() {
    let (a, _) = fitted(1.0);
    let (b, _) = fitted(1.0);
    assert_eq!(postcard::to_allocvec(&a).unwrap(), postcard::to_allocvec(&b).unwrap());
    assert!(Honest::fit(&[], 7).is_none());
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    assert!(Honest::fit(&clients(&mut rng, 1.0)[..4], 7).is_none(), "four clients say nothing of others");
    let constant = (0..60).map(|_| Client { queries: vec![query(&[3.0; DIMS], 1.0, "predict"); 9], pool: None });
    assert!(Honest::fit(&constant.collect::<Vec<_>>(), 7).is_none(), "one query says nothing of distances");
}

#[test]
fn principals_do_not_touch_each_other() {
    let (honest, mut rng) = fitted(1.0);
    let mut honest_one = || (0..30).map(|_| query(&honest_values(&mut rng), 1.0, "predict")).collect::<Vec<_>>();
    let (a, b) = (honest_one(), honest_one());
    let alone = watch(&honest, a.iter().cloned());
    let (mut one, mut other) = (PrincipalState::default(), PrincipalState::default());
    let between: Vec<Finding> = a
        .iter()
        .zip(&b)
        .map(|(a, b)| {
            honest.observe(&mut other, b);
            honest.observe(&mut one, a).0
        })
        .collect();
    assert_eq!(alone, between);
}

#[test]
fn state_is_bounded() {
    let (honest, mut rng) = fitted(1.0);
    let mut state = PrincipalState::default();
    for _ in 0..3_000 {
        honest.observe(&mut state, &query(&honest_values(&mut rng), 1.0, "predict"));
    }
    for (_, walk) in &state.walks {
        assert!(walk.kept() <= 256 + 64 + 16 + 100);
    }
    for n in 0..50 {
        honest.observe(&mut state, &query(&[1.0; DIMS], 1.0, &format!("tool-{n}")));
    }
    assert!(state.walks.len() <= APIS_MAX);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn whatever_is_sent_the_risk_is_a_number(
        sent in proptest::collection::vec((proptest::collection::vec(any::<i16>(), 0..80), any::<f32>(), any::<u64>()), 1..30)
    ) {
        let (honest, _) = fitted(1.0);
        let mut state = PrincipalState::default();
        for (v, scale, fp) in sent {
            let mut record = query(&[0.0; DIMS], 1.0, "predict");
            record.query = QuerySketch { fp, scale, v, ..record.query };
            let (finding, _) = honest.observe(&mut state, &record);
            prop_assert!((0.0..1.0).contains(&finding.risk.get()), "{finding:?}");
            prop_assert!(finding.p_value.get() > 0.0);
        }
    }
}
