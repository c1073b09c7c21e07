//! `vedette policy test FILE`: what it runs, and what it says when a policy set does not do as expected.

use policy::PolicySet;
use policy::scenario::run;

#[test]
fn the_shipped_policies_keep_what_they_promise() {
    let report = run(include_str!("../policies/default.test.yaml"), &PolicySet::default()).unwrap();
    assert_eq!(report.to_string(), "11 passed, 0 failed");
}

#[test]
fn a_failure_reads_like_a_diff() {
    let text = "cases:
  - name: copies are stopped at once
    calls:
      - call: { tool: predict }
        verdict: { p_value: 0.025, pattern: extraction }
        expect: { decision: deny, because: extraction }
";
    let report = run(text, &PolicySet::default()).unwrap();
    let want = "copies are stopped at once: call 1, predict
  - decision: deny
  + decision: throttle
  - because: extraction
  + because: extraction-suspected
  applied: extraction-suspected

0 passed, 1 failed";
    assert_eq!(report.to_string(), want);
}

fn refused(text: &str, says: &str) {
    let error = run(text, &PolicySet::default()).unwrap_err().to_string();
    assert!(error.contains(says), "{error}");
}

#[test]
fn a_file_that_would_test_nothing_is_refused() {
    refused("cases: []", "no call");
    refused("cases: [{ name: n, calls: [] }]", "no call");
    refused("cases: [{ name: n, calls: [{ call: { tool: t }, expect: { decision: deny, becuase: x } }] }]", "becuase");
    refused("cases: [{ name: n, calls: [{ call: { tool: '' }, expect: { decision: deny } }] }]", "case `n`, call 1");
    refused("cases: [", "line");
    refused(&" ".repeat(1024 * 1024 + 1), "over the limit");
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "(cases|calls|name|call|\\[|\\]|\\{|\\}|:|- |\n|  |&a|\\*a|[a-z]){0,40}") {
        let _ = run(&text, &PolicySet::default());
    }
}
