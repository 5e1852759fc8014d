//! Queries over values.

use super::{Error, State, Store, error};
use crate::{loose::loose, outbound};
use api::{ApiError, Cx};
use component::{
    Kind,
    state::{self as contract, Queries},
};
use serde::Serialize;
use serde_json::value::RawValue;
use wire::runtime::v1::{QueryStateItem, QueryStateRequest, QueryStateResponse};

loose! {
    #[derive(Serialize)]
    struct Sort {
        key: String = "key",
        #[serde(skip_serializing_if = "String::is_empty")]
        order: String = "order",
    }
}

loose! {
    #[derive(Serialize)]
    struct Page {
        #[serde(skip_serializing_if = "is_zero")]
        limit: i64 = "limit",
        #[serde(skip_serializing_if = "String::is_empty")]
        token: String = "token",
    }
}

loose! {
    /// A query; what it is made of has the names that stores know.
    #[derive(Serialize)]
    struct Fields<'a> {
        #[serde(skip_serializing_if = "Option::is_none")]
        filter: Option<&'a RawValue> = "filter",
        #[serde(skip_serializing_if = "Vec::is_empty")]
        sort: Vec<Sort> = "sort",
        page: Page = "page",
    }
}

fn is_zero(n: &i64) -> bool {
    *n == 0
}

impl State {
    /// Answers a query.
    pub async fn query(&self, cx: &Cx, request: QueryStateRequest) -> Result<QueryStateResponse, ApiError> {
        let store = Store::find(cx, &request.store_name)?;
        let queries = queries(&store)?;
        let json = checked(&request.query).map_err(|why| Error::Query {
            store: store.name.into(),
            why,
        })?;
        let query = contract::Query {
            json,
            metadata: request.metadata,
        };
        let (result, elapsed) = outbound::call(cx, store.name, Kind::State, query, |query| queries.query(query)).await;
        self.record(&store, "query", result.is_ok(), elapsed);
        let found = result
            .map_err(outbound::component_error)
            .map_err(|error| error::of_query(store.name, error))?;
        let row = |item: contract::QueryItem| QueryStateItem {
            key: store.short(&item.key).to_owned(),
            data: item.data,
            etag: item.etag.unwrap_or_default(),
            error: item.error,
        };
        let results = found.items.into_iter().map(row).collect();
        Ok(QueryStateResponse {
            results,
            token: found.token,
            metadata: found.metadata,
        })
    }
}

/// The queries of a store, if it can read what it holds and answers any.
pub(super) fn queries<'a>(store: &Store<'a>) -> Result<&'a dyn Queries, ApiError> {
    let none = || {
        Error::NoQueries {
            store: store.name.into(),
        }
        .into()
    };
    store.instance.queries().filter(|_| !store.encrypts()).ok_or_else(none)
}

/// A query with the names of its parts as stores know them.
fn checked(text: &str) -> Result<String, String> {
    let wrong = |why: String| format!("failed to parse JSON query body: {why}");
    if text.trim().is_empty() {
        return Err(wrong("unexpected end of JSON input".into()));
    }
    let fields: Fields<'_> = serde_json::from_str(text).map_err(|e| wrong(e.to_string()))?;
    if fields.filter.is_some_and(|filter| !filter.get().starts_with('{')) {
        return Err(wrong("filter is no object".into()));
    }
    serde_json::to_string(&fields).map_err(|e| wrong(e.to_string()))
}
