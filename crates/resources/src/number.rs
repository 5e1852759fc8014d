//! Numbers as Go prints them, needed where a number in YAML stands for text.

/// As Go's JSON package prints a float: whole numbers without a fraction, an exponent only for the very large and small.
pub fn go_json_float(value: f64) -> String {
    let magnitude = value.abs();
    // Rust prints the shortest digits that read back the same, without an exponent, as Go does.
    if magnitude == 0.0 || (1e-6..1e21).contains(&magnitude) {
        return format!("{value}");
    }
    let text = format!("{value:e}");
    let (mantissa, exponent) = parts(&text);
    format!("{mantissa}e{}{}", sign(exponent), exponent.unsigned_abs())
}

/// As Go's YAML package prints a float where text is wanted: in single precision, with an exponent from a million on.
pub fn go_text_float(value: f64) -> String {
    let single = value as f32;
    // What is out of the range of single precision keeps its digits.
    let text = if single.is_finite() {
        format!("{single:e}")
    } else {
        format!("{value:e}")
    };
    let (mantissa, exponent) = parts(&text);
    if single == 0.0 || (-4..6).contains(&exponent) {
        return format!("{single}");
    }
    format!("{mantissa}e{}{:02}", sign(exponent), exponent.unsigned_abs())
}

fn sign(exponent: i32) -> char {
    if exponent < 0 { '-' } else { '+' }
}

/// Splits `1.5e-7` into `1.5` and `-7`.
fn parts(text: &str) -> (&str, i32) {
    match text.split_once('e') {
        Some((mantissa, exponent)) => (mantissa, exponent.parse().unwrap_or(0)),
        None => (text, 0),
    }
}
