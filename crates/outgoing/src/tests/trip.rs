use crate::{Trip, breaker::Counts};
use proptest::prelude::*;

fn counts(requests: u32, failures: u32, consecutive: u32) -> Counts {
    Counts {
        requests,
        total_successes: requests - failures,
        total_failures: failures,
        consecutive_successes: 0,
        consecutive_failures: consecutive,
    }
}

#[test]
fn simple_conditions_are_not_interpreted() {
    for (text, debug) in [
        ("consecutiveFailures > 5", "Trip(ConsecutiveFailures MoreThan 5)"),
        (" consecutiveFailures>=3 ", "Trip(ConsecutiveFailures AtLeast 3)"),
        ("totalFailures == 7", "Trip(TotalFailures Equal 7)"),
        ("requests > 0", "Trip(Requests MoreThan 0)"),
        (
            "requests > 1 && totalFailures > 1",
            r#"Trip("requests > 1 && totalFailures > 1")"#,
        ),
        ("requests > -1", r#"Trip("requests > -1")"#),
    ] {
        assert_eq!(format!("{:?}", Trip::parse(text).unwrap()), debug);
    }
}

#[test]
fn conditions_hold_or_not() {
    for (text, counts, fires) in [
        ("consecutiveFailures > 5", counts(9, 6, 5), false),
        ("consecutiveFailures > 5", counts(9, 6, 6), true),
        ("consecutiveFailures >= 5", counts(9, 6, 5), true),
        ("requests > 10 && totalFailures * 2 > requests", counts(11, 6, 1), true),
        ("requests > 10 && totalFailures * 2 > requests", counts(11, 5, 1), false),
        ("totalFailures > 3 || consecutiveFailures == 2", counts(9, 2, 2), true),
        ("requests in [3, 9] && !(totalFailures < 2)", counts(9, 2, 2), true),
        ("double(totalFailures) / double(requests) >= 0.5", counts(8, 4, 0), true),
        ("totalFailures / totalSuccesses > 1", counts(8, 8, 8), false),
    ] {
        assert_eq!(Trip::parse(text).unwrap().fires(&counts), fires, "{text} {counts:?}");
    }
}

#[test]
fn what_is_no_condition_is_refused() {
    for text in [
        "",
        "consecutiveFailures >",
        "failures > 5",
        "consecutiveFailures",
        "1 + 1",
        "'a' > 1",
        "nothing(requests)",
    ] {
        let error = Trip::parse(text).unwrap_err().to_string();
        assert!(error.contains("no condition"), "{text}: {error}");
    }
}

#[test]
fn deep_conditions_are_refused() {
    for part in [
        "(",
        "!",
        "-",
        "[",
        "{1:",
        "f(",
        "requests.x(",
        "true?",
        "[1].map(x,",
        "1+",
        "true&&",
        "requests.",
        "a[",
        "'\\",
    ] {
        for length in [50, 100, 500, 900, 100_000] {
            let open = part.repeat(length / part.len());
            assert!(Trip::parse(&open).is_err(), "{part}");
            let _ = Trip::parse(&format!("{open}true"));
        }
    }
    let nested = |depth| format!("{}requests > 1{}", "(".repeat(depth), ")".repeat(depth));
    assert!(Trip::parse(&nested(10)).is_ok());
    assert!(Trip::parse(&nested(490)).is_err());
    assert!(Trip::parse(&nested(20_000)).is_err());
    let and = |times: usize| format!("{}requests > 1", "true && ".repeat(times));
    let plus = |times: usize| format!("requests > 1{}", "+1".repeat(times));
    assert!(Trip::parse(&and(100)).is_ok() && Trip::parse(&plus(20)).is_ok());
    for text in [
        and(400),
        plus(30),
        plus(490),
        "[1, 2].all(x, x < requests)".to_owned(),
        "requests.x > 1".to_owned(),
    ] {
        assert!(Trip::parse(&text).is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn the_short_way_is_the_long_way(limit in 0u32..20, failures in 0u32..20, sign in "(>|>=|==)") {
        let short = Trip::parse(&format!("consecutiveFailures {sign} {limit}")).unwrap();
        let long = Trip::parse(&format!("(consecutiveFailures {sign} {limit})")).unwrap();
        let counts = counts(20, failures, failures);
        prop_assert_eq!(short.fires(&counts), long.fires(&counts));
    }

    #[test]
    fn any_text_is_read_or_refused(text in "(requests|totalFailures|[0-9]{1,20}|[-+*/%<>=!&|().,'\\[\\]?: a-z]){0,8}|\\PC{0,20}") {
        let _ = Trip::parse(&text);
    }
}
