//! The identity of a span as it travels: `traceparent`, `tracestate`, and gRPC's binary form.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use http::{HeaderMap, HeaderName, HeaderValue};

/// The W3C header with the ids.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// The W3C header with what vendors add.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// gRPC's metadata with the ids in binary form.
pub const GRPC_TRACE_BIN: HeaderName = HeaderName::from_static("grpc-trace-bin");

const SAMPLED: u8 = 1;

/// Which trace and which span something belongs to. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace; zeros are no trace.
    pub trace_id: [u8; 16],
    /// The span; zeros are no span.
    pub span_id: [u8; 8],
    /// Bit 0: sampled.
    pub flags: u8,
    /// `tracestate`, as it came.
    pub state: Option<Arc<str>>,
}

impl TraceContext {
    /// No trace at all: all zeros.
    pub const NONE: TraceContext = TraceContext {
        trace_id: [0; 16],
        span_id: [0; 8],
        flags: 0,
        state: None,
    };

    /// Whether there is a trace.
    pub fn is_valid(&self) -> bool {
        self.trace_id != [0; 16] && self.span_id != [0; 8]
    }

    /// Whether the trace is recorded.
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// The same with the sampled flag set or not.
    pub(super) fn with_sampled(mut self, sampled: bool) -> TraceContext {
        self.flags = if sampled {
            self.flags | SAMPLED
        } else {
            self.flags & !SAMPLED
        };
        self
    }

    /// Reads a `traceparent`. Upper-case digits, zeros as ids and version ff are no context.
    pub fn parse_traceparent(text: &str) -> Option<TraceContext> {
        let bytes = text.trim().as_bytes();
        let separators = [2, 35, 52].iter().all(|at| bytes.get(*at) == Some(&b'-'));
        let [version] = hex_array::<1>(bytes.get(0..2)?)?;
        let ends = match version {
            0xff => false,
            0 => bytes.len() == 55,
            _ => bytes.len() == 55 || bytes.get(55) == Some(&b'-'),
        };
        if !separators || !ends {
            return None;
        }
        let [flags] = hex_array(bytes.get(53..55)?)?;
        let context = TraceContext {
            trace_id: hex_array(&bytes[3..35])?,
            span_id: hex_array(&bytes[36..52])?,
            flags,
            state: None,
        };
        context.is_valid().then_some(context)
    }

    /// The `traceparent` of this context; all zeros when there is none.
    pub fn traceparent(&self) -> String {
        self.to_string()
    }

    /// The same context with a `tracestate`; a malformed one is left out, as if it had not been sent.
    pub fn with_state(mut self, state: &str) -> TraceContext {
        self.state = parse_state(state);
        self
    }

    /// Reads gRPC's binary form: version 0, then fields 0 (trace), 1 (span) and 2 (flags).
    pub fn from_binary(bytes: &[u8]) -> Option<TraceContext> {
        let (0, fields) = bytes.split_first().map(|(version, fields)| (*version, fields))? else {
            return None;
        };
        let (trace_id, fields) = binary_field::<16>(fields, 0)?;
        let (span_id, fields) = binary_field::<8>(fields, 1)?;
        let flags = binary_field::<1>(fields, 2).map_or(0, |([flags], _)| flags);
        let context = TraceContext {
            trace_id,
            span_id,
            flags,
            state: None,
        };
        context.is_valid().then_some(context)
    }

    /// gRPC's binary form; none when there is no trace.
    pub fn to_binary(&self) -> Option<[u8; 29]> {
        if !self.is_valid() {
            return None;
        }
        let mut out = [0; 29];
        out[2..18].copy_from_slice(&self.trace_id);
        out[18] = 1;
        out[19..27].copy_from_slice(&self.span_id);
        out[27] = 2;
        out[28] = self.flags;
        Some(out)
    }

    /// The context that HTTP headers carry.
    pub fn from_http(headers: &HeaderMap) -> Option<TraceContext> {
        let context = TraceContext::parse_traceparent(headers.get(&TRACEPARENT)?.to_str().ok()?)?;
        Some(context.with_states_of(headers))
    }

    /// The context that gRPC metadata carries: the binary form before the text.
    pub fn from_grpc(headers: &HeaderMap) -> Option<TraceContext> {
        let binary = headers
            .get(&GRPC_TRACE_BIN)
            .and_then(|value| decode_binary_header(value.as_bytes()));
        match binary.and_then(|bytes| TraceContext::from_binary(&bytes)) {
            Some(context) => Some(context.with_states_of(headers)),
            None => TraceContext::from_http(headers),
        }
    }

    /// Sets `traceparent`, and `tracestate` if there is one.
    pub fn write_http(&self, headers: &mut HeaderMap) {
        if let Ok(value) = HeaderValue::from_str(&self.traceparent()) {
            headers.insert(TRACEPARENT, value);
        }
        if let Some(value) = self
            .state
            .as_deref()
            .and_then(|state| HeaderValue::from_str(state).ok())
        {
            headers.insert(TRACESTATE, value);
        }
    }

    /// Sets what gRPC metadata carries: the binary form, the text, and the state if there is one. Without a trace there is
    /// only the binary form, and it is empty.
    pub fn write_grpc(&self, headers: &mut HeaderMap) {
        let encoded = self.to_binary().map(|binary| BASE64.encode(binary)).unwrap_or_default();
        if let Ok(value) = HeaderValue::from_str(&encoded) {
            headers.insert(GRPC_TRACE_BIN, value);
        }
        if self.is_valid() {
            self.write_http(headers);
        }
    }

    fn with_states_of(self, headers: &HeaderMap) -> TraceContext {
        let states: Vec<&str> = headers
            .get_all(&TRACESTATE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .collect();
        if states.is_empty() {
            self
        } else {
            self.with_state(&states.join(","))
        }
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "00-{}-{}-{:02x}",
            Hex(&self.trace_id),
            Hex(&self.span_id),
            self.flags
        )
    }
}

/// Bytes as lower-case hexadecimal digits.
pub(super) struct Hex<'a>(pub(super) &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// gRPC sends binary metadata without padding, and takes it with or without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

fn decode_binary_header(value: &[u8]) -> Option<Vec<u8>> {
    BASE64.decode(value).ok()
}

fn hex_array<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let mut out = [0; N];
    if digits.len() != 2 * N {
        return None;
    }
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = hex_digit(pair[0])? << 4 | hex_digit(pair[1])?;
    }
    Some(out)
}

fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

fn binary_field<const N: usize>(bytes: &[u8], id: u8) -> Option<([u8; N], &[u8])> {
    let (first, rest) = bytes.split_first()?;
    let (value, rest) = rest.split_first_chunk::<N>()?;
    (*first == id).then_some((*value, rest))
}

/// A `tracestate` of at most 32 members `key=value` with unique keys, without the blanks between them.
fn parse_state(state: &str) -> Option<Arc<str>> {
    let members: Vec<&str> = state
        .split(',')
        .map(str::trim)
        .filter(|member| !member.is_empty())
        .collect();
    if members.is_empty() || members.len() > 32 {
        return None;
    }
    let mut keys = Vec::with_capacity(members.len());
    for member in &members {
        let (key, value) = member.split_once('=')?;
        if !is_state_key(key) || !is_state_value(value) || keys.contains(&key) {
            return None;
        }
        keys.push(key);
    }
    Some(members.join(",").into())
}

fn is_state_key(key: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-*/@".contains(&b);
    let first = key.bytes().next();
    key.len() <= 256
        && first.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        && key.bytes().all(allowed)
        && key.matches('@').count() <= 1
}

fn is_state_value(value: &str) -> bool {
    !value.is_empty()
        && value.len() <= 256
        && value
            .bytes()
            .all(|b| matches!(b, b' '..=b'~') && b != b',' && b != b'=')
}
