//! HTTP services outside that can be invoked by name.

use serde::{Deserialize, Serialize};

use crate::meta::{Auth, Kind, ObjectMeta, Resource};
use crate::value::{DynamicValue, NameValue, SecretKeyRef, ValueSource, source};

/// An HTTP service outside.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct HttpEndpoint {
    /// Name, namespace, labels.
    pub metadata: ObjectMeta,
    /// Where it is and how to speak to it.
    pub spec: HttpEndpointSpec,
    /// The secret store for references to secrets.
    pub auth: Auth,
    /// The applications that see it; empty means all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
}

/// Where an endpoint is and how to speak to it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct HttpEndpointSpec {
    /// What paths are appended to.
    pub base_url: String,
    /// Headers added to each request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<NameValue>,
    /// Certificates.
    #[serde(rename = "clientTLS", skip_serializing_if = "Option::is_none")]
    pub client_tls: Option<ClientTls>,
}

/// Certificates for speaking to an endpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ClientTls {
    /// The authority that the endpoint's certificate must come from.
    #[serde(rename = "rootCA", skip_serializing_if = "Option::is_none")]
    pub root_ca: Option<TlsDocument>,
    /// The certificate to show.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<TlsDocument>,
    /// Its key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private_key: Option<TlsDocument>,
    /// Whether the endpoint may ask for a new handshake.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renegotiation: Option<Renegotiation>,
}

/// Whether the endpoint may ask for a new handshake.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Renegotiation {
    /// It may not.
    #[default]
    Never,
    /// Once a connection.
    OnceAsClient,
    /// As often as it likes.
    FreelyAsClient,
}

/// A PEM document, written out or in a secret store.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TlsDocument {
    /// The document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<DynamicValue>,
    /// The secret that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<SecretKeyRef>,
}

impl TlsDocument {
    /// Where the document comes from.
    pub fn source(&self) -> ValueSource<'_> {
        source(self.value.as_ref(), self.secret_key_ref.as_ref(), None)
    }
}

impl Resource for HttpEndpoint {
    const KIND: Kind = Kind::HttpEndpoint;

    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn scopes(&self) -> &[String] {
        &self.scopes
    }

    fn log_name(&self) -> String {
        format!("{} ({})", self.metadata.name, self.spec.base_url)
    }
}
