//! Options of `bindings.http`.

use crate::client::Tls;
use component::{Config, ConfigError, config::Value};
use std::time::Duration;

/// Options of `bindings.http`.
#[derive(Debug, Config)]
pub struct Options {
    /// The URL to call, `http://…` or `https://…`.
    #[config(required)]
    pub url: String,
    /// How long a call may take, its answer included. Without it there is no limit.
    pub response_timeout: Option<Duration>,
    /// How long the body of an answer may be, in bytes or as a quantity such as `512Ki`. A longer one is an error. Zero or
    /// less means no limit.
    #[config(default = "100Mi")]
    pub max_response_body_size: Size,
    /// Certificates to trust instead of those of the system, in PEM or as the path of a file.
    #[config(name = "MTLSRootCA")]
    pub root_ca: Option<String>,
    /// The certificate to show to the server, in PEM or as the path of a file.
    #[config(name = "MTLSClientCert")]
    pub client_cert: Option<String>,
    /// The private key of that certificate, in PEM or as the path of a file.
    #[config(name = "MTLSClientKey", secret)]
    pub client_key: Option<String>,
    /// `RenegotiateNever`, `RenegotiateOnceAsClient` or `RenegotiateFreelyAsClient`. Taken for compatibility only: a server
    /// that asks for a new handshake within a connection is refused.
    #[config(name = "MTLSRenegotiation", default = "RenegotiateNever")]
    pub renegotiation: Renegotiation,
    /// A token to send with each call, in the header that `securityTokenHeader` names.
    #[config(secret)]
    pub security_token: Option<String>,
    /// The header for `securityToken`.
    pub security_token_header: Option<String>,
    /// Whether an answer with another status than 2xx is an error. A request can say otherwise in its metadata.
    #[config(name = "errorIfNot2XX", default = "true")]
    pub error_if_not_2xx: bool,
}

impl Options {
    /// What the options say of TLS, with files read.
    pub(super) async fn tls(&self) -> Result<Tls, ConfigError> {
        let invalid = |field, problem: String| ConfigError::invalid(field, "(PEM)", problem);
        let mut tls = Tls::default();
        if let Some(root) = &self.root_ca {
            let certificates = pem("MTLSRootCA", root).await.map(|pem| Tls::certificates(&pem))?;
            tls.roots = Some(certificates.map_err(|problem| invalid("MTLSRootCA", problem))?);
        }
        tls.identity = match (&self.client_cert, &self.client_key) {
            (Some(chain), Some(key)) => {
                let chain = Tls::certificates(&pem("MTLSClientCert", chain).await?);
                let key = Tls::key(&pem("MTLSClientKey", key).await?);
                Some((
                    chain.map_err(|problem| invalid("MTLSClientCert", problem))?,
                    key.map_err(|problem| invalid("MTLSClientKey", problem))?,
                ))
            }
            (None, None) => None,
            (Some(_), None) => return Err(invalid("MTLSClientKey", "needed with MTLSClientCert".into())),
            (None, Some(_)) => return Err(invalid("MTLSClientCert", "needed with MTLSClientKey".into())),
        };
        tls.check().map_err(|problem| invalid("MTLSClientCert", problem))?;
        Ok(tls)
    }
}

/// A text in PEM, or that of the file it names.
async fn pem(field: &'static str, text: &str) -> Result<String, ConfigError> {
    if text.contains("-----BEGIN") {
        return Ok(text.to_owned());
    }
    let read = tokio::fs::read_to_string(text).await;
    read.map_err(|error| ConfigError::invalid(field, "(path)", format_args!("neither PEM nor a file: {error}")))
}

/// A number of bytes; nothing means no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub Option<usize>);

impl Value for Size {
    const KIND: &'static str = "size";

    /// A whole number of bytes, or of one of the units of resource quantities.
    fn parse(text: &str) -> Result<Self, String> {
        const UNITS: [(&str, i64); 9] = [
            ("Ki", 1 << 10),
            ("Mi", 1 << 20),
            ("Gi", 1 << 30),
            ("Ti", 1 << 40),
            ("k", 1000),
            ("M", 1_000_000),
            ("G", 1_000_000_000),
            ("T", 1_000_000_000_000),
            ("", 1),
        ];
        let text = text.trim();
        let number = UNITS.iter().find_map(|(name, unit)| {
            let number: i64 = text.strip_suffix(name)?.parse().ok()?;
            number.checked_mul(*unit)
        });
        match number {
            Some(number) if number > 0 => Ok(Self(usize::try_from(number).ok())),
            Some(_) => Ok(Self(None)),
            None => Err("not a size such as 1048576 or 100Mi".into()),
        }
    }
}

/// What Go's TLS calls renegotiation, of which there is none here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renegotiation {
    /// Refuse it.
    Never,
    /// Allow it once.
    Once,
    /// Allow it always.
    Freely,
}

impl Value for Renegotiation {
    const KIND: &'static str = "string";

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "RenegotiateNever" => Ok(Self::Never),
            "RenegotiateOnceAsClient" => Ok(Self::Once),
            "RenegotiateFreelyAsClient" => Ok(Self::Freely),
            _ => Err("not RenegotiateNever, RenegotiateOnceAsClient or RenegotiateFreelyAsClient".into()),
        }
    }
}
