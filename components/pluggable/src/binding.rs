//! Pluggable bindings.

use crate::{
    connection::{Connection, Link},
    discovery::Services,
    error::plain,
    exchange::{self, Exchange, Opening, Outcomes, Work},
    setup,
};
use async_trait::async_trait;
use bytes::Bytes;
use component::{
    ComponentError, ConfigError, OpenError, Opened, Properties,
    binding::{Event, EventHandler, InputBinding, Invoke, InvokeError, OutputBinding, Response},
    pubsub::Subscription,
};
use futures_util::{FutureExt, future::BoxFuture};
use std::sync::Arc;
use wire::components::v1::{
    self as pb, input_binding_client::InputBindingClient, output_binding_client::OutputBindingClient,
};

/// The metadata field that says which directions are wanted of a binding that has both.
const DIRECTION: &str = "direction";

/// Opens the directions of a binding that are served and wanted.
pub(crate) async fn open(
    connection: Connection,
    services: Services,
    properties: &Properties,
    name: String,
) -> Result<Opened, OpenError> {
    let wanted = properties.get(DIRECTION).unwrap_or_default().to_ascii_lowercase();
    let wants = |direction| wanted.is_empty() || wanted.contains(direction);
    let (input, output) = (services.input && wants("input"), services.output && wants("output"));
    if !input && !output {
        let problem = "the component has no such direction";
        return Err(ConfigError::invalid(DIRECTION, &wanted, problem).into());
    }
    let input: Option<Arc<dyn InputBinding>> = match input {
        true => Some(Arc::new(open_input(&connection, properties, name).await?)),
        false => None,
    };
    let output: Option<Arc<dyn OutputBinding>> = match output {
        true => Some(Arc::new(open_output(&connection, properties).await?)),
        false => None,
    };
    Ok(Opened::Binding { input, output })
}

/// A binding that brings events.
struct Input {
    client: InputBindingClient<Link>,
    name: String,
}

async fn open_input(connection: &Connection, properties: &Properties, name: String) -> Result<Input, OpenError> {
    let metadata = setup::metadata(properties);
    let init = setup::init(move |link| {
        let metadata = Some(metadata.clone());
        let request = pb::InputBindingInitRequest { metadata };
        async move { InputBindingClient::new(link).init(request).await }
    });
    connection
        .initialise(init)
        .await
        .map_err(|status| setup::failed(&status))?;
    let client = InputBindingClient::new(connection.link()).max_decoding_message_size(setup::MESSAGE_LIMIT);
    Ok(Input { client, name })
}

#[async_trait]
impl InputBinding for Input {
    async fn read(&self, handler: Arc<dyn EventHandler>) -> Result<Subscription, ComponentError> {
        exchange::subscribe(Read {
            client: self.client.clone(),
            about: format!("events of binding {}", self.name),
            handler,
        })
        .await
    }
}

/// The events of a binding.
struct Read {
    client: InputBindingClient<Link>,
    about: String,
    handler: Arc<dyn EventHandler>,
}

impl Exchange for Read {
    type Outcome = pb::ReadRequest;
    type Delivery = pb::ReadResponse;

    fn about(&self) -> &str {
        &self.about
    }

    fn open(&self, outcomes: Outcomes<Self::Outcome>) -> Opening<Self::Delivery> {
        let mut client = self.client.clone();
        async move { client.read(outcomes).await }.boxed()
    }

    fn first(&self) -> Option<Self::Outcome> {
        None
    }

    fn ping(&self) -> BoxFuture<'_, ()> {
        let mut client = self.client.clone();
        async move { client.ping(pb::PingRequest {}).await }.map(|_| ()).boxed()
    }

    fn work(&self, delivery: Self::Delivery) -> (String, Work) {
        let event = Event {
            data: delivery.data,
            metadata: delivery.metadata,
            content_type: Some(delivery.content_type).filter(|text| !text.is_empty()),
        };
        let handler = self.handler.clone();
        let work = async move { handler.handle(event).await.map(Option::unwrap_or_default) };
        (delivery.message_id, work.boxed())
    }

    /// Events without an id are answered too: there are components that wait for it.
    fn outcome(id: String, result: Result<Bytes, String>) -> Self::Outcome {
        let (response_data, error) = match result {
            Ok(data) => (data, None),
            Err(message) => (Bytes::new(), Some(pb::AckResponseError { message })),
        };
        pb::ReadRequest {
            response_data,
            message_id: id,
            response_error: error,
        }
    }
}

/// A binding that takes calls.
struct Output {
    client: OutputBindingClient<Link>,
    operations: Vec<String>,
}

async fn open_output(connection: &Connection, properties: &Properties) -> Result<Output, OpenError> {
    let metadata = setup::metadata(properties);
    let init = setup::init(move |link| {
        let metadata = Some(metadata.clone());
        let request = pb::OutputBindingInitRequest { metadata };
        async move { OutputBindingClient::new(link).init(request).await }
    });
    connection
        .initialise(init)
        .await
        .map_err(|status| setup::failed(&status))?;
    let mut client = OutputBindingClient::new(connection.link()).max_decoding_message_size(setup::MESSAGE_LIMIT);
    let listed = client.list_operations(pb::ListOperationsRequest {}).await;
    let operations = listed.map_err(|status| setup::failed(&status))?.into_inner().operations;
    Ok(Output { client, operations })
}

#[async_trait]
impl OutputBinding for Output {
    fn operations(&self) -> Vec<String> {
        self.operations.clone()
    }

    async fn invoke(&self, request: Invoke) -> Result<Response, InvokeError> {
        let request = pb::InvokeRequest {
            data: request.data,
            metadata: request.metadata,
            operation: request.operation,
        };
        let answer = self.client.clone().invoke(request).await;
        let answer = answer.map_err(|status| plain(&status))?.into_inner();
        Ok(Response {
            data: Some(answer.data).filter(|data| !data.is_empty()),
            metadata: answer.metadata,
            content_type: Some(answer.content_type).filter(|text| !text.is_empty()),
        })
    }

    async fn ping(&self) -> Result<(), ComponentError> {
        let answer = self.client.clone().ping(pb::PingRequest {}).await;
        answer.map(|_| ()).map_err(|status| plain(&status))
    }
}
