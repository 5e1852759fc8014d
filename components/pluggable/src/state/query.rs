//! Queries of a pluggable state store.

use super::convert::non_empty;
use crate::{connection::Link, error::of_state, setup};
use async_trait::async_trait;
use component::{
    ComponentError,
    state::{Queries, QueryItem, QueryResult},
};
use prost_types::Any;
use serde_json::{Map, Value};
use std::collections::HashMap;
use wire::components::v1::{self as pb, queriable_state_store_client::QueriableStateStoreClient};

/// The queries of a store.
pub(super) struct Query {
    client: QueriableStateStoreClient<Link>,
}

impl Query {
    /// The queries of a store.
    pub(super) fn new(link: Link) -> Self {
        let client = QueriableStateStoreClient::new(link).max_decoding_message_size(setup::MESSAGE_LIMIT);
        Self { client }
    }
}

#[async_trait]
impl Queries for Query {
    async fn query(&self, query: component::state::Query) -> Result<QueryResult, ComponentError> {
        let wanted = parse(&query.json)
            .map_err(|problem| ComponentError::permanent(format!("failed to parse JSON query body: {problem}")))?;
        let request = pb::QueryRequest {
            query: Some(wanted),
            metadata: query.metadata,
        };
        let answer = self.client.clone().query(request).await;
        let answer = answer.map_err(|status| of_state(&status))?.into_inner();
        let items = answer.items.into_iter().map(|item| QueryItem {
            key: item.key,
            data: item.data,
            etag: item.etag.and_then(|etag| non_empty(etag.value)),
            error: item.error,
        });
        Ok(QueryResult {
            items: items.collect(),
            token: answer.token,
            metadata: answer.metadata,
        })
    }
}

/// The query that a JSON text says. Each filter goes on as JSON.
pub(crate) fn parse(json: &str) -> Result<pb::Query, String> {
    let Value::Object(query) = serde_json::from_str(json).map_err(|error| error.to_string())? else {
        return Err("a query is an object".to_owned());
    };
    Ok(pb::Query {
        filter: filter(&query)?,
        sort: sort(&query)?,
        pagination: Some(pagination(&query)?),
    })
}

fn filter(query: &Map<String, Value>) -> Result<HashMap<String, Any>, String> {
    match query.get("filter") {
        None | Some(Value::Null) => Ok(HashMap::new()),
        Some(Value::Object(filters)) => {
            let filters = filters.iter().map(|(operator, operand)| {
                check(operator, operand)?;
                let value = operand.to_string().into_bytes();
                Ok((
                    operator.clone(),
                    Any {
                        type_url: String::new(),
                        value,
                    },
                ))
            });
            filters.collect()
        }
        Some(_) => Err("filter must be an object".to_owned()),
    }
}

/// Refuses operators that are not of the query language.
fn check(operator: &str, operand: &Value) -> Result<(), String> {
    match operator {
        "EQ" | "NEQ" | "GT" | "GTE" | "LT" | "LTE" | "IN" => match operand {
            Value::Object(pairs) if pairs.len() == 1 => Ok(()),
            _ => Err(format!("{operator} filter must contain one key-value pair")),
        },
        "AND" | "OR" => {
            let Value::Array(filters) = operand else {
                return Err(format!("{operator} filter must contain a list"));
            };
            let mut nested = filters.iter().filter_map(Value::as_object).flatten();
            nested.try_for_each(|(operator, operand)| check(operator, operand))
        }
        _ => Err(format!("unsupported filter {operator:?}")),
    }
}

fn sort(query: &Map<String, Value>) -> Result<Vec<pb::Sorting>, String> {
    let rows = match query.get("sort") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(rows)) => rows,
        Some(_) => return Err("sort must be a list".to_owned()),
    };
    let sorting = rows.iter().map(|row| {
        let key = row.get("key").and_then(Value::as_str).ok_or("sort needs a key")?;
        let order = row.get("order").and_then(Value::as_str).unwrap_or_default();
        let order = match order.to_ascii_uppercase().as_str() {
            "DESC" => pb::sorting::Order::Desc,
            _ => pb::sorting::Order::Asc,
        };
        Ok(pb::Sorting {
            key: key.to_owned(),
            order: order.into(),
        })
    });
    sorting.collect()
}

fn pagination(query: &Map<String, Value>) -> Result<pb::Pagination, String> {
    let Some(page) = query.get("page").filter(|page| !page.is_null()) else {
        return Ok(pb::Pagination::default());
    };
    let limit = match page.get("limit") {
        None | Some(Value::Null) => 0,
        Some(limit) => limit.as_i64().ok_or("limit must be a whole number")?,
    };
    let token = match page.get("token") {
        None | Some(Value::Null) => "",
        Some(token) => token.as_str().ok_or("token must be a string")?,
    };
    Ok(pb::Pagination {
        limit,
        token: token.to_owned(),
    })
}
