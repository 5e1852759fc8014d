//! The query API, by RediSearch over JSON documents.

use super::{lookup, write::wants_json};
use crate::{
    error,
    link::{Link, Repeat},
};
use component::{
    ComponentError, ConfigError,
    state::{Query, QueryItem, QueryResult},
};
use redis::{Cmd, RedisError, Value};
use serde::Deserialize;
use serde_json::Value as Json;

/// How many rows a query without a limit may have; RediSearch itself would stop after ten.
const NO_LIMIT: u64 = 10_000;

/// An index over JSON documents, as `queryIndexes` says it.
#[derive(Debug, Deserialize)]
pub(super) struct Index {
    name: String,
    indexes: Vec<Column>,
}

/// What of a document is indexed.
#[derive(Debug, Deserialize)]
struct Column {
    key: String,
    #[serde(rename = "type")]
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Kind {
    #[serde(alias = "text")]
    Text,
    #[serde(alias = "numeric")]
    Numeric,
}

/// Reads `queryIndexes`.
pub(super) fn indexes(text: &str) -> Result<Vec<Index>, ConfigError> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    serde_json::from_str(text).map_err(|e| ConfigError::invalid("queryIndexes", text, e))
}

/// Makes sure that the server has the index as it is configured.
pub(super) async fn prepare(link: &Link, index: &Index) -> Result<(), RedisError> {
    let made = link.run(Repeat::Safe, &index.create()).await;
    let Err(error) = made else {
        return Ok(());
    };
    if !error.detail().is_some_and(|detail| detail.contains("already exists")) {
        return Err(error);
    }
    let info = link.run(Repeat::Safe, redis::cmd("FT.INFO").arg(&index.name)).await?;
    let mut words = Vec::new();
    flatten(&info, &mut words);
    let known = |word: String| words.contains(&word);
    if (0..index.indexes.len()).all(|i| known(index.path(i)) && known(alias(i))) {
        return Ok(());
    }
    link.run(Repeat::Safe, redis::cmd("FT.DROPINDEX").arg(&index.name))
        .await?;
    link.run(Repeat::Safe, &index.create()).await.map(drop)
}

fn flatten(value: &Value, words: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| flatten(item, words)),
        Value::BulkString(bytes) => words.push(String::from_utf8_lossy(bytes).into_owned()),
        Value::SimpleString(text) => words.push(text.clone()),
        _ => {}
    }
}

/// The name under which a query knows a column.
fn alias(column: usize) -> String {
    format!("field{column}")
}

impl Index {
    /// Where in the stored document the column is.
    fn path(&self, column: usize) -> String {
        format!("$.data.{}", self.indexes[column].key)
    }

    fn create(&self) -> Cmd {
        let mut command = redis::cmd("FT.CREATE");
        // Without stop words: "or" and "in" can be values like any other.
        command
            .arg(&self.name)
            .arg("ON")
            .arg("JSON")
            .arg("STOPWORDS")
            .arg(0)
            .arg("SCHEMA");
        for (i, column) in self.indexes.iter().enumerate() {
            let kind = match column.kind {
                Kind::Text => "TEXT",
                Kind::Numeric => "NUMERIC",
            };
            command
                .arg(self.path(i))
                .arg("AS")
                .arg(alias(i))
                .arg(kind)
                .arg("SORTABLE");
        }
        command
    }

    fn column(&self, key: &str) -> Result<(String, Kind), ComponentError> {
        match self.indexes.iter().position(|column| column.key == key) {
            Some(i) => Ok((alias(i), self.indexes[i].kind)),
            None => Err(wrong(format!("index {} has no key {key}", self.name))),
        }
    }
}

fn wrong(problem: impl std::fmt::Display) -> ComponentError {
    ComponentError::permanent(format!("wrong query: {problem}"))
}

/// A page of a query, ready to be sent.
#[derive(Debug)]
struct Search {
    command: Cmd,
    offset: u64,
    limit: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Text {
    filter: Option<Json>,
    sort: Vec<Sort>,
    #[serde(alias = "pagination")]
    page: Pagination,
}

#[derive(Debug, Deserialize)]
struct Sort {
    key: String,
    #[serde(default)]
    order: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Pagination {
    limit: u64,
    token: String,
}

/// Answers a query.
pub(super) async fn answer(link: &Link, indexes: &[Index], query: &Query) -> Result<QueryResult, ComponentError> {
    let search = translate(indexes, query)?;
    let failed = |e: RedisError| error::failed("failed to query", &e);
    let answer = link.run(Repeat::Safe, &search.command).await.map_err(failed)?;
    let mut words = redis::from_redis_value::<Vec<Value>>(answer)
        .map_err(|e| failed(e.into()))?
        .into_iter();
    let total: u64 = redis::from_redis_value(words.next().unwrap_or_default()).map_err(|e| failed(e.into()))?;
    let mut items = Vec::new();
    while let (Some(key), Some(fields)) = (words.next(), words.next()) {
        let key: String = redis::from_redis_value(key).map_err(|e| failed(e.into()))?;
        items.push(row(key, fields));
    }
    let read = search.offset + items.len() as u64;
    let token = match !items.is_empty() && items.len() as u64 == search.limit && read < total {
        true => read.to_string(),
        false => String::new(),
    };
    Ok(QueryResult {
        items,
        token,
        ..QueryResult::default()
    })
}

fn row(key: String, fields: Value) -> QueryItem {
    let fields: Vec<(String, String)> = redis::from_redis_value(fields).unwrap_or_default();
    let field = |name| fields.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone());
    let data = field("$.data");
    QueryItem {
        key,
        etag: field("$.version"),
        error: match data {
            Some(_) => String::new(),
            None => "the document has no data".to_owned(),
        },
        data: data.unwrap_or_default().into(),
    }
}

fn translate(indexes: &[Index], query: &Query) -> Result<Search, ComponentError> {
    if !wants_json(&query.metadata) {
        return Err(wrong("metadata contentType must be application/json"));
    }
    let name = lookup(&query.metadata, "queryIndexName").ok_or_else(|| wrong("metadata queryIndexName is missing"))?;
    let index = indexes
        .iter()
        .find(|index| index.name == name)
        .ok_or_else(|| wrong(format!("there is no index {name}")))?;
    let text: Text = serde_json::from_str(&query.json).map_err(wrong)?;
    let filter = match &text.filter {
        Some(Json::Object(tree)) if !tree.is_empty() => filter(index, tree)?,
        None | Some(Json::Null | Json::Object(_)) => "*".to_owned(),
        Some(_) => return Err(wrong("filter must be an object")),
    };
    let offset = match text.page.token.as_str() {
        "" => 0,
        token => token.parse().map_err(|_| wrong("the token is not one of this store"))?,
    };
    let limit = match text.page.limit {
        0 => NO_LIMIT,
        limit => limit,
    };
    let mut command = redis::cmd("FT.SEARCH");
    command.arg(&index.name).arg(filter);
    match text.sort.as_slice() {
        [] => {}
        [sort] => {
            let order = match sort.order.to_ascii_uppercase().as_str() {
                "" | "ASC" => "ASC",
                "DESC" => "DESC",
                _ => return Err(wrong("order must be ASC or DESC")),
            };
            command.arg("SORTBY").arg(index.column(&sort.key)?.0).arg(order);
        }
        _ => return Err(wrong("Redis can sort by one key only")),
    }
    command.arg("LIMIT").arg(offset).arg(limit);
    command.arg("RETURN").arg(2).arg("$.data").arg("$.version");
    Ok(Search { command, offset, limit })
}

type Tree = serde_json::Map<String, Json>;

/// An object of one pair.
fn pair(tree: &Tree) -> Result<(&str, &Json), ComponentError> {
    let mut pairs = tree.iter();
    match (pairs.next(), pairs.next()) {
        (Some((name, value)), None) => Ok((name, value)),
        _ => Err(wrong("each operation and each comparison has exactly one key")),
    }
}

fn filter(index: &Index, tree: &Tree) -> Result<String, ComponentError> {
    let (operator, operand) = pair(tree)?;
    match (operator.to_ascii_uppercase().as_str(), operand) {
        (operator @ ("AND" | "OR"), Json::Array(parts)) if !parts.is_empty() => {
            let parts = parts
                .iter()
                .map(|part| {
                    filter(
                        index,
                        part.as_object().ok_or_else(|| wrong("an operation is an object"))?,
                    )
                })
                .collect::<Result<Vec<_>, _>>()?;
            Ok(format!("({})", parts.join(if operator == "AND" { " " } else { "|" })))
        }
        (operator, Json::Object(comparison)) => {
            let (key, value) = pair(comparison)?;
            let (column, kind) = index.column(key)?;
            compare(operator, &column, kind, value)
        }
        _ => Err(wrong(format!("{operator} does not go with its operand"))),
    }
}

fn compare(operator: &str, column: &str, kind: Kind, value: &Json) -> Result<String, ComponentError> {
    match (operator, kind) {
        ("EQ", Kind::Text) => Ok(format!("@{column}:({})", phrase(value)?)),
        ("NEQ", Kind::Text) => Ok(format!("(-@{column}:({}))", phrase(value)?)),
        ("IN", Kind::Text) => Ok(format!("@{column}:({})", each(value, phrase)?)),
        ("EQ", Kind::Numeric) => number(value).map(|n| format!("@{column}:[{n} {n}]")),
        ("NEQ", Kind::Numeric) => number(value).map(|n| format!("(-@{column}:[{n} {n}])")),
        ("GT", Kind::Numeric) => number(value).map(|n| format!("@{column}:[({n} +inf]")),
        ("GTE", Kind::Numeric) => number(value).map(|n| format!("@{column}:[{n} +inf]")),
        ("LT", Kind::Numeric) => number(value).map(|n| format!("@{column}:[-inf ({n}]")),
        ("LTE", Kind::Numeric) => number(value).map(|n| format!("@{column}:[-inf {n}]")),
        ("IN", Kind::Numeric) => {
            each(value, |v| number(v).map(|n| format!("@{column}:[{n} {n}]"))).map(|all| format!("({all})"))
        }
        (operator, Kind::Text) => Err(wrong(format!("{operator} is not possible with text"))),
        (operator, Kind::Numeric) => Err(wrong(format!("{operator} is not possible with numbers"))),
    }
}

fn each(value: &Json, one: impl Fn(&Json) -> Result<String, ComponentError>) -> Result<String, ComponentError> {
    match value.as_array().map(Vec::as_slice) {
        None | Some([]) => Err(wrong("IN takes a list that is not empty")),
        Some(values) => Ok(values.iter().map(one).collect::<Result<Vec<_>, _>>()?.join("|")),
    }
}

/// Text as a phrase: its words, next to each other.
fn phrase(value: &Json) -> Result<String, ComponentError> {
    let text = match value {
        Json::String(text) => text.clone(),
        Json::Number(_) | Json::Bool(_) => value.to_string(),
        _ => return Err(wrong("a text is compared with a text")),
    };
    if !text.contains(char::is_alphanumeric) {
        return Err(wrong("a text to search for has at least one letter or digit"));
    }
    Ok(format!("\"{}\"", text.replace('\\', r"\\").replace('"', "\\\"")))
}

fn number(value: &Json) -> Result<String, ComponentError> {
    match value {
        Json::Number(number) => Ok(number.to_string()),
        Json::String(text) if text.parse::<f64>().is_ok_and(f64::is_finite) => Ok(text.clone()),
        _ => Err(wrong("a number is compared with a number")),
    }
}

#[cfg(test)]
mod tests;
