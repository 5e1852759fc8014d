//! Lists of status codes: `429,500-599`.

use std::ops::RangeInclusive;

/// A set of status codes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusCodes(Vec<RangeInclusive<u16>>);

/// Why a text is no list of status codes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodesError {
    /// A part is neither a number nor a range.
    #[error("{0:?} is neither a status code nor a range of them")]
    Invalid(String),
    /// A code is out of the range that the protocol has.
    #[error("the status code {code} is not between {low} and {high}")]
    OutOfRange {
        /// The code.
        code: u16,
        /// The least one allowed.
        low: u16,
        /// The largest one allowed.
        high: u16,
    },
    /// A range that ends before it begins.
    #[error("the range {0:?} ends before it begins")]
    Reversed(String),
}

impl StatusCodes {
    /// Reads a list of HTTP status codes, from 100 to 599. The empty text is no list, which means all failures.
    pub fn parse_http(text: &str) -> Result<Option<Self>, CodesError> {
        Self::parse(text, 100..=599)
    }

    /// Reads a list of gRPC status codes, from 0 to 16. The empty text is no list, which means all failures.
    pub fn parse_grpc(text: &str) -> Result<Option<Self>, CodesError> {
        Self::parse(text, 0..=16)
    }

    /// Whether the set has this code.
    pub fn contains(&self, code: u16) -> bool {
        self.0.iter().any(|range| range.contains(&code))
    }

    /// The ranges as written; a single code is a range of one.
    pub fn ranges(&self) -> &[RangeInclusive<u16>] {
        &self.0
    }

    fn parse(text: &str, limits: RangeInclusive<u16>) -> Result<Option<Self>, CodesError> {
        if text.trim().is_empty() {
            return Ok(None);
        }
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let ranges = parts.map(|part| range(part, &limits)).collect::<Result<Vec<_>, _>>()?;
        match ranges.is_empty() {
            true => Err(CodesError::Invalid(text.to_owned())),
            false => Ok(Some(Self(ranges))),
        }
    }
}

fn range(part: &str, limits: &RangeInclusive<u16>) -> Result<RangeInclusive<u16>, CodesError> {
    let code = |text: &str| {
        let text = text.trim();
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let code = text.parse::<u16>().ok().filter(|_| digits);
        let code = code.ok_or_else(|| CodesError::Invalid(part.to_owned()))?;
        match limits.contains(&code) {
            true => Ok(code),
            false => Err(CodesError::OutOfRange {
                code,
                low: *limits.start(),
                high: *limits.end(),
            }),
        }
    };
    let Some((first, last)) = part.split_once('-') else {
        let only = code(part)?;
        return Ok(only..=only);
    };
    let (first, last) = (code(first)?, code(last)?);
    match first <= last {
        true => Ok(first..=last),
        false => Err(CodesError::Reversed(part.to_owned())),
    }
}
