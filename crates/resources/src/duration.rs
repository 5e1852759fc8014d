//! Durations as Go writes and reads them: `1h2m3.5s`, `100ms`, `-1.5h`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

const NANOSECOND: i64 = 1;
const MICROSECOND: i64 = 1_000 * NANOSECOND;
const MILLISECOND: i64 = 1_000 * MICROSECOND;
const SECOND: i64 = 1_000 * MILLISECOND;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;

/// A signed length of time with nanosecond resolution, up to about 292 years, that reads and prints as Go's
/// `time.Duration` does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GoDuration(i64);

/// Why a text is no duration. The texts are those of Go.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseDurationError {
    /// No number where one is needed, or a number out of range.
    #[error("time: invalid duration {}", quoted(.0))]
    Invalid(String),
    /// A number without a unit.
    #[error("time: missing unit in duration {}", quoted(.0))]
    MissingUnit(String),
    /// A unit that Go does not know.
    #[error("time: unknown unit {} in duration {}", quoted(unit), quoted(text))]
    UnknownUnit {
        /// The unit as written.
        unit: String,
        /// The whole text.
        text: String,
    },
}

/// Quotes a text as Go's time package does: what is not ASCII byte by byte.
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend(['\\', byte.into()]),
            b' '..=b'~' => out.push(byte.into()),
            _ => out.push_str(&format!("\\x{byte:02x}")),
        }
    }
    out.push('"');
    out
}

impl GoDuration {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// From a number of nanoseconds.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// From a number of milliseconds; what does not fit becomes the nearest that does.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(MILLISECOND))
    }

    /// From a number of seconds; what does not fit becomes the nearest that does.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(SECOND))
    }

    /// As nanoseconds.
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// As whole milliseconds, cut towards zero.
    pub const fn as_millis(self) -> i64 {
        self.0 / MILLISECOND
    }

    /// Whether this is below zero.
    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }

    /// Whether this is zero.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// As a [`Duration`] of the standard library, `None` below zero.
    pub fn to_std(self) -> Option<Duration> {
        u64::try_from(self.0).ok().map(Duration::from_nanos)
    }

    /// As a [`Duration`], with zero for what is below zero.
    pub fn to_std_or_zero(self) -> Duration {
        self.to_std().unwrap_or_default()
    }

    /// Reads what resiliency policies allow: a Go duration, or a bare integer, which counts milliseconds. The empty text
    /// is no duration at all.
    pub fn parse_or_millis(text: &str) -> Result<Option<Self>, ParseDurationError> {
        if text.is_empty() {
            return Ok(None);
        }
        if let Ok(millis) = text.parse::<i64>() {
            let nanos = millis.checked_mul(MILLISECOND);
            return nanos
                .map(|n| Some(Self(n)))
                .ok_or_else(|| ParseDurationError::Invalid(text.to_owned()));
        }
        text.parse().map(Some)
    }
}

impl From<Duration> for GoDuration {
    /// What does not fit becomes the longest that does.
    fn from(duration: Duration) -> Self {
        Self(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
    }
}

impl FromStr for GoDuration {
    type Err = ParseDurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (negative, rest) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        if rest == "0" {
            return Ok(Self::ZERO);
        }
        if rest.is_empty() {
            return Err(ParseDurationError::Invalid(text.to_owned()));
        }
        let magnitude = parse_magnitude(rest, text)?;
        let limit = i64::MAX as u64;
        match (negative, magnitude) {
            (true, m) if m <= limit + 1 => Ok(Self((m as i64).wrapping_neg())),
            (false, m) if m <= limit => Ok(Self(m as i64)),
            _ => Err(ParseDurationError::Invalid(text.to_owned())),
        }
    }
}

/// Sums up the `<number><unit>` parts of `rest`; `text` is what errors quote.
fn parse_magnitude(mut rest: &str, text: &str) -> Result<u64, ParseDurationError> {
    let invalid = || ParseDurationError::Invalid(text.to_owned());
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (whole, fraction, after_number) = split_number(rest).ok_or_else(invalid)?;
        let unit_length = after_number
            .find(|c: char| c == '.' || c.is_ascii_digit())
            .unwrap_or(after_number.len());
        let (unit, after_unit) = after_number.split_at(unit_length);
        if unit.is_empty() {
            return Err(ParseDurationError::MissingUnit(text.to_owned()));
        }
        let scale = unit_nanos(unit).ok_or_else(|| ParseDurationError::UnknownUnit {
            unit: unit.to_owned(),
            text: text.to_owned(),
        })?;
        let part = scaled(whole, fraction, scale).ok_or_else(invalid)?;
        total = total.checked_add(part).filter(|t| *t <= LIMIT).ok_or_else(invalid)?;
        rest = after_unit;
    }
    Ok(total)
}

/// The largest magnitude, which only a negative duration can have.
const LIMIT: u64 = 1 << 63;

/// Splits `12.5ms…` into `12`, `5` and `ms…`; none if there is no digit or the number is out of range.
fn split_number(text: &str) -> Option<(u64, &str, &str)> {
    let digits = |s: &str| s.bytes().take_while(u8::is_ascii_digit).count();
    let (whole, rest) = text.split_at(digits(text));
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(after) => after.split_at(digits(after)),
        None => ("", rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    (whole <= LIMIT).then_some((whole, fraction, rest))
}

fn unit_nanos(unit: &str) -> Option<u64> {
    let nanos = match unit {
        "ns" => NANOSECOND,
        // Both the micro sign and the Greek letter.
        "us" | "\u{b5}s" | "\u{3bc}s" => MICROSECOND,
        "ms" => MILLISECOND,
        "s" => SECOND,
        "m" => MINUTE,
        "h" => HOUR,
        _ => return None,
    };
    Some(nanos as u64)
}

/// `whole.fraction * scale` in nanoseconds.
fn scaled(whole: u64, fraction: &str, scale: u64) -> Option<u64> {
    let base = whole.checked_mul(scale)?;
    // Floating point with as many digits as 63 bits hold, which is how Go rounds.
    let (mut numerator, mut denominator) = (0u64, 1f64);
    for digit in fraction.bytes() {
        let next = numerator
            .checked_mul(10)
            .and_then(|n| n.checked_add(u64::from(digit - b'0')));
        let Some(next) = next.filter(|n| *n <= LIMIT) else {
            break;
        };
        numerator = next;
        denominator *= 10.0;
    }
    let part = (numerator as f64 * (scale as f64 / denominator)) as u64;
    base.checked_add(part).filter(|v| *v <= LIMIT)
}

impl fmt::Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.unsigned_abs();
        if nanos == 0 {
            return f.write_str("0s");
        }
        if self.0 < 0 {
            f.write_str("-")?;
        }
        let (second, minute, hour) = (SECOND as u64, MINUTE as u64, HOUR as u64);
        if nanos < second {
            let (unit, name) = match nanos {
                n if n < MICROSECOND as u64 => (1, "ns"),
                n if n < MILLISECOND as u64 => (MICROSECOND as u64, "\u{b5}s"),
                _ => (MILLISECOND as u64, "ms"),
            };
            return write_decimal(f, nanos, unit, name);
        }
        if nanos >= hour {
            write!(f, "{}h", nanos / hour)?;
        }
        if nanos >= minute {
            write!(f, "{}m", nanos % hour / minute)?;
        }
        write_decimal(f, nanos % minute, second, "s")
    }
}

/// Writes `nanos / unit` with as many decimals as are needed.
fn write_decimal(f: &mut fmt::Formatter<'_>, nanos: u64, unit: u64, name: &str) -> fmt::Result {
    let (whole, rest) = (nanos / unit, nanos % unit);
    if rest == 0 {
        return write!(f, "{whole}{name}");
    }
    let width = unit.ilog10() as usize;
    let decimals = format!("{rest:0width$}");
    write!(f, "{whole}.{}{name}", decimals.trim_end_matches('0'))
}

impl Serialize for GoDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for GoDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
