use super::*;
use std::ffi::OsString;

fn settings(flags: &[&str]) -> Result<Settings, SettingError> {
    let line = ["daprd", "--app-id=me"].iter().chain(flags).map(OsString::from);
    let args: Args = service::parse(line).expect("the flags are known");
    Settings::new(&args, |name| (name == "NAMESPACE").then(|| "ns".into()))
}

#[test]
fn defaults_are_those_of_the_original() {
    let found = settings(&[]).expect("fine");
    assert_eq!(
        (found.http_port, found.grpc_port, found.public_port, found.internal_port),
        (3500, 50001, None, None)
    );
    assert_eq!((found.max_body_size, found.read_buffer_size), (4 << 20, 4 << 10));
    assert_eq!(found.grace, Duration::from_secs(5));
    assert_eq!(found.namespace.as_deref(), Some("ns"));
    assert!(found.ask_config && found.ask_subscriptions && found.app_health.is_none() && found.app_port.is_none());
}

#[test]
fn sizes_come_in_several_spellings() {
    for (flags, size) in [
        (&["--max-body-size=1Ki"][..], 1024),
        (&["--max-body-size=1000"], 1000),
        (&["--max-body-size=-1"], 0),
        (&["--dapr-http-max-request-size=2"], 2 << 20),
        (&["--dapr-http-max-request-size=-1"], 0),
    ] {
        assert_eq!(settings(flags).expect("fine").max_body_size, size, "{flags:?}");
    }
    assert!(settings(&["--max-body-size=lots"]).is_err());
}

#[test]
fn one_dash_and_odd_values_are_taken() {
    let found = settings(&[
        "-app-port=8080",
        "--app-max-concurrency=-1",
        "--placement-host-address=''",
        "--enable-api-logging",
    ])
    .expect("fine");
    assert_eq!(
        (found.app_port, found.app_max_concurrency, found.api_logging),
        (Some(8080), None, Some(true))
    );
}

#[test]
fn mistakes_name_the_flag() {
    for (flags, part) in [
        (&["--app-id="][..], "app-id parameter cannot be empty"),
        (&["--app-id=a.b"], "must not contain a dot"),
        (&["--mode=cloud"], "--mode"),
        (&["--app-protocol=smtp"], "--app-protocol"),
        (&["--app-port=3500"], "conflicts with 'dapr-http-port'"),
        (&["--app-port=99999"], "--app-port"),
        (&["--disable-init-endpoints=config,what"], "--disable-init-endpoints"),
        (&["--scheduler-job-streams=0"], "--scheduler-job-streams"),
        (&["--actors-disseminate-timeout=0s"], "--actors-disseminate-timeout"),
        (
            &["--enable-app-health-check", "--app-health-probe-timeout=6000"],
            "smaller than 'health-probe-interval'",
        ),
        (
            &["--dapr-block-shutdown-duration=soon"],
            "--dapr-block-shutdown-duration",
        ),
    ] {
        let error = settings(flags).expect_err("a mistake").to_string();
        assert!(error.contains(part), "{flags:?}: {error}");
    }
}

#[test]
fn health_checks_have_defaults_for_nothing() {
    let flags = [
        "--enable-app-health-check",
        "--app-health-probe-interval=0",
        "--app-health-threshold=0",
    ];
    let health = settings(&flags).expect("fine").app_health.expect("checked");
    assert_eq!(
        (health.interval, health.timeout, health.threshold),
        (Duration::from_secs(5), Duration::from_millis(500), 3)
    );
}

#[test]
fn a_stable_port_is_stable_and_in_its_range() {
    assert_eq!(stable_port("a"), stable_port("a"));
    assert!((47300..65535).contains(&stable_port("b")));
}

/// Every flag is either in the settings or told to be without effect: parsing alone is not enough.
#[test]
fn what_has_no_effect_is_said() {
    let line = [
        "daprd",
        "--app-id=me",
        "--enable-mtls",
        "--sentry-address=a:1",
        "--placement-host-address=b:1",
        "--enable-profiling",
    ];
    let args: Args = service::parse(line.iter().map(OsString::from)).expect("the flags are known");
    assert_eq!(Settings::without_effect(&args).len(), 4);
}
