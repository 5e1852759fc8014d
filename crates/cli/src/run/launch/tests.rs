use super::*;
use crate::run::{ports::Ports, settings::Settings};
use std::ffi::OsStr;

fn app(settings: Settings) -> App {
    let home = tempfile::tempdir().unwrap();
    App::new(settings, Some(home.path()), &mut Ports::default()).unwrap()
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// What a command sets and removes in the environment.
fn environment(command: &Command) -> HashMap<String, Option<String>> {
    let text = |text: &OsStr| text.to_string_lossy().into_owned();
    command
        .as_std()
        .get_envs()
        .map(|(name, value)| (text(name), value.map(text)))
        .collect()
}

#[test]
fn a_sidecar_listens_on_this_machine_only() {
    let app = app(Settings {
        app_id: text("one"),
        app_port: Some(8080),
        ..Settings::default()
    });
    let line = arguments(&app).join(" ");
    let (http, grpc, metrics) = (app.ports.http, app.ports.grpc, app.ports.metrics);
    assert_eq!(
        line,
        format!(
            "--app-id one --dapr-http-port {http} --dapr-grpc-port {grpc} --dapr-listen-addresses 127.0.0.1 \
             --dapr-internal-grpc-listen-address 127.0.0.1 --metrics-port {metrics} --metrics-listen-address 127.0.0.1 \
             --app-port 8080 --app-protocol http --app-channel-address 127.0.0.1"
        )
    );
    let command = sidecar(Path::new("/bin/outrigger"), &app);
    assert_eq!(environment(&command)["DAPR_HOST_IP"].as_deref(), Some("127.0.0.1"));
}

#[test]
fn what_is_said_becomes_flags() {
    let app = app(Settings {
        app_id: text("one"),
        app_max_concurrency: Some(3),
        enable_api_logging: Some(false),
        enable_profiling: Some(true),
        log_level: text("Panic"),
        placement_host_address: text("localhost"),
        scheduler_host_address: text("a:1, b,[::1]"),
        max_body_size: text("8Mi"),
        enable_app_health_check: Some(true),
        app_health_probe_timeout: Some(200),
        api_listen_addresses: text("10.0.0.7,127.0.0.1"),
        ..Settings::default()
    });
    let line = arguments(&app).join(" ");
    for flag in [
        "--app-max-concurrency 3",
        "--enable-api-logging=false",
        "--enable-profiling=true",
        "--log-level fatal",
        "--placement-host-address localhost:50005",
        "--scheduler-host-address a:1,b:50006,[::1]:50006",
        "--max-body-size 8Mi",
        "--enable-app-health-check=true",
        "--app-health-probe-timeout 200",
        "--dapr-listen-addresses 10.0.0.7,127.0.0.1",
        "--metrics-listen-address 10.0.0.7",
        &format!("--profile-port {}", app.ports.profile.unwrap()),
    ] {
        assert!(line.contains(flag), "{flag} in {line}");
    }
    assert!(with_port(&text(""), 1).is_none() && with_port(&None, 1).is_none());
}

#[test]
fn an_application_is_told_once_and_rightly() {
    let app = app(Settings {
        app_id: text("one"),
        app_port: Some(8080),
        app_protocol: text("grpc"),
        command: Some(vec!["python3".into(), "app.py".into()]),
        env: [("APP_PORT".into(), "1".into()), ("X".into(), "y".into())]
            .into_iter()
            .collect(),
        ..Settings::default()
    });
    let command = application(&app).unwrap();
    let environment = environment(&command);
    let get = |name: &str| environment[name].clone().unwrap();
    assert_eq!(
        (get("APP_ID"), get("APP_PORT"), get("X")),
        ("one".into(), "8080".into(), "y".into())
    );
    assert_eq!(
        (get("APP_PROTOCOL"), get("APP_CHANNEL_ADDRESS")),
        ("grpc".into(), "127.0.0.1".into())
    );
    assert_eq!(get("DAPR_HTTP_PORT"), app.ports.http.to_string());
    assert_eq!(get("DAPR_GRPC_PORT"), app.ports.grpc.to_string());
    assert_eq!(get("DAPR_METRICS_PORT"), app.ports.metrics.to_string());
    assert_eq!(command.as_std().get_program(), "python3");
}

#[test]
fn with_sockets_there_are_no_ports_to_tell() {
    let settings = Settings {
        app_id: text("one"),
        unix_domain_socket: text("/tmp/s"),
        command: Some(vec!["true".into()]),
        ..Settings::default()
    };
    let app = app(settings);
    let environment = environment(&application(&app).unwrap());
    assert_eq!(
        (&environment["DAPR_HTTP_PORT"], &environment["DAPR_GRPC_PORT"]),
        (&None, &None)
    );
    assert_eq!(
        environment["DAPR_GRPC_ENDPOINT"].as_deref(),
        Some("unix:///tmp/s/dapr-one-grpc.socket")
    );
    assert!(arguments(&app).join(" ").contains("--unix-domain-socket /tmp/s"));
}
