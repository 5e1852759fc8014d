//! Sizes as Kubernetes writes them: `4Mi`, `16Ki`, `4M`, `1.5G`, `1e6`, plain numbers.

use std::fmt;
use std::str::FromStr;

/// A number of bytes (or of anything else that is counted), not below zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantity(u64);

/// Why a text is no quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseQuantityError {
    /// Not `<number><suffix>`.
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Invalid,
    /// A suffix that is not known.
    #[error("unable to parse quantity's suffix")]
    Suffix,
    /// Below zero.
    #[error("a quantity below zero makes no sense here")]
    Negative,
    /// Too large for 64 bits.
    #[error("the quantity is out of range")]
    Range,
}

impl Quantity {
    /// From a plain number.
    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    /// The plain number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl From<Quantity> for u64 {
    fn from(quantity: Quantity) -> Self {
        quantity.0
    }
}

impl fmt::Display for Quantity {
    /// The shortest exact form with a binary suffix.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let suffixes = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
        let steps = if self.0 == 0 {
            0
        } else {
            (self.0.trailing_zeros() / 10).min(6)
        };
        write!(f, "{}{}", self.0 >> (10 * steps), suffixes[steps as usize])
    }
}

/// What a number is multiplied with: `numerator / denominator`.
struct Scale {
    numerator: u128,
    denominator: u128,
}

impl Scale {
    fn power(base: u128, exponent: i32) -> Option<Self> {
        let factor = base.checked_pow(exponent.unsigned_abs())?;
        Some(match exponent {
            0.. => Self {
                numerator: factor,
                denominator: 1,
            },
            _ => Self {
                numerator: 1,
                denominator: factor,
            },
        })
    }
}

impl FromStr for Quantity {
    type Err = ParseQuantityError;

    /// Fractions of a unit are rounded up, as the original does.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (negative, rest) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        let end = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let (number, suffix) = rest.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return Err(ParseQuantityError::Invalid);
        }
        let scale = scale(suffix)?;
        let value = multiply(whole, fraction, &scale).ok_or(ParseQuantityError::Range)?;
        match (negative, value) {
            (true, 1..) => Err(ParseQuantityError::Negative),
            _ => Ok(Self(value)),
        }
    }
}

fn scale(suffix: &str) -> Result<Scale, ParseQuantityError> {
    let (base, exponent) = match suffix {
        "" => (10, 0),
        "Ki" => (1024, 1),
        "Mi" => (1024, 2),
        "Gi" => (1024, 3),
        "Ti" => (1024, 4),
        "Pi" => (1024, 5),
        "Ei" => (1024, 6),
        "n" => (10, -9),
        "u" => (10, -6),
        "m" => (10, -3),
        "k" => (10, 3),
        "M" => (10, 6),
        "G" => (10, 9),
        "T" => (10, 12),
        "P" => (10, 15),
        "E" => (10, 18),
        _ => (10, decimal_exponent(suffix)?),
    };
    Scale::power(base, exponent).ok_or(ParseQuantityError::Range)
}

/// The number in `e6` or `E-3`.
fn decimal_exponent(suffix: &str) -> Result<i32, ParseQuantityError> {
    let digits = suffix.strip_prefix(['e', 'E']).ok_or(ParseQuantityError::Suffix)?;
    digits.parse().map_err(|_| ParseQuantityError::Suffix)
}

/// `whole.fraction * scale`, rounded up; none if it does not fit.
fn multiply(whole: &str, fraction: &str, scale: &Scale) -> Option<u64> {
    let fraction = fraction.trim_end_matches('0');
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    let mantissa: u128 = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    if mantissa == 0 {
        return Some(0);
    }
    let decimals = u32::try_from(fraction.len())
        .ok()
        .and_then(|length| 10u128.checked_pow(length))?;
    let denominator = decimals.checked_mul(scale.denominator)?;
    let product = mantissa.checked_mul(scale.numerator)?;
    u64::try_from(product.div_ceil(denominator)).ok()
}

#[cfg(test)]
mod tests;
