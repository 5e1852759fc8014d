//! The component as a secret store of two secrets.

use super::{Inside, scripted};
use tonic::{Request, Response, Status};
use wire::components::v1::{self as pb, secret_store_server::SecretStore};

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl SecretStore for Inside {
    async fn init(&self, request: Request<pb::SecretStoreInitRequest>) -> Answer<pb::SecretStoreInitResponse> {
        self.note("SecretStore/Init", &request);
        Ok(Response::new(pb::SecretStoreInitResponse {}))
    }

    async fn features(&self, request: Request<pb::FeaturesRequest>) -> Answer<pb::FeaturesResponse> {
        self.note("SecretStore/Features", &request);
        let features = self.script.features.iter().map(|f| (*f).to_owned()).collect();
        Ok(Response::new(pb::FeaturesResponse { features }))
    }

    async fn get(&self, request: Request<pb::GetSecretRequest>) -> Answer<pb::GetSecretResponse> {
        self.note("SecretStore/Get", &request);
        scripted(&request.get_ref().key)?;
        let data = [(request.into_inner().key, "hidden".to_owned())].into();
        Ok(Response::new(pb::GetSecretResponse { data }))
    }

    async fn bulk_get(&self, request: Request<pb::BulkGetSecretRequest>) -> Answer<pb::BulkGetSecretResponse> {
        self.note("SecretStore/BulkGet", &request);
        let secret = |name: &str| {
            let secrets = [(name.to_owned(), "hidden".to_owned())].into();
            (name.to_owned(), pb::SecretResponse { secrets })
        };
        let data = [secret("a"), secret("b")].into();
        Ok(Response::new(pb::BulkGetSecretResponse { data }))
    }

    async fn ping(&self, request: Request<pb::PingRequest>) -> Answer<pb::PingResponse> {
        self.note("SecretStore/Ping", &request);
        Ok(Response::new(pb::PingResponse {}))
    }
}
