//! The metadata that all Redis components share.

use component::{Config, ConfigError, config::Value, config::parse_duration};
use std::time::Duration;

/// A time span that `-1` turns off.
///
/// Go's syntax; a bare number is seconds, from a million on nanoseconds, which is how older components wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Option<Duration>);

impl Value for Span {
    const KIND: &'static str = "duration";

    fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Some(text) = text.strip_prefix('-') {
            return parse_duration(text, Duration::from_secs(1)).map(|_| Self(None));
        }
        let unit = match text.parse::<u64>() {
            Ok(number) if number >= 1_000_000 => Duration::from_nanos(1),
            _ => Duration::from_secs(1),
        };
        parse_duration(text, unit).map(|span| Self(Some(span)))
    }
}

/// What kind of server it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ServerType {
    /// One server, or a master behind sentinels.
    Node,
    /// A Redis cluster.
    Cluster,
}

impl Value for ServerType {
    const KIND: &'static str = "string";

    fn parse(text: &str) -> Result<Self, String> {
        match text.trim().to_ascii_lowercase().as_str() {
            "node" => Ok(Self::Node),
            "cluster" => Ok(Self::Cluster),
            _ => Err("must be node or cluster".to_owned()),
        }
    }
}

/// How a component reaches Redis.
///
/// Commands of all requests share one connection, on which they are pipelined, so the options of a connection pool have
/// nothing to act on; they are taken without effect.
#[derive(Debug, Clone, Config)]
pub(crate) struct Connection {
    /// Address of the server, `host:port`. Several with commas between them if `redisType` is `cluster`, or the addresses of
    /// the sentinels if `failover` is on.
    #[config(required)]
    pub(crate) redis_host: String,
    /// Port of the server, for addresses in `redisHost` that have none.
    #[config(default = "6379")]
    pub(crate) redis_port: u16,
    /// User name; needs Redis 6 or later.
    pub(crate) redis_username: Option<String>,
    /// Password.
    #[config(secret)]
    pub(crate) redis_password: Option<String>,
    /// User name at the sentinels.
    pub(crate) sentinel_username: Option<String>,
    /// Password at the sentinels.
    #[config(secret)]
    pub(crate) sentinel_password: Option<String>,
    /// `node` for one server, `cluster` for a Redis cluster.
    #[config(default = "node")]
    pub(crate) redis_type: ServerType,
    /// The database to select; without effect on a cluster.
    #[config(name = "redisDB", default = "0")]
    pub(crate) redis_db: i64,
    /// Whether to encrypt the connection. The server's certificate is verified with the system's trusted roots.
    #[config(name = "enableTLS")]
    pub(crate) enable_tls: bool,
    /// Whether to take any certificate of the server. Not for production.
    #[config(name = "insecureSkipTLSVerify")]
    pub(crate) insecure_skip_tls_verify: bool,
    /// Certificate of this client in PEM, for servers that ask for one; needs `clientKey` and `enableTLS`.
    pub(crate) client_cert: Option<String>,
    /// Private key of this client in PEM.
    #[config(secret)]
    pub(crate) client_key: Option<String>,
    /// Whether `redisHost` names sentinels, which are asked for the current master.
    pub(crate) failover: bool,
    /// Name of the master at the sentinels; needed with `failover`.
    pub(crate) sentinel_master_name: Option<String>,
    /// How often a command is sent again after it could not be sent or the server could not take it yet. A command that
    /// changes something and may have been carried out is not sent again. `-1` turns repeating off.
    #[config(alias = "maxRetries", default = "3")]
    pub(crate) redis_max_retries: i32,
    /// The shortest pause before a command is sent again; `-1` means no pause.
    #[config(default = "8ms")]
    pub(crate) redis_min_retry_interval: Span,
    /// The longest pause before a command is sent again; `-1` means no pause.
    #[config(alias = "maxRetryBackoff", default = "512ms")]
    pub(crate) redis_max_retry_interval: Span,
    /// How long connecting may take.
    #[config(default = "5s")]
    pub(crate) dial_timeout: Span,
    /// How long an answer may take; `-1` for ever.
    #[config(default = "3s")]
    pub(crate) read_timeout: Span,
    #[config(flatten)]
    #[expect(dead_code, reason = "known and checked, without effect")]
    pub(crate) without_effect: WithoutEffect,
    /// Microsoft Entra ID is not supported; true is an error.
    #[config(name = "useEntraID", alias = "useAzureAD")]
    pub(crate) use_entra_id: bool,
}

/// Options of the original's connection pool, which are known and checked.
#[derive(Debug, Clone, Config)]
#[expect(
    dead_code,
    reason = "commands share one connection, so there is nothing that these could change"
)]
pub(crate) struct WithoutEffect {
    /// Taken without effect: `readTimeout` counts from when a command is handed over.
    write_timeout: Option<Span>,
    /// Taken without effect: there is no pool.
    pool_size: Option<i64>,
    /// Taken without effect: there is no pool.
    pool_timeout: Option<Span>,
    /// Taken without effect: connections are kept as long as they work.
    max_conn_age: Option<Span>,
    /// Taken without effect: there is no pool.
    min_idle_conns: Option<i64>,
    /// Taken without effect: there is no pool.
    idle_check_frequency: Option<Span>,
    /// Taken without effect: a connection that the server closes is opened again at once when it is needed.
    idle_timeout: Option<Span>,
}

/// A host and a port.
pub(crate) type Address = (String, u16);

impl Connection {
    /// Finds what fits no server, and gives the addresses.
    pub(crate) fn check(&self) -> Result<Vec<Address>, ConfigError> {
        let mut addresses = Vec::new();
        for part in self
            .redis_host
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
        {
            addresses.push(address(part, self.redis_port)?);
        }
        let several_allowed = self.failover || self.redis_type == ServerType::Cluster;
        if addresses.is_empty() || (addresses.len() > 1 && !several_allowed) {
            let problem = "one address is needed, or several with redisType cluster or failover";
            return Err(ConfigError::invalid("redisHost", &self.redis_host, problem));
        }
        if self.failover && self.sentinel_master_name.is_none() {
            return Err(ConfigError::Missing {
                field: "sentinelMasterName".into(),
                hint: "failover needs the name of the master".into(),
            });
        }
        if self.failover && self.redis_type == ServerType::Cluster {
            let problem = "a cluster needs no sentinels; it fails over by itself";
            return Err(ConfigError::invalid("failover", "true", problem));
        }
        if self.client_cert.is_some() != self.client_key.is_some() {
            let problem = "clientCert and clientKey go together";
            return Err(ConfigError::invalid("clientCert", "(given or not)", problem));
        }
        if self.use_entra_id {
            let problem = "Microsoft Entra ID is not supported; use redisUsername and redisPassword";
            return Err(ConfigError::invalid("useEntraID", "true", problem));
        }
        Ok(addresses)
    }
}

/// Takes `host`, `host:port`, `[::1]:port` or a bare IPv6 address apart.
fn address(text: &str, default_port: u16) -> Result<Address, ConfigError> {
    let wrong = |problem| ConfigError::invalid("redisHost", text, problem);
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or_else(|| wrong("a bracket is not closed"))?;
            (host, rest.strip_prefix(':'))
        }
        None if text.matches(':').count() > 1 => (text, None),
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port = match port {
        None => default_port,
        Some(port) => port
            .parse()
            .map_err(|_| wrong("the port is not a number below 65536"))?,
    };
    let host = if host.is_empty() { "localhost" } else { host };
    Ok((host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use component::Properties;

    fn decode(pairs: &[(&str, &str)]) -> Result<Vec<Address>, ConfigError> {
        let properties: Properties = pairs.iter().copied().collect();
        Connection::decode(&properties)?.check()
    }

    #[test]
    fn addresses() {
        let of = |host| decode(&[("redisHost", host)]).map(|mut all| all.remove(0));
        assert_eq!(of("redis:7000"), Ok(("redis".into(), 7000)));
        assert_eq!(of("redis"), Ok(("redis".into(), 6379)));
        assert_eq!(of(":7000"), Ok(("localhost".into(), 7000)));
        assert_eq!(of("[::1]:7000"), Ok(("::1".into(), 7000)));
        assert_eq!(of("fe80::1"), Ok(("fe80::1".into(), 6379)));
        assert!(of("redis:port").is_err());
        assert!(of("a:1,b:2").is_err());
        let all = decode(&[("redisHost", "a:1, b"), ("redisType", "Cluster"), ("redisPort", "7")]);
        assert_eq!(all, Ok(vec![("a".into(), 1), ("b".into(), 7)]));
    }

    #[test]
    fn refuses_what_does_not_fit() {
        for pairs in [
            &[("redisType", "swarm")][..],
            &[("failover", "true")],
            &[
                ("failover", "true"),
                ("sentinelMasterName", "m"),
                ("redisType", "cluster"),
            ],
            &[("clientCert", "pem")],
            &[("useEntraID", "true")],
            &[("dialTimeout", "soon")],
        ] {
            let mut pairs = pairs.to_vec();
            pairs.push(("redisHost", "localhost"));
            assert!(decode(&pairs).is_err(), "{pairs:?}");
        }
        assert!(decode(&[]).is_err());
    }

    #[test]
    fn spans() {
        let of = |text| Span::parse(text).map(|span| span.0);
        assert_eq!(of("-1"), Ok(None));
        assert_eq!(of("3"), Ok(Some(Duration::from_secs(3))));
        assert_eq!(of("3000000000"), Ok(Some(Duration::from_secs(3))));
        assert_eq!(of("8ms"), Ok(Some(Duration::from_millis(8))));
        assert!(of("-x").is_err());
    }
}
