//! Numbers as Go prints them, needed where a number in YAML stands for text.

/// As Go's JSON package prints a float: whole numbers without a fraction, an exponent only for the very large and small.
pub fn go_json_float(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude == 0.0 || (1e-6..1e21).contains(&magnitude) {
        // Rust prints the shortest digits that read back the same, without an exponent, as Go does.
        return if value == 0.0 {
            "0".to_owned()
        } else {
            format!("{value}")
        };
    }
    let (mantissa, exponent) = parts(value);
    format!("{mantissa}e{}{}", sign(exponent), exponent.unsigned_abs())
}

/// As Go's `strconv.FormatFloat(value, 'g', -1, 64)` prints it, which is what a float becomes where a text is wanted: an
/// exponent from a million on.
pub fn go_general_float(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let (mantissa, exponent) = parts(value);
    if (-4..6).contains(&exponent) {
        return format!("{value}");
    }
    format!("{mantissa}e{}{:02}", sign(exponent), exponent.unsigned_abs())
}

fn sign(exponent: i32) -> char {
    if exponent < 0 { '-' } else { '+' }
}

/// Splits `1.5e-7` into `1.5` and `-7`.
fn parts(value: f64) -> (String, i32) {
    let text = format!("{value:e}");
    match text.split_once('e') {
        Some((mantissa, exponent)) => (mantissa.to_owned(), exponent.parse().unwrap_or(0)),
        None => (text, 0),
    }
}
