//! Traces.

use std::fmt;

use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::duration::{GoDuration, ParseDurationError};
use crate::value::NameValue;

/// Traces.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Tracing {
    /// Which part of requests is traced, from 0 to 1, as written.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sampling_rate: String,
    /// Whether spans are written to standard output.
    pub stdout: bool,
    /// A Zipkin server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zipkin: Option<Zipkin>,
    /// An OpenTelemetry collector.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otel: Option<Otel>,
}

/// A Zipkin server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Zipkin {
    /// Its address.
    pub endpoint_address: String,
}

/// An OpenTelemetry collector.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Otel {
    /// `http` or `grpc`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub protocol: String,
    /// Its address.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub endpoint_address: String,
    /// Whether TLS is used; see [`Otel::is_secure`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_secure: Option<bool>,
    /// Headers added to each request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<OtelHeader>,
    /// How long a request may take, as written.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub timeout: String,
}

impl Otel {
    /// Whether TLS is used, which it is unless switched off.
    pub fn is_secure(&self) -> bool {
        self.is_secure.unwrap_or(true)
    }

    /// How long a request may take; none where nothing is written.
    pub fn timeout(&self) -> Result<Option<GoDuration>, ParseDurationError> {
        if self.timeout.is_empty() {
            Ok(None)
        } else {
            self.timeout.parse().map(Some)
        }
    }
}

/// A header: `name=value` on one line, or a name with a value or a reference.
#[derive(Clone, Debug, PartialEq)]
pub enum OtelHeader {
    /// `name=value`, as written.
    Line(String),
    /// A name with a value or a reference.
    Pair(NameValue),
}

impl OtelHeader {
    /// The name and, where it is written out, the value.
    pub fn name_and_value(&self) -> Option<(String, String)> {
        match self {
            Self::Line(line) => line
                .split_once('=')
                .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())),
            Self::Pair(pair) => pair.value.as_ref().map(|value| (pair.name.clone(), value.to_string())),
        }
    }
}

impl Serialize for OtelHeader {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Line(line) => serializer.serialize_str(line),
            Self::Pair(pair) => pair.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for OtelHeader {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(HeaderVisitor)
    }
}

struct HeaderVisitor;

impl<'de> Visitor<'de> for HeaderVisitor {
    type Value = OtelHeader;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`name=value`, or a map with name and value")
    }

    fn visit_str<E: de::Error>(self, line: &str) -> Result<OtelHeader, E> {
        Ok(OtelHeader::Line(line.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<OtelHeader, A::Error> {
        Err(de::Error::invalid_type(de::Unexpected::Seq, &self))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<OtelHeader, A::Error> {
        NameValue::deserialize(de::value::MapAccessDeserializer::new(map)).map(OtelHeader::Pair)
    }
}
