//! A Redis server for tests: its own process, its own free port, its own folder.

use std::{
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// A running server; it ends with the value.
pub(crate) struct Server {
    child: Child,
    program: String,
    folder: TempDir,
    arguments: Vec<String>,
    pub(crate) port: u16,
}

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}

impl Server {
    /// Starts a server that keeps nothing on disk.
    pub(crate) fn start() -> Self {
        Self::with(&["--save", "", "--appendonly", "no"])
    }

    /// Starts a server that has each write on disk before it answers.
    pub(crate) fn durable() -> Self {
        Self::with(&["--save", "", "--appendonly", "yes", "--appendfsync", "always"])
    }

    /// Starts a server with these arguments.
    pub(crate) fn with(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        Self::launch("redis-server", folder, arguments)
    }

    /// Starts the server of a Redis Stack in this folder, with its modules for JSON and search.
    pub(crate) fn stack(home: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let module = |name| ["--loadmodule".to_owned(), format!("{home}/lib/{name}.so")];
        let modules = [module("rejson"), module("redisearch")].concat();
        Self::launch(&format!("{home}/bin/redis-server"), folder, modules)
    }

    /// Starts a sentinel with this configuration.
    pub(crate) fn sentinel(configuration: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("sentinel.conf");
        std::fs::write(&file, configuration).expect("can be written");
        let arguments = vec![file.to_string_lossy().into_owned(), "--sentinel".to_owned()];
        Self::launch("redis-server", folder, arguments)
    }

    fn launch(program: &str, folder: TempDir, arguments: Vec<String>) -> Self {
        let port = free_port();
        Self {
            child: launch(program, port, &folder, &arguments),
            program: program.to_owned(),
            folder,
            arguments,
            port,
        }
    }

    pub(crate) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Ends the process at once.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("can be killed");
        self.child.wait().expect("has ended");
    }

    /// Starts the server again, with what it has on disk.
    pub(crate) fn restart(&mut self) {
        self.child = launch(&self.program, self.port, &self.folder, &self.arguments);
    }

    /// Stops the process (`STOP`) or lets it go on (`CONT`).
    pub(crate) fn signal(&self, name: &str) {
        let command = format!("kill -{name} {}", self.child.id());
        let status = Command::new("sh").args(["-c", &command]).status().expect("sh runs");
        assert!(status.success());
    }

    /// A connection of its own.
    pub(crate) async fn connect(&self) -> redis::aio::MultiplexedConnection {
        let client = redis::Client::open(format!("redis://{}/", self.host())).expect("a URL");
        client
            .get_multiplexed_async_connection()
            .await
            .expect("the server answers")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

fn launch(program: &str, port: u16, folder: &TempDir, arguments: &[String]) -> Child {
    let (log, complaint) = (folder.path().join("log"), folder.path().join("complaint"));
    let mut child = Command::new(program)
        // First, since a configuration file must be the first argument.
        .args(arguments)
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--loglevel", "warning", "--logfile"])
        .arg(&log)
        .arg("--dir")
        .arg(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(&complaint).expect("can be made"))
        .spawn()
        .expect("redis-server must be installed and on the PATH");
    let started = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        if let Some(status) = child.try_wait().expect("can be asked") {
            let log = [log, complaint]
                .map(|file| std::fs::read_to_string(file).unwrap_or_default())
                .concat();
            panic!("redis-server ended with {status}: {log}");
        }
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "redis-server does not start"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    child
}
