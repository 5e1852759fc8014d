//! Reads.

use super::write::wants_json;
use crate::{
    error,
    link::{Link, Repeat},
};
use bytes::Bytes;
use component::{
    ComponentError, Metadata,
    state::{BulkItem, Get, Item},
};
use futures_util::{StreamExt, stream};
use redis::{Pipeline, RedisError, Value};

/// How many keys are asked for at once.
const AT_ONCE: usize = 256;

/// Reads one key. `json` is whether the server keeps JSON documents.
pub(super) async fn get(link: &Link, request: &Get, json: bool) -> Result<Option<Item>, ComponentError> {
    let mut pipe = Pipeline::with_capacity(2);
    let as_json = ask(&mut pipe, request, json);
    let fails = |e: RedisError| failed(request, &e);
    let mut answers = link.run_all(Repeat::Safe, &pipe).await.map_err(fails)?.into_iter();
    match decode(as_json, answers.next(), answers.next()) {
        // Not the expected type: a state that was written in another way, or a string that another program wrote.
        Err(e) if e.code().is_some() && (as_json || error::is_wrong_type(&e)) => other(link, request, json).await,
        outcome => outcome.map_err(fails),
    }
}

/// Reads many keys, in as few round trips as possible.
pub(super) async fn bulk(link: &Link, requests: Vec<Get>, parallelism: usize, json: bool) -> Vec<BulkItem> {
    let mut all = Vec::with_capacity(requests.len());
    for chunk in requests.chunks(AT_ONCE) {
        let mut pipe = Pipeline::with_capacity(chunk.len() * 2);
        let as_json: Vec<bool> = chunk.iter().map(|request| ask(&mut pipe, request, json)).collect();
        let mut answers = match link.run_all(Repeat::Safe, &pipe).await {
            Ok(answers) => answers.into_iter(),
            Err(e) => {
                all.extend(chunk.iter().map(|request| BulkItem {
                    key: request.key.clone(),
                    result: Err(failed(request, &e)),
                }));
                continue;
            }
        };
        let mut again = Vec::new();
        for (request, as_json) in chunk.iter().zip(as_json) {
            match decode(as_json, answers.next(), answers.next()) {
                Err(e) if e.code().is_some() => again.push(request.clone()),
                outcome => all.push(BulkItem {
                    key: request.key.clone(),
                    result: outcome.map_err(|e| failed(request, &e)),
                }),
            }
        }
        all.extend(one_by_one(link, again, parallelism, json).await);
    }
    all
}

/// Reads many keys with a command each, for keys that live in several places or are not what was expected.
pub(super) async fn one_by_one(link: &Link, requests: Vec<Get>, parallelism: usize, json: bool) -> Vec<BulkItem> {
    let reads = requests.into_iter().map(|request| async move {
        BulkItem {
            result: get(link, &request, json).await,
            key: request.key,
        }
    });
    let limit = match parallelism {
        0 => AT_ONCE,
        limit => limit.min(AT_ONCE),
    };
    stream::iter(reads).buffer_unordered(limit).collect().await
}

/// Adds the two commands that read a key; returns whether the first answers with JSON.
fn ask(pipe: &mut Pipeline, request: &Get, json: bool) -> bool {
    let as_json = json && wants_json(&request.metadata);
    match as_json {
        true => pipe.cmd("JSON.GET").arg(&request.key),
        false => pipe.cmd("HMGET").arg(&request.key).arg("data").arg("version"),
    };
    pipe.cmd("PTTL").arg(&request.key);
    as_json
}

fn decode(as_json: bool, stored: Option<Value>, ttl: Option<Value>) -> Result<Option<Item>, RedisError> {
    let stored = stored.unwrap_or_default().extract_error()?;
    let found = match as_json {
        false => hash(stored)?,
        true => match redis::from_redis_value::<Option<Vec<u8>>>(stored)? {
            None => None,
            Some(text) => Some(document(&text)?),
        },
    };
    let Some((data, etag)) = found else {
        return Ok(None);
    };
    Ok(Some(Item {
        data,
        etag,
        metadata: expiry(ttl)?,
        content_type: None,
    }))
}

type Found = (Bytes, Option<String>);

fn hash(stored: Value) -> Result<Option<Found>, RedisError> {
    let (data, version): (Value, Option<String>) = redis::from_redis_value(stored)?;
    match data {
        Value::Nil => Ok(None),
        Value::BulkString(data) => Ok(Some((data.into(), version))),
        other => Ok(Some((redis::from_redis_value::<Vec<u8>>(other)?.into(), version))),
    }
}

/// The data and the version in a JSON document that [`super::write`] made.
fn document(text: &[u8]) -> Result<Found, RedisError> {
    let fields: std::collections::HashMap<String, Box<serde_json::value::RawValue>> = serde_json::from_slice(text)
        .map_err(|e| (redis::ErrorKind::UnexpectedReturnType, "not a state", e.to_string()))?;
    let field = |name: &str| fields.get(name).map(|value| value.get().to_owned());
    match field("data") {
        Some(data) => Ok((data.into(), field("version"))),
        None => Err((redis::ErrorKind::UnexpectedReturnType, "the document has no data").into()),
    }
}

/// When the key expires, as the metadata of an answer say it.
fn expiry(ttl: Option<Value>) -> Result<Metadata, RedisError> {
    let millis: i64 = redis::from_redis_value(ttl.unwrap_or_default().extract_error()?)?;
    let when = jiff::Timestamp::now()
        .as_millisecond()
        .checked_add(millis)
        .filter(|_| millis >= 0)
        .and_then(|when| jiff::Timestamp::from_second(when / 1000).ok());
    Ok(when
        .map(|when| ("ttlExpireTime".to_owned(), when.to_string()))
        .into_iter()
        .collect())
}

/// Reads a key that is not of the type that was asked for first.
async fn other(link: &Link, request: &Get, json: bool) -> Result<Option<Item>, ComponentError> {
    let mut pipe = Pipeline::with_capacity(4);
    pipe.cmd("PTTL").arg(&request.key);
    pipe.cmd("HMGET").arg(&request.key).arg("data").arg("version");
    pipe.cmd("GET").arg(&request.key);
    if json {
        pipe.cmd("JSON.GET").arg(&request.key);
    }
    let fails = |e: RedisError| failed(request, &e);
    let mut answers = link.run_all(Repeat::Safe, &pipe).await.map_err(fails)?.into_iter();
    let ttl = answers.next();
    let as_hash = decode(false, answers.next(), ttl.clone());
    let as_text = answers.next().unwrap_or_default().extract_error();
    let as_document = answers.next();
    match (as_hash, as_text) {
        (Ok(item), _) => Ok(item),
        (_, Ok(Value::BulkString(data))) => Ok(Some(Item {
            data: data.into(),
            metadata: expiry(ttl).map_err(fails)?,
            ..Item::default()
        })),
        (_, Ok(_)) => Ok(None),
        (Err(e), Err(_)) => match as_document {
            Some(document) => decode(true, Some(document), ttl).map_err(fails),
            None => Err(fails(e)),
        },
    }
}

fn failed(request: &Get, e: &RedisError) -> ComponentError {
    error::failed(&format!("failed to get key {}", request.key), e)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents() {
        let (data, etag) = document(br#"{"data":{"b": 1,"a":[2]},"version":12}"#).expect("a state");
        assert_eq!(
            (data.as_ref(), etag.as_deref()),
            (&br#"{"b": 1,"a":[2]}"#[..], Some("12"))
        );
        assert!(document(br#"{"version":12}"#).is_err());
        assert!(document(b"[1]").is_err());
    }

    #[test]
    fn a_key_without_data_is_no_state() {
        let stored = Value::Array(vec![Value::Nil, Value::BulkString(b"3".to_vec())]);
        assert_eq!(decode(false, Some(stored), Some(Value::Int(-1))).ok(), Some(None));
    }
}
