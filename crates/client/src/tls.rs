//! TLS settings of clients: rustls with aws-lc-rs, and nothing else.

use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::CryptoProvider,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject};
use std::{io, sync::Arc};
use tokio::io::{AsyncRead, AsyncWrite};

/// Why TLS settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Certificates or a key cannot be read.
    #[error("cannot read {what}: {why}")]
    Pem {
        /// What was to be read.
        what: &'static str,
        /// Why not.
        why: String,
    },
    /// The settings do not fit together.
    #[error("{0}")]
    Settings(String),
}

/// Whom to trust.
#[derive(Debug, Clone, Default)]
pub enum Trust {
    /// The certificates that the system trusts.
    #[default]
    System,
    /// Certificates given as PEM.
    Roots(String),
    /// Anybody.
    Anybody,
}

/// A client's TLS.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ClientConfig>,
    server_name: ServerName<'static>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tls({:?})", self.server_name)
    }
}

/// The cryptography of all our TLS.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

impl Tls {
    /// TLS to a server of this name; `identity` is the client's certificate chain and key as PEM.
    pub fn new(
        server_name: &str,
        trust: &Trust,
        identity: Option<(&str, &str)>,
        alpn: &[&str],
    ) -> Result<Self, TlsError> {
        let settings = |e: rustls::Error| TlsError::Settings(e.to_string());
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(settings)?;
        let builder = match trust {
            Trust::Anybody => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Anybody(provider()))),
            Trust::System => builder.with_root_certificates(system_roots()),
            Trust::Roots(pem) => builder.with_root_certificates(roots(pem)?),
        };
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => builder
                .with_client_auth_cert(certificates("the client certificate", chain)?, private_key(key)?)
                .map_err(settings)?,
        };
        config.alpn_protocols = alpn.iter().map(|p| p.as_bytes().to_vec()).collect();
        let server_name = ServerName::try_from(server_name.to_owned())
            .map_err(|e| TlsError::Settings(format!("server name {server_name:?}: {e}")))?;
        Ok(Self {
            config: Arc::new(config),
            server_name,
        })
    }

    /// TLS with settings made elsewhere.
    pub fn from_config(server_name: ServerName<'static>, config: Arc<ClientConfig>) -> Self {
        Self { config, server_name }
    }

    pub(crate) async fn connect<T: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: T,
    ) -> io::Result<tokio_rustls::client::TlsStream<T>> {
        tokio_rustls::TlsConnector::from(self.config.clone())
            .connect(self.server_name.clone(), stream)
            .await
    }
}

/// What went wrong with TLS, in the words that clients of the original know; nothing if it was something else.
pub(crate) fn words(error: &io::Error) -> Option<String> {
    use rustls::{CertificateError, Error};
    let error: &Error = error.get_ref()?.downcast_ref()?;
    Some(match error {
        Error::InvalidCertificate(why) => {
            let why = match why {
                CertificateError::UnknownIssuer => "certificate signed by unknown authority".to_owned(),
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                    "certificate has expired or is not yet valid".to_owned()
                }
                other => other.to_string(),
            };
            format!("tls: failed to verify certificate: x509: {why}")
        }
        Error::AlertReceived(alert) => format!("remote error: tls: {alert:?}"),
        other => format!("tls: {other}"),
    })
}

fn certificates(what: &'static str, pem: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match parsed {
        Ok(all) if !all.is_empty() => Ok(all),
        Ok(_) => Err(TlsError::Pem {
            what,
            why: "there is no certificate in it".into(),
        }),
        Err(e) => Err(TlsError::Pem {
            what,
            why: e.to_string(),
        }),
    }
}

fn private_key(pem: &str) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|e| TlsError::Pem {
        what: "the client key",
        why: e.to_string(),
    })
}

fn roots(pem: &str) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for certificate in certificates("the root certificates", pem)? {
        store.add(certificate).map_err(|e| TlsError::Pem {
            what: "the root certificates",
            why: e.to_string(),
        })?;
    }
    Ok(store)
}

fn system_roots() -> RootCertStore {
    let mut store = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (_good, bad) = store.add_parsable_certificates(found.certs);
    if bad > 0 || !found.errors.is_empty() {
        tracing::debug!(target: "dapr.client", "some of the system's certificates cannot be read: {bad} of them, {:?}", found.errors);
    }
    store
}

/// Accepts any certificate: the application's own, for `https` and `grpcs` on the same machine.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        m: &[u8],
        c: &CertificateDer<'_>,
        s: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(m, c, s, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        m: &[u8],
        c: &CertificateDer<'_>,
        s: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(m, c, s, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
