use proptest::prelude::*;

use super::*;

fn nanos(text: &str) -> i64 {
    text.parse::<GoDuration>().unwrap().as_nanos()
}

#[test]
fn reads_what_go_reads() {
    let cases = [
        ("0", 0),
        ("-0", 0),
        ("5s", 5 * SECOND),
        ("+5s", 5 * SECOND),
        ("-5s", -5 * SECOND),
        ("1478s", 1478 * SECOND),
        ("5.0s", 5 * SECOND),
        ("5.6s", 5 * SECOND + 600 * MILLISECOND),
        ("5.s", 5 * SECOND),
        (".5s", 500 * MILLISECOND),
        ("1.004s", SECOND + 4 * MILLISECOND),
        ("100.00100s", 100 * SECOND + MILLISECOND),
        ("10ns", 10),
        ("11us", 11 * MICROSECOND),
        ("12\u{b5}s", 12 * MICROSECOND),
        ("12\u{3bc}s", 12 * MICROSECOND),
        ("13ms", 13 * MILLISECOND),
        ("1.5h", 90 * MINUTE),
        ("3h30m", 3 * HOUR + 30 * MINUTE),
        ("1h2m3.5s", HOUR + 2 * MINUTE + 3 * SECOND + 500 * MILLISECOND),
        ("10.5s4m", 4 * MINUTE + 10 * SECOND + 500 * MILLISECOND),
        ("0.3333333333333333333h", 20 * MINUTE),
        ("9223372036854775807ns", i64::MAX),
        ("-9223372036854775808ns", i64::MIN),
        ("9007199254.740993s", 9_007_199_254_740_993_000),
    ];
    for (text, expected) in cases {
        assert_eq!(nanos(text), expected, "{text}");
    }
}

#[test]
fn refuses_what_go_refuses() {
    let cases = [
        ("", "time: invalid duration \"\""),
        ("-", "time: invalid duration \"-\""),
        ("s", "time: invalid duration \"s\""),
        (".", "time: invalid duration \".\""),
        ("-.s", "time: invalid duration \"-.s\""),
        ("3", "time: missing unit in duration \"3\""),
        ("-1", "time: missing unit in duration \"-1\""),
        ("1h5", "time: missing unit in duration \"1h5\""),
        ("1d", "time: unknown unit \"d\" in duration \"1d\""),
        (
            "1\u{b5}h",
            "time: unknown unit \"\\xc2\\xb5h\" in duration \"1\\xc2\\xb5h\"",
        ),
        (
            "99999999999999999999d",
            "time: invalid duration \"99999999999999999999d\"",
        ),
        ("1 s", "time: unknown unit \" s\" in duration \"1 s\""),
        (
            "9223372036854775808ns",
            "time: invalid duration \"9223372036854775808ns\"",
        ),
        (
            "-9223372036854775809ns",
            "time: invalid duration \"-9223372036854775809ns\"",
        ),
        ("3000000h", "time: invalid duration \"3000000h\""),
        (
            "99999999999999999999999s",
            "time: invalid duration \"99999999999999999999999s\"",
        ),
    ];
    for (text, message) in cases {
        assert_eq!(text.parse::<GoDuration>().unwrap_err().to_string(), message);
    }
}

#[test]
fn prints_as_go_does() {
    let cases = [
        (0, "0s"),
        (1, "1ns"),
        (1_100, "1.1\u{b5}s"),
        (2_200_000, "2.2ms"),
        (3_300_000_000, "3.3s"),
        (180 * SECOND, "3m0s"),
        (1_500_000_000, "1.5s"),
        (4 * MINUTE + 5 * SECOND + MILLISECOND, "4m5.001s"),
        (5 * HOUR + 6 * MINUTE + 7 * SECOND + MILLISECOND, "5h6m7.001s"),
        (8 * MINUTE + 1, "8m0.000000001s"),
        (HOUR, "1h0m0s"),
        (-HOUR, "-1h0m0s"),
        (i64::MAX, "2562047h47m16.854775807s"),
        (i64::MIN, "-2562047h47m16.854775808s"),
    ];
    for (nanos, text) in cases {
        assert_eq!(GoDuration::from_nanos(nanos).to_string(), text);
    }
}

#[test]
fn bare_integers_are_milliseconds_in_policies() {
    let parse = |text| GoDuration::parse_or_millis(text).map(|d| d.map(GoDuration::as_nanos));
    assert_eq!(parse("1000"), Ok(Some(SECOND)));
    assert_eq!(parse("-1"), Ok(Some(-MILLISECOND)));
    assert_eq!(parse("0"), Ok(Some(0)));
    assert_eq!(parse("2s"), Ok(Some(2 * SECOND)));
    assert_eq!(parse(""), Ok(None));
    assert!(parse("9223372036854775807").is_err());
    assert!(parse("soon").is_err());
}

#[test]
fn converts_to_and_from_the_standard_library() {
    assert_eq!(
        GoDuration::from_millis(1500).to_std(),
        Some(Duration::from_millis(1500))
    );
    assert_eq!(GoDuration::from_secs(-1).to_std(), None);
    assert_eq!(GoDuration::from_secs(-1).to_std_or_zero(), Duration::ZERO);
    assert_eq!(GoDuration::from(Duration::MAX).as_nanos(), i64::MAX);
}

proptest! {
    #[test]
    fn what_is_printed_is_read_back(nanos: i64) {
        let duration = GoDuration::from_nanos(nanos);
        prop_assert_eq!(duration.to_string().parse(), Ok(duration));
    }

    #[test]
    fn no_text_panics(text in "\\PC*") {
        let _ = text.parse::<GoDuration>();
        let _ = GoDuration::parse_or_millis(&text);
    }

    #[test]
    fn no_text_of_the_alphabet_panics(text in "[-+]?([0-9]{0,25}\\.?[0-9]{0,25}(h|m|s|ms|us|µs|ns|)){0,4}") {
        let _ = text.parse::<GoDuration>();
        let _ = GoDuration::parse_or_millis(&text);
    }
}
