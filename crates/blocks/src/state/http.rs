//! The state API over HTTP: wire messages of paths, queries and bodies.

use super::{
    State, Store,
    convert::{UNKNOWN_WORD, Write},
    malformed, query as queries,
    transaction::{self, Step},
};
use crate::loose::{self, Texts, loose};
use api::{
    ApiError, HttpRequest, HttpResponse, json,
    request::{json_content, no_content, raw_json, set_metadata_headers},
};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use std::{borrow::Cow, collections::BTreeMap};
use wire::{
    common::v1::{Etag, StateItem, StateOptions},
    runtime::v1::{
        BulkStateItem, DeleteStateRequest, GetBulkStateRequest, GetStateRequest, QueryStateItem, QueryStateRequest,
    },
};

loose! {
    /// Options of a write, in words.
    struct Options<'a> {
        concurrency: Cow<'a, str> = "concurrency",
        consistency: Cow<'a, str> = "consistency",
    }
}

loose! {
    /// A key and its value.
    struct Item<'a> {
        key: String = "key",
        value: Option<&'a RawValue> = "value",
        etag: String = "etag",
        metadata: Texts = "metadata",
        options: Options<'a> = "options",
        content_type: String = "contentType",
    }
}

loose! {
    struct Keys {
        keys: Vec<String> = "keys",
        parallelism: i32 = "parallelism",
        metadata: Texts = "metadata",
    }
}

loose! {
    struct Operation<'a> {
        operation: String = "operation",
        request: Item<'a> = "request",
    }
}

loose! {
    struct Transaction<'a> {
        operations: Vec<Operation<'a>> = "operations",
        metadata: Texts = "metadata",
    }
}

impl Item<'_> {
    /// The item as a write; `body` is what it was read from.
    fn into_write(self, store: &Store<'_>, body: &Bytes) -> Write {
        let text = loose::compact(self.value);
        let value = match store.plain(&text) {
            Cow::Owned(plain) => Bytes::from(plain),
            Cow::Borrowed(_) => match text {
                Cow::Owned(text) => Bytes::from(text),
                Cow::Borrowed(text) => loose::part_of(body, text),
            },
        };
        let options = StateOptions {
            concurrency: concurrency(&self.options.concurrency),
            consistency: consistency(&self.options.consistency),
        };
        let item = StateItem {
            key: self.key,
            value,
            etag: Some(Etag { value: self.etag }),
            metadata: self.metadata.0,
            options: Some(options),
        };
        Write {
            item,
            content_type: Some(self.content_type).filter(|told| !told.is_empty()),
        }
    }
}

fn concurrency(word: &str) -> i32 {
    match word {
        "" => 0,
        "first-write" => 1,
        "last-write" => 2,
        _ => UNKNOWN_WORD,
    }
}

fn consistency(word: &str) -> i32 {
    match word {
        "" => 0,
        "eventual" => 1,
        "strong" => 2,
        _ => UNKNOWN_WORD,
    }
}

fn not_json(why: String) -> ApiError {
    api::error::Error::Malformed { why }.into()
}

async fn whole(request: &mut HttpRequest) -> Result<Bytes, ApiError> {
    request.bytes().await.map_err(|e| not_json(e.to_string()))
}

pub(super) async fn get(block: &State, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let message = GetStateRequest {
        store_name: request.param("store").to_owned(),
        key: request.param("key").to_owned(),
        consistency: query_word(&request, "consistency", consistency),
        metadata: request.query_metadata(),
    };
    let found = block.get(&request.cx, message).await?;
    if found.data.is_empty() {
        return Ok(no_content());
    }
    let mut response = raw_json(StatusCode::OK, found.data);
    if let Ok(etag) = HeaderValue::from_str(&found.etag)
        && !found.etag.is_empty()
    {
        response.headers_mut().insert(header::ETAG, etag);
    }
    set_metadata_headers(response.headers_mut(), &found.metadata);
    Ok(response)
}

fn query_word(request: &HttpRequest, name: &str, number: impl Fn(&str) -> i32) -> i32 {
    if request.uri.query().is_none() {
        return 0;
    }
    request.query_value(name).map_or(0, |word| number(&word))
}

pub(super) async fn save(block: &State, mut request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let store_name = request.param("store").to_owned();
    Store::find(&request.cx, &store_name)?;
    let broken = |why: String| ApiError::from(malformed::Error::Body { why });
    let body = request.bytes().await.map_err(|e| broken(e.to_string()))?;
    let store = Store::find(&request.cx, &store_name)?;
    let items = json::parse::<Option<Vec<Option<Item<'_>>>>>(&body)
        .map_err(broken)?
        .unwrap_or_default();
    let to_write = |item: Option<Item<'_>>| match item {
        Some(item) if !item.key.is_empty() => Ok(item.into_write(&store, &body)),
        _ => Err(malformed::Error::NoKey.into()),
    };
    let writes = items.into_iter().map(to_write).collect::<Result<Vec<_>, ApiError>>()?;
    block.write(&request.cx, &store, writes).await?;
    Ok(no_content())
}

pub(super) async fn delete(block: &State, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let etag = request.header(header::IF_MATCH.as_str()).unwrap_or_default().to_owned();
    let message = DeleteStateRequest {
        store_name: request.param("store").to_owned(),
        key: request.param("key").to_owned(),
        etag: Some(Etag { value: etag }),
        options: Some(StateOptions {
            concurrency: query_word(&request, "concurrency", concurrency),
            consistency: query_word(&request, "consistency", consistency),
        }),
        metadata: request.query_metadata(),
    };
    block.delete(&request.cx, message).await?;
    Ok(no_content())
}

/// A line of a bulk read or a query.
#[derive(Serialize)]
struct Line<'a> {
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Data<'a>>,
    #[serde(skip_serializing_if = "String::is_empty")]
    etag: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    error: String,
}

/// A value inside of JSON: as it is if it is JSON, else as a string.
#[derive(Serialize)]
#[serde(untagged)]
enum Data<'a> {
    Json(&'a RawValue),
    Compact(Box<RawValue>),
    Text(&'a str),
}

impl<'a> Data<'a> {
    /// JSON without blanks between its parts.
    fn json(value: &'a RawValue) -> Self {
        match loose::compact(Some(value)) {
            Cow::Owned(text) => RawValue::from_string(text).map_or(Self::Json(value), Self::Compact),
            Cow::Borrowed(_) => Self::Json(value),
        }
    }
}

impl<'a> Line<'a> {
    fn new(key: String, data: &'a Bytes, etag: String, metadata: component::Metadata, mut error: String) -> Self {
        let data = match (data.is_empty(), serde_json::from_slice(data), std::str::from_utf8(data)) {
            (true, ..) => None,
            (_, Ok(json), _) => Some(Data::json(json)),
            (_, _, Ok(text)) => Some(Data::Text(text)),
            _ => {
                error = "the value is neither JSON nor text: read it by itself, or over gRPC".into();
                None
            }
        };
        Self {
            key,
            data,
            etag,
            metadata: metadata.into_iter().collect(),
            error,
        }
    }
}

pub(super) async fn get_bulk(block: &State, mut request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let store_name = request.param("store").to_owned();
    Store::find(&request.cx, &store_name)?;
    let body: Keys = read(&mut request).await?;
    let mut metadata = body.metadata.0;
    metadata.extend(request.query_metadata());
    let message = GetBulkStateRequest {
        store_name,
        keys: body.keys,
        parallelism: body.parallelism,
        metadata,
    };
    let found = block.get_bulk(&request.cx, message).await?;
    let data: Vec<Bytes> = found.items.iter().map(|item| item.data.clone()).collect();
    let line = |(item, data): (BulkStateItem, _)| Line::new(item.key, data, item.etag, item.metadata, item.error);
    let lines: Vec<Line<'_>> = found.items.into_iter().zip(&data).map(line).collect();
    Ok(json_content(StatusCode::OK, &lines))
}

async fn read<T: DeserializeOwned + Default>(request: &mut HttpRequest) -> Result<T, ApiError> {
    Ok(request.json::<Option<T>>().await?.unwrap_or_default())
}

pub(super) async fn transact(block: &State, mut request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let store_name = request.param("store").to_owned();
    transaction::transactions(&Store::find(&request.cx, &store_name)?)?;
    let body = whole(&mut request).await?;
    let store = Store::find(&request.cx, &store_name)?;
    let read = json::parse::<Option<Transaction<'_>>>(&body)
        .map_err(not_json)?
        .unwrap_or_default();
    let step = |operation: Operation<'_>| Step {
        operation: operation.operation,
        write: operation.request.into_write(&store, &body),
    };
    let steps = read.operations.into_iter().map(step).collect();
    block
        .transact_steps(
            &request.cx,
            &store,
            transaction::transactions(&store)?,
            steps,
            read.metadata.0,
        )
        .await?;
    Ok(no_content())
}

/// The answer to a query.
#[derive(Serialize)]
struct Found<'a> {
    results: Vec<Line<'a>>,
    #[serde(skip_serializing_if = "String::is_empty")]
    token: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<String, String>,
}

pub(super) async fn query(block: &State, mut request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let store_name = request.param("store").to_owned();
    queries::queries(&Store::find(&request.cx, &store_name)?)?;
    let body = whole(&mut request).await?;
    let query = String::from_utf8_lossy(&body).into_owned();
    let message = QueryStateRequest {
        store_name,
        query,
        metadata: request.query_metadata(),
    };
    let found = block.query(&request.cx, message).await?;
    if found.results.is_empty() {
        return Ok(no_content());
    }
    let data: Vec<Bytes> = found.results.iter().map(|item| item.data.clone()).collect();
    let line = |(item, data): (QueryStateItem, _)| Line::new(item.key, data, item.etag, Default::default(), item.error);
    let results = found.results.into_iter().zip(&data).map(line).collect();
    let answer = Found {
        results,
        token: found.token,
        metadata: found.metadata.into_iter().collect(),
    };
    Ok(json_content(StatusCode::OK, &answer))
}
