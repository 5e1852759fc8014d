use proptest::prelude::*;

use super::*;

#[test]
fn reads_sizes() {
    let cases = [
        ("0", 0),
        ("4194304", 4_194_304),
        ("4Mi", 4 << 20),
        ("16Ki", 16 << 10),
        ("4M", 4_000_000),
        ("4k", 4_000),
        ("1.5Gi", 3 << 29),
        ("+2Ti", 2 << 40),
        ("1e6", 1_000_000),
        ("1E3", 1_000),
        ("12E-1", 2),
        ("1E", 1_000_000_000_000_000_000),
        ("100m", 1),
        ("1500m", 2),
        (".5Ki", 512),
        ("5.", 5),
        ("-0", 0),
        ("0.0000000000000000000000000000000000000000000000", 0),
        ("18446744073709551615", u64::MAX),
    ];
    for (text, expected) in cases {
        assert_eq!(text.parse::<Quantity>().map(Quantity::get), Ok(expected), "{text}");
    }
}

#[test]
fn refuses_what_is_no_size() {
    let cases = [
        ("", ParseQuantityError::Invalid),
        ("Mi", ParseQuantityError::Invalid),
        (".", ParseQuantityError::Invalid),
        ("1.2.3", ParseQuantityError::Invalid),
        ("4MB", ParseQuantityError::Suffix),
        ("4 Mi", ParseQuantityError::Suffix),
        ("4mi", ParseQuantityError::Suffix),
        ("1e", ParseQuantityError::Suffix),
        ("-1", ParseQuantityError::Negative),
        ("18446744073709551616", ParseQuantityError::Range),
        ("16Ei", ParseQuantityError::Range),
        ("1e99", ParseQuantityError::Range),
    ];
    for (text, error) in cases {
        assert_eq!(text.parse::<Quantity>(), Err(error), "{text}");
    }
}

#[test]
fn prints_the_shortest_form() {
    for (value, text) in [
        (0, "0"),
        (1, "1"),
        (4 << 20, "4Mi"),
        (1536, "1536"),
        (3 << 29, "1536Mi"),
        (1 << 60, "1Ei"),
    ] {
        assert_eq!(Quantity::new(value).to_string(), text);
    }
}

proptest! {
    #[test]
    fn what_is_printed_is_read_back(value: u64) {
        let quantity = Quantity::new(value);
        prop_assert_eq!(quantity.to_string().parse(), Ok(quantity));
    }

    #[test]
    fn no_text_panics(text in "\\PC*") {
        let _ = text.parse::<Quantity>();
    }

    #[test]
    fn no_number_panics(text in "[-+]?[0-9]{0,60}\\.?[0-9]{0,60}([numkMGTPE]i?|[eE][-+]?[0-9]{0,12}|)") {
        let _ = text.parse::<Quantity>();
    }
}
