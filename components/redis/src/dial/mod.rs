//! Opening connections: to one server, to the master that sentinels name, or to a cluster.

use crate::{
    options::{Address, Connection, ServerType},
    tls,
};
use component::OpenError;
use redis::{
    AsyncConnectionConfig, ClientTlsConfig, Cmd, ConnectionAddr, ErrorKind, Pipeline, RedisConnectionInfo, RedisError,
    RedisFuture, RedisResult, TlsCertificates, Value,
    aio::{ConnectionLike, MultiplexedConnection},
    cluster::{ClusterClient, ClusterClientBuilder},
    cluster_async::ClusterConnection,
    io::tcp::socket2::{SockRef, TcpKeepalive},
};
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use std::{io, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinHandle,
};
use tokio_rustls::TlsConnector;

/// How many commands may wait for the task that writes them.
const QUEUE: usize = 1024;
/// How many bytes are gathered before they are written.
const GATHERED: usize = 64 * 1024;
/// When a silent peer is probed, and how often.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// An open connection. Clones share it; commands of all clones are pipelined.
#[derive(Clone)]
pub(crate) enum Conn {
    /// To one server.
    Node(MultiplexedConnection, Arc<Driver>),
    /// To all servers of a cluster.
    Cluster(ClusterConnection),
}

/// The task that writes commands and reads answers; it ends with the last clone of its connection.
pub(crate) struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Conn {
    /// Whether the connection is known to be lost.
    pub(crate) fn is_lost(&self) -> bool {
        matches!(self, Self::Node(_, driver) if driver.0.is_finished())
    }

    /// Whether it leads to a cluster.
    pub(crate) fn is_cluster(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }
}

impl ConnectionLike for Conn {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Node(connection, _) => connection.req_packed_command(command),
            Self::Cluster(connection) => connection.req_packed_command(command),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Node(connection, _) => connection.req_packed_commands(pipeline, offset, count),
            Self::Cluster(connection) => connection.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Node(connection, _) => connection.get_db(),
            Self::Cluster(connection) => connection.get_db(),
        }
    }
}

/// What is behind the addresses.
enum Topology {
    Node(Address),
    Sentinels {
        addresses: Vec<Address>,
        master: String,
        login: RedisConnectionInfo,
    },
    Cluster {
        addresses: Vec<Address>,
        options: Box<Connection>,
    },
}

/// Where to connect to, and how.
pub(crate) struct Target {
    topology: Topology,
    login: RedisConnectionInfo,
    tls: Option<Arc<ClientConfig>>,
    dial_timeout: Option<Duration>,
}

impl Target {
    /// The target that the options name. Nothing is opened yet, but wrong options are found.
    pub(crate) fn new(options: &Connection, roots: Option<RootCertStore>) -> Result<Self, OpenError> {
        let addresses = options.check()?;
        let tls = tls::client(options, roots)?;
        let topology = match (options.redis_type, &options.sentinel_master_name) {
            (ServerType::Cluster, _) => {
                cluster(options, &addresses, None).map_err(OpenError::failed)?;
                let options = Box::new(options.clone());
                Topology::Cluster { addresses, options }
            }
            (ServerType::Node, Some(master)) if options.failover => Topology::Sentinels {
                addresses,
                master: master.clone(),
                login: login(&options.sentinel_username, &options.sentinel_password),
            },
            (ServerType::Node, _) => Topology::Node(
                addresses
                    .into_iter()
                    .next()
                    .ok_or_else(|| OpenError::failed("redisHost is empty"))?,
            ),
        };
        Ok(Self {
            topology,
            login: login(&options.redis_username, &options.redis_password).set_db(options.redis_db),
            tls,
            dial_timeout: options.dial_timeout.0,
        })
    }

    /// Opens a connection on which an answer may take as long as `answer_timeout` says.
    pub(crate) async fn connect(&self, answer_timeout: Option<Duration>) -> RedisResult<Conn> {
        match &self.topology {
            Topology::Node(address) => self.node(address, &self.login, answer_timeout).await,
            Topology::Sentinels {
                addresses,
                master,
                login,
            } => {
                let master = self.ask_sentinels(addresses, master, login).await?;
                self.node(&master, &self.login, answer_timeout).await
            }
            Topology::Cluster { addresses, options } => {
                let client = cluster(options, addresses, answer_timeout)?;
                client.get_async_connection().await.map(Conn::Cluster)
            }
        }
    }

    /// The address of the master, from the first sentinel that knows it.
    async fn ask_sentinels(
        &self,
        addresses: &[Address],
        master: &str,
        login: &RedisConnectionInfo,
    ) -> RedisResult<Address> {
        let mut last = RedisError::from((ErrorKind::EmptySentinelList, "there are no sentinels"));
        for address in addresses {
            let asked = async {
                let mut sentinel = self.node(address, login, self.dial_timeout).await?;
                let mut command = redis::cmd("SENTINEL");
                command.arg("get-master-addr-by-name").arg(master);
                command.query_async::<Option<(String, u16)>>(&mut sentinel).await
            };
            match asked.await {
                Ok(Some(found)) => return Ok(found),
                Ok(None) => {
                    let text = "the sentinels know no such master";
                    last = (ErrorKind::MasterNameNotFoundBySentinel, text, master.to_owned()).into();
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Connects to one server and logs in.
    async fn node(
        &self,
        address: &Address,
        login: &RedisConnectionInfo,
        answer_timeout: Option<Duration>,
    ) -> RedisResult<Conn> {
        let config = AsyncConnectionConfig::new()
            .set_response_timeout(answer_timeout)
            .set_pipeline_buffer_size(QUEUE)
            .set_write_backpressure_boundary(GATHERED);
        let opening = async {
            let tcp = TcpStream::connect((address.0.as_str(), address.1)).await?;
            tcp.set_nodelay(true)?;
            let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE);
            SockRef::from(&tcp).set_tcp_keepalive(&keepalive)?;
            match &self.tls {
                None => drive(login, tcp, config).await,
                Some(tls) => {
                    let name = ServerName::try_from(address.0.clone())?;
                    drive(login, TlsConnector::from(tls.clone()).connect(name, tcp).await?, config).await
                }
            }
        };
        match self.dial_timeout {
            None => opening.await,
            Some(timeout) => tokio::time::timeout(timeout, opening)
                .await
                .unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into())),
        }
    }
}

/// Logs in and starts the task of the connection.
async fn drive<S>(login: &RedisConnectionInfo, stream: S, config: AsyncConnectionConfig) -> RedisResult<Conn>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (connection, driver) = MultiplexedConnection::new_with_config(login, stream, config).await?;
    Ok(Conn::Node(connection, Arc::new(Driver(tokio::spawn(driver)))))
}

fn login(username: &Option<String>, password: &Option<String>) -> RedisConnectionInfo {
    let mut login = RedisConnectionInfo::default().set_lib_name("outrigger", env!("CARGO_PKG_VERSION"));
    if let Some(username) = username {
        login = login.set_username(username);
    }
    if let Some(password) = password {
        login = login.set_password(password);
    }
    login
}

/// The client of a cluster; building it opens nothing.
fn cluster(
    options: &Connection,
    addresses: &[Address],
    answer_timeout: Option<Duration>,
) -> RedisResult<ClusterClient> {
    if options.enable_tls && options.insecure_skip_tls_verify {
        let text = "insecureSkipTLSVerify is not supported with redisType cluster";
        return Err((ErrorKind::InvalidClientConfig, text).into());
    }
    let nodes = addresses.iter().cloned().map(|(host, port)| match options.enable_tls {
        false => ConnectionAddr::Tcp(host, port),
        true => ConnectionAddr::TcpTls {
            host,
            port,
            insecure: false,
            tls_params: None,
        },
    });
    let millis = |span: Option<Duration>| span.map_or(0, |span| u64::try_from(span.as_millis()).unwrap_or(u64::MAX));
    let mut builder = ClusterClientBuilder::new(nodes)
        .retries(u32::try_from(options.redis_max_retries).unwrap_or(0))
        .min_retry_wait(millis(options.redis_min_retry_interval.0))
        .max_retry_wait(millis(options.redis_max_retry_interval.0).max(1))
        .write_backpressure_boundary(GATHERED)
        .overall_response_timeout(answer_timeout);
    if let Some(timeout) = answer_timeout {
        builder = builder.response_timeout(timeout);
    }
    if let Some(timeout) = options.dial_timeout.0 {
        builder = builder.connection_timeout(timeout);
    }
    if let Some(username) = &options.redis_username {
        builder = builder.username(username);
    }
    if let Some(password) = &options.redis_password {
        builder = builder.password(password);
    }
    if let (true, Some(cert), Some(key)) = (options.enable_tls, &options.client_cert, &options.client_key) {
        builder = builder.certs(TlsCertificates {
            client_tls: Some(ClientTlsConfig {
                client_cert: cert.clone().into_bytes(),
                client_key: key.clone().into_bytes(),
            }),
            root_cert: None,
        });
    }
    builder.build()
}

#[cfg(test)]
mod tests;
