use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::decode;
use crate::duration::GoDuration;

fn policies(spec: serde_json::Value) -> Result<Policies, PolicyError> {
    let decoded = decode::from_value::<ResiliencySpec>(&spec).unwrap();
    assert_eq!(decoded.unknown, Vec::<String>::new());
    Policies::try_from(&decoded.value)
}

fn message(spec: serde_json::Value) -> String {
    policies(spec).unwrap_err().to_string()
}

#[test]
fn timeouts_count_milliseconds_unless_they_say() {
    let timeouts = policies(json!({"policies": {"timeouts": {"a": 500, "b": "5s", "c": "-1", "d": 0}}}))
        .unwrap()
        .timeouts;
    assert_eq!(timeouts["a"], Some(GoDuration::from_millis(500)));
    assert_eq!(timeouts["b"], Some(GoDuration::from_secs(5)));
    assert_eq!((timeouts["c"], timeouts["d"]), (None, None));
}

#[test]
fn retries_have_defaults() {
    let spec = json!({"policies": {"retries": {
        "plain": {},
        "grows": {"policy": "Exponential", "maxInterval": "15s", "maxRetries": 10},
        "never": {"policy": "constant", "duration": "10ms", "maxRetries": 0},
    }}});
    let retries = policies(spec).unwrap().retries;
    let plain = &retries["plain"];
    assert_eq!(
        plain.backoff,
        Backoff::Constant {
            duration: GoDuration::from_secs(5)
        }
    );
    assert_eq!((plain.max_retries, &plain.matching), (-1, &Matching::default()));
    assert_eq!(
        retries["grows"].backoff,
        Backoff::Exponential {
            max_interval: GoDuration::from_secs(15)
        }
    );
    assert_eq!(retries["never"].max_retries, 0);
}

#[test]
fn codes_are_numbers_and_ranges() {
    let codes = |text| StatusCodes::parse_http(text).unwrap().unwrap();
    let some = codes("429, 500-599");
    assert!(some.contains(429) && some.contains(500) && some.contains(599));
    assert!(!some.contains(428) && !some.contains(499));
    assert_eq!(codes("100").ranges(), [100..=100]);
    assert_eq!(StatusCodes::parse_http("").unwrap(), None);
    assert!(StatusCodes::parse_grpc("1,2,5-7").unwrap().unwrap().contains(6));
    let errors = [
        (
            StatusCodes::parse_http("600"),
            "the status code 600 is not between 100 and 599",
        ),
        (
            StatusCodes::parse_http("11"),
            "the status code 11 is not between 100 and 599",
        ),
        (
            StatusCodes::parse_grpc("17"),
            "the status code 17 is not between 0 and 16",
        ),
        (
            StatusCodes::parse_grpc("-1"),
            "\"-1\" is neither a status code nor a range of them",
        ),
        (
            StatusCodes::parse_grpc("+1"),
            "\"+1\" is neither a status code nor a range of them",
        ),
        (
            StatusCodes::parse_http("5xx"),
            "\"5xx\" is neither a status code nor a range of them",
        ),
        (
            StatusCodes::parse_http("599-500"),
            "the range \"599-500\" ends before it begins",
        ),
        (
            StatusCodes::parse_http(","),
            "\",\" is neither a status code nor a range of them",
        ),
    ];
    for (result, text) in errors {
        assert_eq!(result.unwrap_err().to_string(), text);
    }
}

#[test]
fn breakers_have_defaults() {
    let spec = json!({"policies": {"circuitBreakers": {
        "plain": {},
        "own": {"maxRequests": 3, "interval": 0, "timeout": "5s", "trip": "consecutiveFailures >= 2"},
    }}});
    let breakers = policies(spec).unwrap().circuit_breakers;
    let plain = &breakers["plain"];
    assert_eq!(
        (plain.max_requests, plain.interval, plain.timeout),
        (1, GoDuration::ZERO, GoDuration::from_secs(60))
    );
    assert_eq!(plain.trip, None);
    let own = &breakers["own"];
    assert_eq!((own.max_requests, own.timeout), (3, GoDuration::from_secs(5)));
    assert_eq!(own.trip.as_deref(), Some("consecutiveFailures >= 2"));
}

#[test]
fn targets_name_policies() {
    let spec = json!({
        "policies": {"timeouts": {"t": "1s"}},
        "targets": {
            "apps": {"a": {"timeout": "t", "retry": "r", "circuitBreakerCacheSize": 7}},
            "actors": {"x": {"timeout": "t"}, "y": {"circuitBreaker": "c", "circuitBreakerScope": "both"}},
            "components": {"s": {"outbound": {"timeout": "none"}}},
        }
    });
    let policies = policies(spec).unwrap();
    assert_eq!(policies.apps["a"].cache_size, 7);
    assert_eq!(policies.actors["x"].cache_size, 5000);
    assert_eq!(policies.actors["y"].scope, BreakerScope::Both);
    assert_eq!(policies.components["s"].outbound.timeout.as_deref(), Some("none"));
    assert_eq!(
        policies.undefined(),
        [
            "targets.apps.a.retry: r",
            "targets.actors.y.circuitBreaker: c",
            "targets.components.s.outbound.timeout: none"
        ]
    );
}

#[test]
fn errors_name_the_field() {
    let retry = |spec: serde_json::Value| message(json!({"policies": {"retries": {"r": spec}}}));
    assert_eq!(
        message(json!({"policies": {"timeouts": {"t": "soon"}}})),
        "timeouts.t: time: invalid duration \"soon\""
    );
    assert_eq!(
        retry(json!({"policy": "linear"})),
        "retries.r.policy: \"linear\" is neither constant nor exponential"
    );
    assert_eq!(
        retry(json!({"matching": {"gRPCStatusCodes": 400}})),
        "retries.r.matching.gRPCStatusCodes: the status code 400 is not between 0 and 16"
    );
    assert_eq!(
        retry(json!({"duration": "1x"})),
        "retries.r.duration: time: unknown unit \"x\" in duration \"1x\""
    );
    assert_eq!(
        message(json!({"targets": {"actors": {"a": {"circuitBreaker": "c"}}}})),
        "actors.a.circuitBreakerScope: \"\" is none of type, id and both"
    );
    assert_eq!(
        message(json!({"policies": {"circuitBreakers": {"c": {"maxRequests": -2}}}})),
        "circuitBreakers.c.maxRequests: -2 is out of range"
    );
}

proptest! {
    #[test]
    fn no_list_of_codes_panics(text in "[-0-9, x]{0,30}") {
        let _ = StatusCodes::parse_http(&text);
        let _ = StatusCodes::parse_grpc(&text);
    }

    #[test]
    fn codes_in_a_list_are_in_the_set(codes in prop::collection::vec(100u16..600, 1..8)) {
        let text = codes.iter().map(u16::to_string).collect::<Vec<_>>().join(",");
        let set = StatusCodes::parse_http(&text).unwrap().unwrap();
        for code in 100..600 {
            prop_assert_eq!(set.contains(code), codes.contains(&code));
        }
    }
}
