//! The messages between sidecars, written and read by hand: what a call carries goes from the buffers it was read into to
//! those it is written from, without a message in between.
//!
//! `InternalInvokeRequestStream` and `InternalInvokeResponseStream` are alike: field 1 is the head, field 2 a piece of the
//! body. A head is `InternalInvokeRequest` or `InternalInvokeResponse`.

mod read;

use crate::headers::Origin;
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue};
use std::borrow::Cow;
use wire::common::v1::http_extension::Verb;

pub(crate) use read::{Request, Response, read_varint};

/// The bytes before each message of gRPC.
pub(crate) const PREFIX: usize = 5;

/// What a message is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a message between sidecars cannot be read")]
pub(crate) struct Malformed;

/// How many bytes a number takes.
pub(crate) const fn varint_len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

pub(crate) fn put_varint(out: &mut impl BufMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

/// How many bytes a field of `length` bytes takes; its number is below 16.
const fn field_len(length: usize) -> usize {
    1 + varint_len(length as u64) + length
}

fn put_bytes(out: &mut BytesMut, tag: u8, value: &[u8]) {
    out.put_u8(tag);
    put_varint(out, value.len() as u64);
    out.put_slice(value);
}

/// Puts a text, unless it is empty.
fn put_text(out: &mut BytesMut, tag: u8, value: &[u8]) {
    if !value.is_empty() {
        put_bytes(out, tag, value);
    }
}

const fn text_len(length: usize) -> usize {
    if length == 0 { 0 } else { field_len(length) }
}

/// A field of bytes: its number in the upper bits, 2 in the lower three.
const fn tag(number: u8) -> u8 {
    number << 3 | 2
}

/// The head of a call.
pub(crate) struct RequestHead<'a> {
    /// Headers or metadata.
    pub(crate) metadata: Entries<'a>,
    /// The method.
    pub(crate) method: &'a str,
    /// The content type of the body.
    pub(crate) content_type: &'a [u8],
    /// HTTP's verb; none if the caller said nothing of HTTP.
    pub(crate) verb: Option<Verb>,
    /// HTTP's query.
    pub(crate) query: &'a str,
    /// The type of the data, if it is a message.
    pub(crate) type_url: &'a str,
}

/// The head of an answer.
pub(crate) struct ResponseHead<'a> {
    /// The application's HTTP status or gRPC code.
    pub(crate) code: i32,
    /// In words.
    pub(crate) message: &'a str,
    /// `google.rpc.Status`, encoded, for its details.
    pub(crate) details: Vec<Bytes>,
    /// Headers or metadata.
    pub(crate) headers: Entries<'a>,
    /// What a gRPC application sent behind its answer.
    pub(crate) trailers: Option<&'a HeaderMap>,
    /// The content type of the body.
    pub(crate) content_type: &'a [u8],
    /// The type of the data, if it is a message.
    pub(crate) type_url: &'a str,
}

/// The entries of a map of headers: those of a request or an answer that are not left out, and some more.
pub(crate) struct Entries<'a> {
    /// The headers.
    pub(crate) headers: &'a HeaderMap,
    /// Which of them are left out.
    pub(crate) skip: fn(&str) -> bool,
    /// More of them. A name that is there already gets one more value.
    pub(crate) more: &'a [(&'a str, &'a [u8])],
    /// Whether they are headers or metadata: the names of headers are written as Go writes them, since other sidecars look
    /// for them so, and binary values of metadata are base64 already.
    pub(crate) origin: Origin,
}

impl<'a> Entries<'a> {
    /// All headers as they are.
    pub(crate) fn all(headers: &'a HeaderMap, origin: Origin) -> Self {
        Self {
            headers,
            skip: |_| false,
            more: &[],
            origin,
        }
    }

    /// Calls `f` for each name with its values.
    fn each(&self, mut f: impl FnMut(&str, &[Cow<'a, [u8]>])) {
        let mut values: smallvec::SmallVec<[Cow<'a, [u8]>; 4]> = smallvec::SmallVec::new();
        let mut entries = self.headers.iter().peekable();
        while let Some((name, value)) = entries.next() {
            let name = name.as_str();
            if (self.skip)(name) {
                continue;
            }
            values.push(self.value(name, value));
            // The values of a name follow one another.
            if entries.peek().is_some_and(|(next, _)| next.as_str() == name) {
                continue;
            }
            let more = self.more.iter().filter(|(other, _)| *other == name);
            values.extend(more.map(|(_, value)| Cow::Borrowed(*value)));
            f(name, &values);
            values.clear();
        }
        for (name, value) in self.more {
            let there = self.headers.contains_key(*name) && !(self.skip)(name);
            if !there {
                f(name, &[Cow::Borrowed(*value)]);
            }
        }
    }

    /// A value as text, which is what the message holds.
    fn value(&self, name: &str, value: &'a HeaderValue) -> Cow<'a, [u8]> {
        let bytes = value.as_bytes();
        if self.origin == Origin::Grpc && name.ends_with("-bin") && !bytes.len().is_multiple_of(4) {
            // Other sidecars want the padding that gRPC leaves out.
            let mut padded = bytes.to_vec();
            padded.resize(bytes.len().next_multiple_of(4), b'=');
            return Cow::Owned(padded);
        }
        match bytes.is_ascii() || std::str::from_utf8(bytes).is_ok() {
            true => Cow::Borrowed(bytes),
            false => Cow::Owned(bytes.iter().map(|b| char::from(*b)).collect::<String>().into_bytes()),
        }
    }

    fn len(&self) -> usize {
        let mut total = 0;
        self.each(|name, values| total += field_len(entry_len(name, values)));
        total
    }

    fn put(&self, out: &mut BytesMut, number: u8) {
        self.each(|name, values| {
            out.put_u8(tag(number));
            put_varint(out, entry_len(name, values) as u64);
            put_bytes(out, tag(1), name.as_bytes());
            if self.origin == Origin::Http {
                let start = out.len() - name.len();
                canonical(&mut out[start..]);
            }
            out.put_u8(tag(2));
            put_varint(out, list_len(values) as u64);
            for value in values {
                put_bytes(out, tag(1), value);
            }
        });
    }
}

/// Makes a header's name what Go makes of it: a capital at the beginning and behind each hyphen.
fn canonical(name: &mut [u8]) {
    let mut first = true;
    for byte in name {
        if first {
            byte.make_ascii_uppercase();
        }
        first = *byte == b'-';
    }
}

fn list_len(values: &[Cow<'_, [u8]>]) -> usize {
    values.iter().map(|value| field_len(value.len())).sum()
}

fn entry_len(name: &str, values: &[Cow<'_, [u8]>]) -> usize {
    field_len(name.len()) + field_len(list_len(values))
}

/// Begins a message of gRPC of `length` bytes.
fn prefixed(length: usize) -> BytesMut {
    let mut out = BytesMut::with_capacity(PREFIX + length);
    out.put_u8(0);
    out.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    out
}

/// An `Any` of a type only: the data follow in pieces.
fn any_len(type_url: &str) -> usize {
    text_len(text_len(type_url.len()))
}

fn put_any(out: &mut BytesMut, number: u8, type_url: &str) {
    if !type_url.is_empty() {
        out.put_u8(tag(number));
        put_varint(out, field_len(type_url.len()) as u64);
        put_bytes(out, tag(1), type_url.as_bytes());
    }
}

impl RequestHead<'_> {
    /// The head as a message of a stream, framed.
    pub(crate) fn framed(&self) -> BytesMut {
        let verb = self.verb.map(|verb| verb as u64);
        let extension = verb.map(|verb| {
            let verb = if verb == 0 { 0 } else { 1 + varint_len(verb) };
            verb + text_len(self.query.len())
        });
        let message = text_len(self.method.len())
            + any_len(self.type_url)
            + text_len(self.content_type.len())
            + extension.map_or(0, field_len);
        let request = 2 + self.metadata.len() + field_len(message);
        let mut out = prefixed(field_len(request));
        out.put_u8(tag(1));
        put_varint(&mut out, request as u64);
        // ver = V1
        out.put_slice(&[1 << 3, 1]);
        self.metadata.put(&mut out, 2);
        out.put_u8(tag(3));
        put_varint(&mut out, message as u64);
        put_text(&mut out, tag(1), self.method.as_bytes());
        put_any(&mut out, 2, self.type_url);
        put_text(&mut out, tag(3), self.content_type);
        if let Some(length) = extension {
            out.put_u8(tag(4));
            put_varint(&mut out, length as u64);
            if let Some(verb) = verb.filter(|verb| *verb != 0) {
                out.put_u8(1 << 3);
                put_varint(&mut out, verb);
            }
            put_text(&mut out, tag(2), self.query.as_bytes());
        }
        out
    }
}

impl ResponseHead<'_> {
    /// The head as a message of a stream, framed.
    pub(crate) fn framed(&self) -> BytesMut {
        let code = i64::from(self.code) as u64;
        let code_len = if code == 0 { 0 } else { 1 + varint_len(code) };
        let details: usize = self.details.iter().map(|detail| field_len(detail.len())).sum();
        let status = code_len + text_len(self.message.len()) + details;
        let trailers = self.trailers.map(|trailers| Entries::all(trailers, Origin::Grpc));
        let message = any_len(self.type_url) + text_len(self.content_type.len());
        let response = field_len(status)
            + self.headers.len()
            + trailers.as_ref().map_or(0, |trailers| trailers.len())
            + field_len(message);
        let mut out = prefixed(field_len(response));
        out.put_u8(tag(1));
        put_varint(&mut out, response as u64);
        out.put_u8(tag(1));
        put_varint(&mut out, status as u64);
        if code != 0 {
            out.put_u8(1 << 3);
            put_varint(&mut out, code);
        }
        put_text(&mut out, tag(2), self.message.as_bytes());
        for detail in &self.details {
            put_bytes(&mut out, tag(3), detail);
        }
        self.headers.put(&mut out, 2);
        if let Some(trailers) = &trailers {
            trailers.put(&mut out, 3);
        }
        out.put_u8(tag(4));
        put_varint(&mut out, message as u64);
        put_any(&mut out, 1, self.type_url);
        put_text(&mut out, tag(2), self.content_type);
        out
    }
}

/// Puts what comes before the `length` bytes of a piece of a body.
pub(crate) fn put_payload_prefix(out: &mut BytesMut, seq: u64, length: usize) {
    let seq_len = if seq == 0 { 0 } else { 1 + varint_len(seq) };
    let payload = seq_len + field_len(length);
    out.put_u8(0);
    out.put_u32(u32::try_from(field_len(payload)).unwrap_or(u32::MAX));
    out.put_u8(tag(2));
    put_varint(out, payload as u64);
    if seq != 0 {
        out.put_u8(2 << 3);
        put_varint(out, seq);
    }
    out.put_u8(tag(1));
    put_varint(out, length as u64);
}

/// The most that [`put_payload_prefix`] takes.
pub(crate) const PAYLOAD_PREFIX: usize = PREFIX + 6 + 11 + 6;

/// A framed head of a stream and the data as one framed `InternalInvokeRequest`, for sidecars that do not stream.
pub(crate) fn unary_request(head: &[u8], data: &Bytes) -> Result<Bytes, Malformed> {
    use prost::Message;
    use wire::internals::v1::InternalInvokeRequestStream;
    let framed = head.get(PREFIX..).ok_or(Malformed)?;
    let stream = InternalInvokeRequestStream::decode(framed).map_err(|_| Malformed)?;
    let mut request = stream.request.ok_or(Malformed)?;
    if let Some(message) = &mut request.message {
        message.data.get_or_insert_default().value = data.to_vec();
    }
    Ok(crate::rpc::framed(&request))
}
