use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use telemetry::logs::Level;
use telemetry::metrics::{self, Metrics};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::http::{PLAIN, listen, serve_metrics, text};
use crate::signals::{Request, obey};
use crate::{BoxError, CommonArgs, Health, Host, TaskError, boolean, normalize_args, parse};

#[derive(Parser, Debug)]
#[command(name = "program", version = "1.18.3")]
struct Args {
    #[command(flatten)]
    common: CommonArgs,
    #[arg(long, default_value = "")]
    placement_host_address: String,
    #[arg(long, default_value_t = -1, allow_hyphen_values = true)]
    app_max_concurrency: i64,
}

fn words(line: &str) -> Vec<OsString> {
    line.split(' ').map(OsString::from).collect()
}

fn args(line: &str) -> Args {
    parse(words(line)).expect("arguments")
}

#[test]
fn flags_have_one_dash_or_two() {
    let parsed = args("program -log-level=debug --log-as-json -metrics-port 0 -enable-metrics=false");
    assert_eq!(parsed.common.log_level, Level::Debug);
    assert!(parsed.common.log_as_json);
    assert!(!parsed.common.enable_metrics);
    assert_eq!(parsed.common.metrics_port, 0);
}

#[test]
fn defaults_are_those_of_the_original() {
    let common = args("program").common;
    assert_eq!(
        (common.log_level, common.log_as_json, common.enable_metrics),
        (Level::Info, false, true)
    );
    assert_eq!(common.metrics_address(), ("0.0.0.0".into(), 9090));
    assert_eq!(CommonArgs::default().metrics_port, 9090);
    let logs = common.logs("myapp", "1");
    assert_eq!((logs.file, logs.app_id.as_str()), (None, "myapp"));
}

#[test]
fn odd_values_are_taken_as_they_are() {
    assert_eq!(args("program --placement-host-address=").placement_host_address, "");
    assert_eq!(args("program --placement-host-address=''").placement_host_address, "''");
    assert_eq!(args("program --app-max-concurrency=-1").app_max_concurrency, -1);
    assert_eq!(args("program -app-max-concurrency -5").app_max_concurrency, -5);
}

#[test]
fn the_last_of_two_flags_counts() {
    assert_eq!(args("program --metrics-port=1 --metrics-port=2").common.metrics_port, 2);
    assert!(!args("program --log-as-json --log-as-json=false").common.log_as_json);
}

#[test]
fn help_is_0_and_mistakes_are_2() {
    let code = |line: &str| parse::<Args>(words(line)).expect_err("an exit code");
    assert_eq!(code("program --help"), ExitCode::SUCCESS);
    assert_eq!(code("program -h"), ExitCode::SUCCESS);
    assert_eq!(code("program --version"), ExitCode::SUCCESS);
    assert_eq!(code("program --unknown"), ExitCode::from(2));
    assert_eq!(code("program --metrics-port=many"), ExitCode::from(2));
    assert_eq!(code("program --log-as-json=perhaps"), ExitCode::from(2));
}

#[test]
fn only_long_flags_get_a_dash() {
    let normal = normalize_args(words("-program -xyz=v -x -x=v -5 -10 - --y v -abc -- -abc"));
    assert_eq!(normal, words("-program --xyz=v -x -x=v -5 -10 - --y v --abc -- -abc"));
}

#[test]
fn booleans_are_gos() {
    for text in ["1", "t", "T", "true", "TRUE"] {
        assert_eq!(boolean(text), Ok(true));
    }
    for text in ["0", "f", "F", "false", "False"] {
        assert_eq!(boolean(text), Ok(false));
    }
    assert!(boolean("yes").is_err());
}

const PATIENCE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_panic_ends_only_its_task() {
    let host = Host::default();
    let panicked = host.spawn("bad", async { panic!("oh") });
    let answered = host.spawn("good", async { 7 });
    assert_eq!(panicked.await.expect("joined"), None::<()>);
    assert_eq!(answered.await.expect("joined"), Some(7));
    assert!(!host.cancel.is_cancelled());
    host.join(PATIENCE).await.expect("no failure");
}

#[tokio::test]
async fn a_vital_task_that_fails_stops_the_program() {
    let host = Host::default();
    host.spawn_vital("fine", async { Ok::<(), BoxError>(()) });
    host.spawn_vital("server", async { Err::<(), BoxError>("address in use".into()) });
    host.cancel.cancelled().await;
    let error = host.join(PATIENCE).await.expect_err("a failure");
    assert_eq!(error.to_string(), "server: address in use");

    let host = Host::default();
    host.spawn_vital("server", async {
        if true {
            panic!("oh {}", "no");
        }
        Ok::<(), BoxError>(())
    });
    host.cancel.cancelled().await;
    assert!(
        matches!(host.join(PATIENCE).await, Err(TaskError::Panicked { task: "server", message }) if message == "oh no")
    );
}

#[tokio::test(start_paused = true)]
async fn joining_does_not_wait_for_ever() {
    let host = Host::default();
    host.spawn("stuck", std::future::pending::<()>());
    host.join(PATIENCE).await.expect("no failure");
}

#[tokio::test]
async fn a_child_stops_alone_or_with_its_parent() {
    let host = Host::default();
    let (first, second) = (host.child(), host.child());
    first.spawn_vital("part", async { Err::<(), BoxError>("broken".into()) });
    first.cancel.cancelled().await;
    assert!(!host.cancel.is_cancelled());
    let mut hangups = second.hangups();
    host.hang_up();
    hangups.changed().await.expect("a hang-up");
    host.cancel.cancel();
    assert!(second.cancel.is_cancelled());
}

#[test]
fn the_second_signal_is_urgent() {
    let (host, mut stopping) = (Host::default(), false);
    assert_eq!(obey(Request::HangUp, &host, &mut stopping), None);
    assert_eq!(*host.hangups().borrow(), 1);
    assert!(!host.cancel.is_cancelled());
    assert_eq!(obey(Request::Stop("interrupt"), &host, &mut stopping), None);
    assert!(host.cancel.is_cancelled());
    assert_eq!(obey(Request::Stop("terminated"), &host, &mut stopping), Some(1));
}

#[test]
fn the_first_signal_during_another_shutdown_is_quiet() {
    let (host, mut stopping) = (Host::default(), false);
    host.cancel.cancel();
    assert_eq!(obey(Request::Stop("interrupt"), &host, &mut stopping), None);
}

async fn get(address: std::net::SocketAddr, method: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("connection");
    let request = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("answer");
    answer
}

#[tokio::test]
async fn metrics_are_served() {
    let options = metrics::Options {
        app_id: Some("myapp".into()),
        ..metrics::Options::default()
    };
    let metrics = Metrics::new(&options).expect("metrics");
    metrics.component_loaded();
    let listener = listen("127.0.0.1", 0).await.expect("listener");
    let (address, cancel) = (listener.local_addr().expect("address"), CancellationToken::new());
    let server = tokio::spawn(serve_metrics(listener, metrics, cancel.clone()));
    for path in ["/", "/metrics"] {
        let answer = get(address, "GET", path).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        assert!(
            answer.contains("content-type: text/plain; version=0.0.4; charset=utf-8"),
            "{answer}"
        );
        assert!(
            answer.contains("dapr_runtime_component_loaded{app_id=\"myapp\"} 1\n"),
            "{answer}"
        );
    }
    assert!(get(address, "GET", "/other").await.starts_with("HTTP/1.1 404"));
    assert!(get(address, "POST", "/").await.starts_with("HTTP/1.1 405"));
    // a client that keeps its connection does not hold up the end
    let _idle = TcpStream::connect(address).await.expect("connection");
    cancel.cancel();
    tokio::time::timeout(PATIENCE, server)
        .await
        .expect("in time")
        .expect("no panic");
}

#[tokio::test]
async fn health_is_that_of_all_parts() {
    let health = Health::default();
    let (api, store) = (health.target("api"), health.target("store"));
    let listener = listen("127.0.0.1", 0).await.expect("listener");
    let (address, cancel) = (listener.local_addr().expect("address"), CancellationToken::new());
    let more: crate::http::Handler =
        Arc::new(|path| (path == "/placement/state").then(|| text(::http::StatusCode::OK, PLAIN, "{}")));
    tokio::spawn(health.clone().serve(listener, Some(more), cancel.clone()));
    api.ready();
    let answer = get(address, "GET", "/healthz").await;
    assert!(
        answer.starts_with("HTTP/1.1 500") && answer.ends_with("not ready: store"),
        "{answer}"
    );
    store.ready();
    assert!(get(address, "GET", "/healthz").await.starts_with("HTTP/1.1 200"));
    store.not_ready();
    assert!(get(address, "GET", "/healthz").await.starts_with("HTTP/1.1 500"));
    assert!(get(address, "GET", "/placement/state").await.ends_with("{}"));
    assert!(get(address, "GET", "/nothing").await.starts_with("HTTP/1.1 404"));
    cancel.cancel();
}

#[test]
fn a_port_in_use_is_named() {
    crate::block_on(async {
        let first = listen("127.0.0.1", 0).await.expect("listener");
        let port = first.local_addr().expect("address").port();
        let error = listen("127.0.0.1", port).await.expect_err("in use");
        assert!(
            error.to_string().starts_with(&format!("listen on 127.0.0.1:{port}: ")),
            "{error}"
        );
    })
    .expect("runtime");
}
