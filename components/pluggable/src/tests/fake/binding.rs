//! The component as a binding of both directions.

use super::{Inside, scripted};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use wire::components::v1::{self as pb, input_binding_server::InputBinding, output_binding_server::OutputBinding};

type Answer<T> = Result<Response<T>, Status>;

async fn deliver(
    inside: Inside,
    mut requests: Streaming<pb::ReadRequest>,
    out: mpsc::Sender<Result<pb::ReadResponse, Status>>,
) {
    loop {
        tokio::select! {
            biased;
            request = requests.message() => match request {
                Ok(Some(request)) => {
                    let _gone = inside.answers.send(request);
                }
                Ok(None) | Err(_) => break,
            },
            event = async { inside.events.lock().await.recv().await } => match event {
                Some(event) => if out.send(Ok(event)).await.is_err() { break },
                None => break,
            },
        }
    }
    let _gone = inside.ended.send(());
}

#[tonic::async_trait]
impl InputBinding for Inside {
    type ReadStream = ReceiverStream<Result<pb::ReadResponse, Status>>;

    async fn init(&self, request: Request<pb::InputBindingInitRequest>) -> Answer<pb::InputBindingInitResponse> {
        self.note("InputBinding/Init", &request);
        Ok(Response::new(pb::InputBindingInitResponse {}))
    }

    async fn read(&self, request: Request<Streaming<pb::ReadRequest>>) -> Answer<Self::ReadStream> {
        self.note("Read", &request);
        let (out, stream) = mpsc::channel(1);
        tokio::spawn(deliver(self.clone(), request.into_inner(), out));
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn ping(&self, request: Request<pb::PingRequest>) -> Answer<pb::PingResponse> {
        self.note("InputBinding/Ping", &request);
        Ok(Response::new(pb::PingResponse {}))
    }
}

#[tonic::async_trait]
impl OutputBinding for Inside {
    async fn init(&self, request: Request<pb::OutputBindingInitRequest>) -> Answer<pb::OutputBindingInitResponse> {
        self.note("OutputBinding/Init", &request);
        Ok(Response::new(pb::OutputBindingInitResponse {}))
    }

    async fn invoke(&self, request: Request<pb::InvokeRequest>) -> Answer<pb::InvokeResponse> {
        self.note("Invoke", &request);
        let request = request.into_inner();
        scripted(&request.operation)?;
        Ok(Response::new(pb::InvokeResponse {
            data: request.data,
            metadata: request.metadata,
            content_type: "text/plain".to_owned(),
        }))
    }

    async fn list_operations(&self, request: Request<pb::ListOperationsRequest>) -> Answer<pb::ListOperationsResponse> {
        self.note("ListOperations", &request);
        let operations = vec!["create".to_owned(), "err".to_owned()];
        Ok(Response::new(pb::ListOperationsResponse { operations }))
    }

    async fn ping(&self, request: Request<pb::PingRequest>) -> Answer<pb::PingResponse> {
        self.note("OutputBinding/Ping", &request);
        Ok(Response::new(pb::PingResponse {}))
    }
}
