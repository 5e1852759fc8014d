//! Pluggable secret stores.

use crate::{
    connection::{Connection, Link},
    error::plain,
    setup,
};
use async_trait::async_trait;
use component::{
    ComponentError, Metadata, OpenError, Opened, Properties,
    secrets::{Secret, SecretStore},
};
use std::{collections::BTreeMap, sync::Arc};
use wire::components::v1::{self as pb, secret_store_client::SecretStoreClient};

const MULTIPLE_VALUES: &str = "MULTIPLE_KEY_VALUES_PER_SECRET";

/// A secret store behind a socket.
struct Secrets {
    client: SecretStoreClient<Link>,
    multiple_values: bool,
}

/// Opens a secret store.
pub(crate) async fn open(connection: Connection, properties: &Properties) -> Result<Opened, OpenError> {
    let metadata = setup::metadata(properties);
    let init = setup::init(move |link| {
        let metadata = Some(metadata.clone());
        async move {
            SecretStoreClient::new(link)
                .init(pb::SecretStoreInitRequest { metadata })
                .await
        }
    });
    connection
        .initialise(init)
        .await
        .map_err(|status| setup::failed(&status))?;
    let mut client = SecretStoreClient::new(connection.link()).max_decoding_message_size(setup::MESSAGE_LIMIT);
    let features = setup::features(client.features(pb::FeaturesRequest {}).await)?;
    Ok(Opened::SecretStore(Arc::new(Secrets {
        client,
        multiple_values: features.iter().any(|feature| feature == MULTIPLE_VALUES),
    })))
}

#[async_trait]
impl SecretStore for Secrets {
    async fn get(&self, name: &str, metadata: &Metadata) -> Result<Secret, ComponentError> {
        let request = pb::GetSecretRequest {
            key: name.to_owned(),
            metadata: metadata.clone(),
        };
        let answer = self.client.clone().get(request).await;
        let answer = answer.map_err(|status| plain(&status))?;
        Ok(answer.into_inner().data.into_iter().collect())
    }

    async fn bulk_get(&self, metadata: &Metadata) -> Result<BTreeMap<String, Secret>, ComponentError> {
        let request = pb::BulkGetSecretRequest {
            metadata: metadata.clone(),
        };
        let answer = self.client.clone().bulk_get(request).await;
        let answer = answer.map_err(|status| plain(&status))?.into_inner();
        let secrets = answer.data.into_iter();
        Ok(secrets
            .map(|(name, secret)| (name, secret.secrets.into_iter().collect()))
            .collect())
    }

    fn multiple_values(&self) -> bool {
        self.multiple_values
    }

    async fn ping(&self) -> Result<(), ComponentError> {
        let answer = self.client.clone().ping(pb::PingRequest {}).await;
        answer.map(|_| ()).map_err(|status| plain(&status))
    }
}
