//! Subscriptions that the application names when it is asked.

use super::{
    LOG,
    spec::{Bulk, Kind, Rule, Spec},
};
use app::{Along, App, AppError};
use futures_util::FutureExt;
use http::{HeaderValue, Request, StatusCode};
use outgoing::{Builtin, CallCx, CallError, Class, Classify, Policies};
use serde::Deserialize;
use std::{collections::BTreeMap, fmt, sync::Arc};
use tokio_util::sync::CancellationToken;
use wire::runtime::v1::{TopicSubscription, app_callback_client::AppCallbackClient};

/// The most bytes of an answer.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// Asks the application; the error tells why it gave no usable answer.
pub(crate) async fn ask(
    app: &Arc<App>,
    app_id: &str,
    policies: &Policies,
    cancel: &CancellationToken,
) -> Result<Vec<Spec>, Failed> {
    let policy = policies.builtin(Builtin::InitializationRetries);
    let attempt = |_| {
        if app.options().protocol.is_grpc() {
            ask_grpc(app).boxed()
        } else {
            ask_http(app, app_id).boxed()
        }
    };
    policy
        .run(&CallCx::new(cancel), attempt)
        .await
        .map_err(|error| match error {
            CallError::Inner(failed) => failed,
            other => Failed {
                transient: !matches!(other, CallError::Cancelled),
                why: other.to_string(),
            },
        })
}

/// Why the application gave no answer.
#[derive(Debug)]
pub(crate) struct Failed {
    why: String,
    /// Whether asking again may help.
    pub(crate) transient: bool,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl Classify for Failed {
    fn class(&self) -> Class {
        if self.transient {
            Class::Transient
        } else {
            Class::Permanent
        }
    }
}

impl From<AppError> for Failed {
    fn from(error: AppError) -> Self {
        Self {
            why: error.to_string(),
            transient: true,
        }
    }
}

async fn ask_http(app: &Arc<App>, app_id: &str) -> Result<Vec<Spec>, Failed> {
    let mut request = Request::new(component::middleware::empty());
    *request.uri_mut() = http::Uri::from_static("/dapr/subscribe");
    if let Ok(id) = HeaderValue::from_str(app_id) {
        request.headers_mut().insert("dapr-app-id", id);
    }
    let response = app.http(&Along::default(), request).await?;
    let status = response.status();
    let body = api::body::read(response.into_body(), MAX_ANSWER).await;
    match status {
        StatusCode::OK => {
            let permanent = |why: String| Failed { why, transient: false };
            let body = body.map_err(|e| permanent(e.to_string()))?;
            read(&body).map_err(permanent)
        }
        StatusCode::NOT_FOUND => {
            tracing::debug!(target: LOG, "the application has no subscription endpoint");
            Ok(Vec::new())
        }
        other => {
            tracing::error!(target: LOG, "app returned http status code {} from subscription endpoint", other.as_u16());
            Ok(Vec::new())
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Item {
    pubsubname: String,
    topic: String,
    metadata: BTreeMap<String, String>,
    route: String,
    routes: Option<Routes>,
    #[serde(rename = "deadLetterTopic")]
    dead_letter_topic: String,
    #[serde(rename = "bulkSubscribe")]
    bulk_subscribe: Option<BulkItem>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Routes {
    rules: Vec<RuleItem>,
    default: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RuleItem {
    r#match: String,
    path: String,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct BulkItem {
    enabled: bool,
    max_messages_count: i32,
    max_await_duration_ms: i32,
}

/// Reads the answer of an HTTP application; what follows the list is not looked at.
pub(crate) fn read(body: &[u8]) -> Result<Vec<Spec>, String> {
    let mut stream = serde_json::Deserializer::from_slice(body).into_iter::<serde_json::Value>();
    let Some(list) = stream.next() else {
        return Ok(Vec::new());
    };
    let list = list.map_err(|e| e.to_string())?;
    if list.is_null() {
        return Ok(Vec::new());
    }
    if !list.is_array() {
        return Err("the answer is no list of subscriptions".into());
    }
    let items: Vec<Item> = resources::decode::from_value(&list).map_err(|e| e.to_string())?.value;
    Ok(items.into_iter().filter_map(from_item).collect())
}

fn from_item(item: Item) -> Option<Spec> {
    let routes = item.routes.unwrap_or_default();
    let default = if routes.default.is_empty() {
        item.route
    } else {
        routes.default
    };
    let mut rules: Vec<Rule> = routes
        .rules
        .into_iter()
        .map(|rule| Rule {
            condition: rule.r#match,
            path: rule.path,
        })
        .collect();
    if !default.is_empty() {
        rules.push(Rule {
            condition: String::new(),
            path: default,
        });
    }
    if rules.is_empty() {
        tracing::warn!(target: LOG, "topic {} has an empty routes. removing from subscriptions list", item.topic);
        return None;
    }
    let bulk = item.bulk_subscribe.unwrap_or_default();
    Some(Spec {
        kind: Kind::Programmatic,
        pubsub: item.pubsubname,
        topic: item.topic,
        metadata: item.metadata,
        dead_letter: item.dead_letter_topic,
        rules,
        bulk: Bulk::new(bulk.enabled, bulk.max_messages_count, bulk.max_await_duration_ms),
    })
}

async fn ask_grpc(app: &Arc<App>) -> Result<Vec<Spec>, Failed> {
    let mut client = AppCallbackClient::new(app.channel(Along::default())).max_decoding_message_size(MAX_ANSWER);
    match client.list_topic_subscriptions(()).await {
        Ok(response) => Ok(response
            .into_inner()
            .subscriptions
            .into_iter()
            .map(from_message)
            .collect()),
        Err(status) if status.code() == tonic::Code::Unimplemented => {
            tracing::debug!(target: LOG, "the application lists no subscriptions");
            Ok(Vec::new())
        }
        Err(status) => Err(Failed {
            why: format!("{:?}: {}", status.code(), status.message()),
            transient: true,
        }),
    }
}

fn from_message(item: TopicSubscription) -> Spec {
    let routes = item.routes.unwrap_or_default();
    let mut rules: Vec<Rule> = routes
        .rules
        .into_iter()
        .map(|rule| Rule {
            condition: rule.r#match,
            path: rule.path,
        })
        .collect();
    if rules.is_empty() || !routes.default.is_empty() {
        rules.push(Rule {
            condition: String::new(),
            path: routes.default,
        });
    }
    let bulk = item.bulk_subscribe.unwrap_or_default();
    Spec {
        kind: Kind::Programmatic,
        pubsub: item.pubsub_name,
        topic: item.topic,
        metadata: item.metadata.into_iter().collect(),
        dead_letter: item.dead_letter_topic,
        rules,
        bulk: Bulk::new(bulk.enabled, bulk.max_messages_count, bulk.max_await_duration_ms),
    }
}
