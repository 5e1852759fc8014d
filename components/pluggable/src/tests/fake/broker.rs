//! The component as a message broker: it hands out what the test gives it, and passes on what is acknowledged.

use super::{Inside, scripted};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use wire::components::v1::{self as pb, pub_sub_server::PubSub};

type Answer<T> = Result<Response<T>, Status>;

/// Carries one stream of messages until either side ends it.
async fn deliver(
    inside: Inside,
    mut requests: Streaming<pb::PullMessagesRequest>,
    out: mpsc::Sender<Result<pb::PullMessagesResponse, Status>>,
) {
    loop {
        tokio::select! {
            biased;
            request = requests.message() => match request {
                Ok(Some(request)) => {
                    let _gone = inside.acks.send(request);
                }
                Ok(None) | Err(_) => break,
            },
            message = async { inside.messages.lock().await.recv().await } => match message {
                Some(message) if message.id == "end" => break,
                Some(message) => if out.send(Ok(message)).await.is_err() { break },
                None => break,
            },
        }
    }
    let _gone = inside.ended.send(());
}

#[tonic::async_trait]
impl PubSub for Inside {
    type PullMessagesStream = ReceiverStream<Result<pb::PullMessagesResponse, Status>>;

    async fn init(&self, request: Request<pb::PubSubInitRequest>) -> Answer<pb::PubSubInitResponse> {
        self.note("PubSub/Init", &request);
        Ok(Response::new(pb::PubSubInitResponse {}))
    }

    async fn features(&self, request: Request<pb::FeaturesRequest>) -> Answer<pb::FeaturesResponse> {
        self.note("PubSub/Features", &request);
        let features = self.script.features.iter().map(|f| (*f).to_owned()).collect();
        Ok(Response::new(pb::FeaturesResponse { features }))
    }

    async fn publish(&self, request: Request<pb::PublishRequest>) -> Answer<pb::PublishResponse> {
        self.note("Publish", &request);
        scripted(&request.get_ref().topic)?;
        Ok(Response::new(pb::PublishResponse {}))
    }

    async fn bulk_publish(&self, request: Request<pb::BulkPublishRequest>) -> Answer<pb::BulkPublishResponse> {
        self.note("BulkPublish", &request);
        scripted(&request.get_ref().topic)?;
        let bad = request.get_ref().entries.iter().filter(|entry| entry.event == "bad");
        let failed_entries = bad.map(|entry| pb::BulkPublishResponseFailedEntry {
            entry_id: entry.entry_id.clone(),
            error: "refused".to_owned(),
        });
        let failed_entries = failed_entries.collect();
        Ok(Response::new(pb::BulkPublishResponse { failed_entries }))
    }

    async fn pull_messages(
        &self,
        request: Request<Streaming<pb::PullMessagesRequest>>,
    ) -> Answer<Self::PullMessagesStream> {
        self.note("PullMessages", &request);
        let mut requests = request.into_inner();
        let first = requests.message().await?.unwrap_or_default();
        self.note("PullMessages/first", &Request::new(first.clone()));
        scripted(&first.topic.unwrap_or_default().name)?;
        let (out, stream) = mpsc::channel(1);
        if self.script.lazy {
            let message = self.messages.lock().await.recv().await;
            let message = message.ok_or_else(|| Status::unavailable("no message"))?;
            let _room = out.send(Ok(message)).await;
        }
        tokio::spawn(deliver(self.clone(), requests, out));
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn pause(&self, request: Request<pb::PauseRequest>) -> Answer<pb::PauseResponse> {
        self.note("Pause", &request);
        if self.script.pausable {
            return Ok(Response::new(pb::PauseResponse {}));
        }
        Err(Status::unimplemented("pause not implemented"))
    }

    async fn resume(&self, request: Request<pb::ResumeRequest>) -> Answer<pb::ResumeResponse> {
        self.note("Resume", &request);
        Ok(Response::new(pb::ResumeResponse {}))
    }

    async fn ping(&self, request: Request<pb::PingRequest>) -> Answer<pb::PingResponse> {
        self.note("PubSub/Ping", &request);
        tokio::time::sleep(self.script.ping_after).await;
        Ok(Response::new(pb::PingResponse {}))
    }
}
