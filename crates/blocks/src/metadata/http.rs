//! The metadata API over HTTP: its JSON has field names of its own.

use super::{Error, Metadata};
use api::{
    ApiError, HttpRequest, HttpResponse,
    request::{json_content, no_content},
};
use http::StatusCode;
use serde::Serialize;
use std::collections::BTreeMap;
use wire::runtime::v1::{
    GetMetadataRequest, GetMetadataResponse, PubsubSubscription, PubsubSubscriptionType, SetMetadataRequest,
    ShutdownRequest, actor_runtime::ActorRuntimeStatus,
};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    id: String,
    runtime_version: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    enabled_features: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    actors: Vec<Count>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    components: Vec<Component>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    extended: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subscriptions: Vec<Subscription>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    http_endpoints: Vec<Named>,
    app_connection_properties: Connection,
    actor_runtime: ActorRuntime,
    #[serde(skip_serializing_if = "Option::is_none")]
    scheduler: Option<Scheduler>,
    #[serde(skip_serializing_if = "Option::is_none")]
    workflows: Option<Workflows>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mcp_servers: Vec<Named>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    workflow_access_policies: Vec<Named>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    resiliencies: Vec<Named>,
}

#[derive(Serialize)]
struct Named {
    name: String,
}

#[derive(Serialize)]
struct Count {
    r#type: String,
    count: i32,
}

#[derive(Serialize)]
struct Component {
    name: String,
    r#type: String,
    version: String,
    capabilities: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Subscription {
    pubsubname: String,
    topic: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rules: Vec<Rule>,
    dead_letter_topic: String,
    r#type: &'static str,
}

#[derive(Serialize)]
struct Rule {
    #[serde(skip_serializing_if = "String::is_empty")]
    r#match: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    path: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Connection {
    #[serde(skip_serializing_if = "is_zero")]
    port: i32,
    protocol: String,
    channel_address: String,
    #[serde(skip_serializing_if = "is_zero")]
    max_concurrency: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<Health>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Health {
    #[serde(skip_serializing_if = "String::is_empty")]
    health_check_path: String,
    health_probe_interval: String,
    health_probe_timeout: String,
    health_threshold: i32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ActorRuntime {
    runtime_status: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    active_actors: Vec<Count>,
    host_ready: bool,
    placement: String,
}

#[derive(Serialize)]
struct Scheduler {
    connected_addresses: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Workflows {
    #[serde(skip_serializing_if = "is_zero")]
    connected_workers: i32,
}

fn is_zero(n: &i32) -> bool {
    *n == 0
}

pub(super) async fn get(block: &Metadata, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let found = block.get(&request.cx, GetMetadataRequest {}).await?;
    Ok(json_content(StatusCode::OK, &document(found)))
}

pub(super) async fn set(block: &Metadata, mut request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let body = request.bytes().await.map_err(|e| Error::Body { why: e.to_string() })?;
    let value = String::from_utf8_lossy(&body).into_owned();
    let message = SetMetadataRequest {
        key: request.param("key").to_owned(),
        value,
    };
    block.set(&request.cx, message).await?;
    Ok(no_content())
}

pub(super) async fn shutdown(block: &Metadata, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    block.shutdown(&request.cx, ShutdownRequest {}).await?;
    Ok(no_content())
}

fn document(found: GetMetadataResponse) -> Document {
    let count = |c: wire::runtime::v1::ActiveActorsCount| Count {
        r#type: c.r#type,
        count: c.count,
    };
    let connection = found.app_connection_properties.unwrap_or_default();
    let actors = found.actor_runtime.unwrap_or_default();
    let runtime_status = match actors.runtime_status() {
        ActorRuntimeStatus::Initializing => "INITIALIZING",
        ActorRuntimeStatus::Disabled => "DISABLED",
        ActorRuntimeStatus::Running => "RUNNING",
    };
    Document {
        id: found.id,
        runtime_version: found.runtime_version,
        enabled_features: found.enabled_features,
        actors: found.active_actors_count.into_iter().map(count).collect(),
        components: found
            .registered_components
            .into_iter()
            .map(|c| Component {
                name: c.name,
                r#type: c.r#type,
                version: c.version,
                capabilities: c.capabilities,
            })
            .collect(),
        extended: found.extended_metadata.into_iter().collect(),
        subscriptions: found.subscriptions.into_iter().map(subscription).collect(),
        http_endpoints: found
            .http_endpoints
            .into_iter()
            .map(|e| Named { name: e.name })
            .collect(),
        app_connection_properties: Connection {
            port: connection.port,
            protocol: connection.protocol,
            channel_address: connection.channel_address,
            max_concurrency: connection.max_concurrency,
            health: connection.health.map(|h| Health {
                health_check_path: h.health_check_path,
                health_probe_interval: h.health_probe_interval,
                health_probe_timeout: h.health_probe_timeout,
                health_threshold: h.health_threshold,
            }),
        },
        actor_runtime: ActorRuntime {
            runtime_status,
            active_actors: actors.active_actors.into_iter().map(count).collect(),
            host_ready: actors.host_ready,
            placement: actors.placement,
        },
        scheduler: found.scheduler.map(|s| Scheduler {
            connected_addresses: s.connected_addresses,
        }),
        workflows: found.workflows.filter(|w| w.connected_workers != 0).map(|w| Workflows {
            connected_workers: w.connected_workers,
        }),
        mcp_servers: found.mcp_servers.into_iter().map(|s| Named { name: s.name }).collect(),
        workflow_access_policies: found
            .workflow_access_policies
            .into_iter()
            .map(|p| Named { name: p.name })
            .collect(),
        resiliencies: found.resiliencies.into_iter().map(|r| Named { name: r.name }).collect(),
    }
}

fn subscription(found: PubsubSubscription) -> Subscription {
    let r#type = match found.r#type() {
        PubsubSubscriptionType::Unknown => "UNKNOWN",
        PubsubSubscriptionType::Declarative => "DECLARATIVE",
        PubsubSubscriptionType::Programmatic => "PROGRAMMATIC",
        PubsubSubscriptionType::Streaming => "STREAMING",
    };
    let rules = found.rules.map(|r| r.rules).unwrap_or_default();
    Subscription {
        pubsubname: found.pubsub_name,
        topic: found.topic,
        metadata: found.metadata.into_iter().collect(),
        rules: rules
            .into_iter()
            .map(|r| Rule {
                r#match: r.r#match,
                path: r.path,
            })
            .collect(),
        dead_letter_topic: found.dead_letter_topic,
        r#type,
    }
}
