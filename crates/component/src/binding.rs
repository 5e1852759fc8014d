//! Bindings: calls out to anything, and events from anything.

use crate::{ComponentError, Metadata, pubsub::Subscription};
use async_trait::async_trait;
use bytes::Bytes;
use std::sync::Arc;

/// A call to an output binding.
#[derive(Debug, Clone, Default)]
pub struct Invoke {
    /// One of [`OutputBinding::operations`].
    pub operation: String,
    /// What to send.
    pub data: Bytes,
    /// Metadata of the request.
    pub metadata: Metadata,
}

/// What an output binding answered.
#[derive(Debug, Clone, Default)]
pub struct Response {
    /// The answer's body; nothing if there is none.
    pub data: Option<Bytes>,
    /// Metadata of the answer.
    pub metadata: Metadata,
    /// The content type of `data`, if it is known.
    pub content_type: Option<String>,
}

/// An error of an output binding, with the metadata that came along.
#[derive(Debug)]
pub struct InvokeError {
    /// What failed.
    pub error: ComponentError,
    /// The answer that came with it, if any: its metadata are sent to the caller also then.
    pub response: Option<Response>,
}

impl From<ComponentError> for InvokeError {
    fn from(error: ComponentError) -> Self {
        Self { error, response: None }
    }
}

/// A binding that the application calls.
#[async_trait]
pub trait OutputBinding: Send + Sync + 'static {
    /// The operations that the binding knows.
    fn operations(&self) -> Vec<String>;

    /// Carries an operation out.
    async fn invoke(&self, request: Invoke) -> Result<Response, InvokeError>;

    /// Whether the other side can be reached.
    async fn ping(&self) -> Result<(), ComponentError> {
        Ok(())
    }

    /// Lets go of what the binding holds. No call follows.
    async fn close(&self) {}
}

/// An event from an input binding.
#[derive(Debug, Clone, Default)]
pub struct Event {
    /// The event's body.
    pub data: Bytes,
    /// Metadata of the event.
    pub metadata: Metadata,
    /// The content type of `data`, if it is known.
    pub content_type: Option<String>,
}

/// Takes events in. An error means that the application did not take it.
#[async_trait]
pub trait EventHandler: Send + Sync + 'static {
    /// Takes one event in; what the application answered goes back to the binding.
    async fn handle(&self, event: Event) -> Result<Option<Bytes>, ComponentError>;
}

/// A binding that calls the application.
#[async_trait]
pub trait InputBinding: Send + Sync + 'static {
    /// Begins to read; each event goes to the handler.
    async fn read(&self, handler: Arc<dyn EventHandler>) -> Result<Subscription, ComponentError>;

    /// Lets go of what the binding holds. No call follows.
    async fn close(&self) {}
}
