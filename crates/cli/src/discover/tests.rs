use super::*;

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

fn process(line: &str) -> Process {
    Process {
        pid: 9,
        parent: 1,
        group: 9,
        started: 0,
        birth: 0,
        command: words(line),
    }
}

#[test]
fn flags_are_read_in_each_spelling() {
    let flags = Flags::parse(&words(
        "--app-id one -dapr-http-port=3501 --enable-api-logging --app-port -1 --log-level debug",
    ));
    assert_eq!(flags.get("app-id"), Some("one"));
    assert_eq!(flags.port("dapr-http-port", 3500), 3501);
    assert_eq!(flags.port("dapr-grpc-port", 50001), 50001);
    assert_eq!(flags.get("enable-api-logging"), Some("true"));
    assert_eq!((flags.port("app-port", 0), flags.get("log-level")), (0, Some("debug")));
}

#[test]
fn sidecars_are_told_from_other_processes() {
    let found = |line: &str| sidecar_arguments(&process(line)).map(<[String]>::len);
    assert_eq!(found("/home/x/.dapr/bin/daprd --app-id one"), Some(2));
    assert_eq!(found("daprd"), Some(0));
    assert_eq!(found("./outrigger daprd --app-id one"), Some(2));
    assert_eq!(found("dapr daprd --app-id one"), Some(2));
    assert_eq!(found("dapr run --app-id one"), None);
    assert_eq!(found("grep daprd"), None);
    assert!(is_run(&process("/usr/bin/dapr run -f .")) && !is_run(&process("bash run")));
}

#[test]
fn a_sidecar_is_asked_where_it_listens() {
    let address = |line: &str| Flags::parse(&words(line)).address();
    assert_eq!(address("--dapr-http-port 3600"), Address::Tcp("127.0.0.1:3600".into()));
    assert_eq!(
        address("--dapr-listen-addresses 10.0.0.7,127.0.0.1"),
        Address::Tcp("127.0.0.1:3500".into())
    );
    assert_eq!(
        address("--dapr-listen-addresses 10.0.0.7"),
        Address::Tcp("10.0.0.7:3500".into())
    );
    assert_eq!(
        address("--dapr-listen-addresses [::1]"),
        Address::Tcp("[::1]:3500".into())
    );
    let sockets = address("--app-id one --unix-domain-socket /tmp/s");
    assert_eq!(sockets, Address::Unix("/tmp/s/dapr-one-http.socket".into()));
}
