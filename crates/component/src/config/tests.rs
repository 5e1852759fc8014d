use super::*;

#[derive(Debug, PartialEq, component_macros::Config)]
struct Inner {
    /// Whether to encrypt.
    #[config(name = "enableTLS")]
    tls: bool,
}

#[derive(Debug, PartialEq, component_macros::Config)]
struct Options {
    /// Address of the server.
    #[config(required)]
    redis_host: String,
    /// How long.
    #[config(name = "processingTimeout", default = "15s")]
    timeout: Duration,
    /// How many.
    depth: Option<u32>,
    /// Password.
    #[config(secret, alias = "password")]
    redis_password: Option<String>,
    /// Fast.
    #[config(default = "250")]
    poll: Millis,
    #[config(flatten)]
    inner: Inner,
}

fn properties(pairs: &[(&str, &str)]) -> Properties {
    pairs.iter().copied().collect()
}

#[test]
fn decodes_loosely() {
    let given = properties(&[
        ("REDISHOST", "a:1"),
        ("depth", "7"),
        ("password", "x"),
        ("enabletls", "Yes"),
    ]);
    let options = Options::decode(&given).expect("decodes");
    assert_eq!(options.redis_host, "a:1");
    assert_eq!(options.timeout, Duration::from_secs(15));
    assert_eq!(options.depth, Some(7));
    assert_eq!(options.redis_password.as_deref(), Some("x"));
    assert_eq!(options.poll, Millis(Duration::from_millis(250)));
    assert!(options.inner.tls);
}

#[test]
fn errors_name_the_field() {
    let error = Options::decode(&properties(&[])).expect_err("host is required");
    assert_eq!(
        error.to_string(),
        "metadata field redisHost is missing: Address of the server."
    );
    let error = Options::decode(&properties(&[("redisHost", "a"), ("depth", "many")])).expect_err("no number");
    assert_eq!(
        error.to_string(),
        "metadata field depth is \"many\": not a number of type u32"
    );
}

#[test]
fn fields_are_the_manual() {
    let fields = Options::fields();
    assert_eq!(
        fields.iter().map(|f| f.name).collect::<Vec<_>>(),
        [
            "redisHost",
            "processingTimeout",
            "depth",
            "redisPassword",
            "poll",
            "enableTLS"
        ]
    );
    assert!(fields[3].secret);
    assert_eq!(fields[3].aliases, ["password"]);
    assert_eq!(fields[1].kind, "duration");
    assert_eq!(fields[0].doc.trim(), "Address of the server.");
}

#[test]
fn durations() {
    for (text, ms) in [
        ("1.5s", 1500),
        ("1m30s", 90_000),
        ("5", 5000),
        ("0", 0),
        ("250ms", 250),
        ("1h", 3_600_000),
    ] {
        assert_eq!(
            parse_duration(text, Duration::from_secs(1)),
            Ok(Duration::from_millis(ms)),
            "{text}"
        );
    }
    for text in ["", "-1s", "5x", "s", "1m-2s", "1..5s", "9e99h"] {
        assert!(parse_duration(text, Duration::from_secs(1)).is_err(), "{text}");
    }
}
