//! The component as a state store: in memory, entity tags are counters.

use super::{Inside, scripted};
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt};
use wire::components::v1::{
    self as pb, queriable_state_store_server::QueriableStateStore, state_store_server::StateStore,
    transactional_state_operation::Request as Step, transactional_state_store_server::TransactionalStateStore,
    transactional_store_multi_max_size_server::TransactionalStoreMultiMaxSize,
};

type Answer<T> = Result<Response<T>, Status>;

impl Inside {
    fn check(&self, key: &str, etag: Option<&pb::Etag>) -> Result<(), Status> {
        scripted(key)?;
        let Some(etag) = etag else { return Ok(()) };
        let violation = |code, text: &str| {
            let details = ErrorDetails::with_bad_request_violation("etag", text);
            Err(Status::with_error_details(code, "etag", details))
        };
        let Ok(wanted) = etag.value.parse::<u64>() else {
            return violation(Code::InvalidArgument, "not a number");
        };
        match self.store.lock().get(key) {
            Some((_, current)) if *current == wanted => Ok(()),
            _ => violation(Code::FailedPrecondition, "another one is stored"),
        }
    }

    fn write(&self, request: &pb::SetRequest) -> Result<(), Status> {
        self.check(&request.key, request.etag.as_ref())?;
        let mut store = self.store.lock();
        let etag = store.get(&request.key).map_or(1, |(_, etag)| etag + 1);
        store.insert(request.key.clone(), (request.value.clone(), etag));
        Ok(())
    }

    fn remove(&self, request: &pb::DeleteRequest) -> Result<(), Status> {
        self.check(&request.key, request.etag.as_ref())?;
        self.store.lock().remove(&request.key);
        Ok(())
    }
}

#[tonic::async_trait]
impl StateStore for Inside {
    async fn init(&self, request: Request<pb::InitRequest>) -> Answer<pb::InitResponse> {
        self.note("StateStore/Init", &request);
        match self.script.init_error {
            Some(text) => Err(Status::invalid_argument(text)),
            None => Ok(Response::new(pb::InitResponse {})),
        }
    }

    async fn features(&self, request: Request<pb::FeaturesRequest>) -> Answer<pb::FeaturesResponse> {
        self.note("StateStore/Features", &request);
        let features = self.script.features.iter().map(|f| (*f).to_owned()).collect();
        Ok(Response::new(pb::FeaturesResponse { features }))
    }

    async fn delete(&self, request: Request<pb::DeleteRequest>) -> Answer<pb::DeleteResponse> {
        self.note("Delete", &request);
        self.remove(request.get_ref())?;
        Ok(Response::new(pb::DeleteResponse {}))
    }

    async fn get(&self, request: Request<pb::GetRequest>) -> Answer<pb::GetResponse> {
        self.note("Get", &request);
        scripted(&request.get_ref().key)?;
        let answer = self
            .store
            .lock()
            .get(&request.get_ref().key)
            .map(|(data, etag)| pb::GetResponse {
                data: data.clone(),
                etag: Some(pb::Etag {
                    value: etag.to_string(),
                }),
                metadata: [("ttlExpireTime".to_owned(), "later".to_owned())].into(),
                content_type: "text/plain".to_owned(),
            });
        Ok(Response::new(answer.unwrap_or_default()))
    }

    async fn set(&self, request: Request<pb::SetRequest>) -> Answer<pb::SetResponse> {
        self.note("Set", &request);
        self.write(request.get_ref())?;
        Ok(Response::new(pb::SetResponse {}))
    }

    async fn ping(&self, request: Request<pb::PingRequest>) -> Answer<pb::PingResponse> {
        self.note("StateStore/Ping", &request);
        Ok(Response::new(pb::PingResponse {}))
    }

    async fn bulk_delete(&self, request: Request<pb::BulkDeleteRequest>) -> Answer<pb::BulkDeleteResponse> {
        self.note("BulkDelete", &request);
        request.get_ref().items.iter().try_for_each(|item| self.remove(item))?;
        Ok(Response::new(pb::BulkDeleteResponse {}))
    }

    async fn bulk_get(&self, request: Request<pb::BulkGetRequest>) -> Answer<pb::BulkGetResponse> {
        self.note("BulkGet", &request);
        let mut answer = pb::BulkGetResponse::default();
        for item in &request.get_ref().items {
            let mut found = pb::BulkStateItem {
                key: item.key.clone(),
                ..Default::default()
            };
            if item.key.ends_with("broken") {
                found.error = "cannot be read".to_owned();
            } else if let Some((data, etag)) = self.store.lock().get(&item.key) {
                found.data = data.clone();
                found.etag = Some(pb::Etag {
                    value: etag.to_string(),
                });
            }
            scripted(&item.key)?;
            answer.items.push(found);
        }
        Ok(Response::new(answer))
    }

    async fn bulk_set(&self, request: Request<pb::BulkSetRequest>) -> Answer<pb::BulkSetResponse> {
        self.note("BulkSet", &request);
        request.get_ref().items.iter().try_for_each(|item| self.write(item))?;
        Ok(Response::new(pb::BulkSetResponse {}))
    }
}

#[tonic::async_trait]
impl TransactionalStateStore for Inside {
    async fn transact(
        &self,
        request: Request<pb::TransactionalStateRequest>,
    ) -> Answer<pb::TransactionalStateResponse> {
        self.note("Transact", &request);
        let steps = || {
            request
                .get_ref()
                .operations
                .iter()
                .filter_map(|operation| operation.request.as_ref())
        };
        for step in steps() {
            match step {
                Step::Set(set) => self.check(&set.key, set.etag.as_ref())?,
                Step::Delete(delete) => self.check(&delete.key, delete.etag.as_ref())?,
            }
        }
        for step in steps() {
            match step {
                Step::Set(set) => self.write(set)?,
                Step::Delete(delete) => self.remove(delete)?,
            }
        }
        Ok(Response::new(pb::TransactionalStateResponse {}))
    }
}

#[tonic::async_trait]
impl TransactionalStoreMultiMaxSize for Inside {
    async fn multi_max_size(&self, request: Request<pb::MultiMaxSizeRequest>) -> Answer<pb::MultiMaxSizeResponse> {
        self.note("MultiMaxSize", &request);
        let max_size = self.script.max_size;
        Ok(Response::new(pb::MultiMaxSizeResponse { max_size }))
    }
}

#[tonic::async_trait]
impl QueriableStateStore for Inside {
    async fn query(&self, request: Request<pb::QueryRequest>) -> Answer<pb::QueryResponse> {
        self.note("Query", &request);
        let store = self.store.lock();
        let items = store.iter().map(|(key, (data, etag))| pb::QueryItem {
            key: key.clone(),
            data: data.clone(),
            etag: Some(pb::Etag {
                value: etag.to_string(),
            }),
            ..Default::default()
        });
        let items = items.collect();
        Ok(Response::new(pb::QueryResponse {
            items,
            token: "next".to_owned(),
            metadata: [("took".to_owned(), "1".to_owned())].into(),
        }))
    }
}
