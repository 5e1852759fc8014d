//! What the application says of itself when it is asked at start: `GET /dapr/config`.

use app::{Along, App};
use http::{HeaderName, HeaderValue, Request};
use serde::Deserialize;
use std::sync::Arc;

const LOG: &str = "dapr.runtime";
const APP_ID: HeaderName = HeaderName::from_static("dapr-app-id");
/// The most bytes of an answer that are read.
const LIMIT: usize = 1024 * 1024;

/// What is taken up of the answer.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct AppConfig {
    /// Actor types that the application hosts.
    pub(crate) entities: Vec<String>,
}

/// Asks the application. One that answers nothing useful has no settings; a gRPC application is not asked.
pub(crate) async fn ask(app: &Arc<App>, app_id: &str) -> AppConfig {
    if app.options().protocol.is_grpc() {
        return AppConfig::default();
    }
    match answer(app, app_id).await {
        Ok(config) => config,
        Err(why) => {
            tracing::debug!(target: LOG, "the application has no settings: {why}");
            AppConfig::default()
        }
    }
}

async fn answer(app: &Arc<App>, app_id: &str) -> Result<AppConfig, String> {
    let mut request = Request::get("/dapr/config")
        .body(component::middleware::empty())
        .map_err(|e| e.to_string())?;
    if let Ok(value) = HeaderValue::from_str(app_id) {
        request.headers_mut().insert(APP_ID, value);
    }
    let response = app.http(&Along::default(), request).await.map_err(|e| e.to_string())?;
    if response.status() != http::StatusCode::OK {
        return Err(format!("status {}", response.status()));
    }
    let body = api::body::read(response.into_body(), LIMIT)
        .await
        .map_err(|e| e.to_string())?;
    serde_json::from_slice(&body).map_err(|e| e.to_string())
}
