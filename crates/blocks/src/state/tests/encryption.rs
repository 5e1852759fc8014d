//! Values that only the sidecar can read.

use super::{
    super::{NAME_SUFFIX, check, encryption::Keys},
    KEY_16, KEY_32, bench, stores, views,
};
use crate::testing::{info, reason};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use component::Properties;
use proptest::prelude::*;
use tonic::Code;
use wire::{
    common::v1::StateItem,
    runtime::v1::{GetBulkStateRequest, GetBulkStateResponse, GetStateRequest, GetStateResponse, SaveStateRequest},
};

fn keys(list: &[(&str, &str)]) -> Keys {
    Keys::of(&list.iter().copied().collect::<Properties>())
        .unwrap()
        .unwrap()
}

#[tokio::test]
async fn values_over_http() {
    let bench = bench(views(("enc", &[("primaryEncryptionKey", KEY_16)]), ("raw", &[])).await);
    for (value, want) in [
        (r#""value1""#, "value1"),
        (r#""q\"uo\u00e9""#, "q\"uoé"),
        (r#""""#, ""),
        ("5", "5"),
        (r#"{"b" : 1,"a":2}"#, r#"{"b":1,"a":2}"#),
        ("null", "null"),
        ("12345678901234567890", "12345678901234567890"),
    ] {
        let body = format!(r#"[{{"key":"k","value":{value}}}]"#);
        assert_eq!(bench.http("POST", "/v1.0/state/enc", &body).await.status, 204);
        let answer = bench.http("GET", "/v1.0/state/enc/k", "").await;
        assert_eq!(
            (answer.status, answer.text.as_str()),
            (if want.is_empty() { 204 } else { 200 }, want)
        );
        let stored = bench.http("GET", "/v1.0/state/raw/k", "").await.text;
        assert!(
            !stored.contains("value1") && stored.ends_with("||primaryEncryptionKey"),
            "{stored}"
        );
        let body = format!(r#"{{"operations":[{{"operation":"upsert","request":{{"key":"t","value":{value}}}}}]}}"#);
        assert_eq!(
            bench.http("POST", "/v1.0/state/enc/transaction", &body).await.status,
            204
        );
        assert_eq!(bench.http("GET", "/v1.0/state/enc/t", "").await.text, want);
    }
    bench
        .http(
            "POST",
            "/v1.0/state/enc",
            r#"[{"key":"s","value":"str"},{"key":"n","value":{"a":1}}]"#,
        )
        .await;
    let lines = bench
        .http("POST", "/v1.0/state/enc/bulk", r#"{"keys":["s","n"]}"#)
        .await
        .json();
    assert_eq!(
        (lines[0]["data"].as_str(), &lines[1]["data"]["a"]),
        (Some("str"), &serde_json::json!(1))
    );
    let answer = bench.http("POST", "/v1.0-alpha1/state/enc/query", "{}").await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (500, "ERR_STATE_STORE_NOT_SUPPORTED")
    );
}

#[tokio::test]
async fn bytes_over_grpc() {
    let bench = bench(stores(&[("enc", &[("primaryEncryptionKey", KEY_32)])]).await);
    let metadata = std::collections::HashMap::from([("contentType".to_owned(), "application/json".to_owned())]);
    let item = |key: &str, value: &'static [u8]| StateItem {
        key: key.into(),
        value: Bytes::from_static(value),
        metadata: metadata.clone(),
        ..StateItem::default()
    };
    let states = vec![item("a", b"\xff\x00"), item("b", b""), item("c", br#"{"a" : 1}"#)];
    bench
        .grpc::<_, ()>(
            "SaveState",
            &SaveStateRequest {
                store_name: "enc".into(),
                states,
            },
        )
        .await
        .unwrap();
    for (key, want) in [("a", b"\xff\x00".as_slice()), ("b", b""), ("c", br#"{"a" : 1}"#)] {
        let request = GetStateRequest {
            store_name: "enc".into(),
            key: key.into(),
            ..GetStateRequest::default()
        };
        let found: GetStateResponse = bench.grpc("GetState", &request).await.unwrap();
        assert_eq!((&found.data[..], found.etag.is_empty()), (want, false), "{key}");
    }
}

#[tokio::test]
async fn a_value_that_is_not_encrypted_is_an_error() {
    let bench = bench(views(("enc", &[("primaryEncryptionKey", KEY_16)]), ("raw", &[])).await);
    bench
        .http(
            "POST",
            "/v1.0/state/raw",
            r#"[{"key":"k","value":"plain"},{"key":"sep","value":"a||b"}]"#,
        )
        .await;
    for key in ["k", "sep"] {
        let answer = bench.http("GET", &format!("/v1.0/state/enc/{key}"), "").await;
        assert_eq!((answer.status, answer.code().as_str()), (500, "ERR_STATE_GET"));
        assert!(
            answer.message().ends_with("the value in the store is not encrypted"),
            "{}",
            answer.message()
        );
        let request = GetStateRequest {
            store_name: "enc".into(),
            key: key.into(),
            ..GetStateRequest::default()
        };
        let status = bench
            .grpc::<_, GetStateResponse>("GetState", &request)
            .await
            .unwrap_err();
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::Internal, "ERR_STATE_GET")
        );
    }
    let request = GetBulkStateRequest {
        store_name: "enc".into(),
        keys: vec!["k".into(), "no".into()],
        ..Default::default()
    };
    let found: GetBulkStateResponse = bench.grpc("GetBulkState", &request).await.unwrap();
    assert_eq!(found.items[0].error, "the value in the store is not encrypted");
    assert_eq!((found.items[1].key.as_str(), found.items[1].error.as_str()), ("no", ""));
}

/// A value that the original stored: `"v"` under a key of 24 bytes whose secret is called sname.
const OF_THE_ORIGINAL: &str = "sOOYu0fsOOWkrgog2/rYokn/XDZ+5rmc70N45o0=||sname";

#[test]
fn values_of_the_original_can_be_read() {
    let key = "00112233445566778899aabbccddeeff0011223344556677";
    let name = format!("primaryEncryptionKey{NAME_SUFFIX}");
    for list in [
        &[("primaryEncryptionKey", key), (&name, "sname")][..],
        &[("primaryEncryptionKey", key)],
    ] {
        assert_eq!(keys(list).open(OF_THE_ORIGINAL.as_bytes()).unwrap(), "v");
    }
    let sealed = keys(&[("primaryEncryptionKey", key), (&name, "sname")])
        .seal(b"v")
        .unwrap();
    let sealed = std::str::from_utf8(&sealed).unwrap();
    let (text, name) = sealed.split_once("||").unwrap();
    assert_eq!((STANDARD.decode(text).unwrap().len(), name), (12 + 1 + 16, "sname"));
}

#[test]
fn keys_are_changed_by_way_of_the_secondary() {
    let old = keys(&[("primaryEncryptionKey", KEY_16), ("primaryEncryptionKey.secret", "old")]);
    let stored = old.seal(b"x").unwrap();
    let both = keys(&[
        ("primaryEncryptionKey", KEY_32),
        ("primaryEncryptionKey.secret", "new"),
        ("secondaryEncryptionKey", KEY_16),
        ("secondaryEncryptionKey.secret", "old"),
    ]);
    assert_eq!(both.open(&stored).unwrap(), "x");
    assert!(both.seal(b"x").unwrap().ends_with(b"||new"));
    let new = keys(&[("primaryEncryptionKey", KEY_32), ("primaryEncryptionKey.secret", "new")]);
    let why = new.open(&stored).unwrap_err();
    assert!(why.contains("no key fits") && why.contains("\"old\""), "{why}");
}

#[tokio::test]
async fn keys_that_are_none() {
    for (key, why) in [
        ("", "encryption key cannot be empty"),
        ("zz", "is no hexadecimal number"),
        ("0011", "has 2 bytes; a key has 16, 24 or 32"),
    ] {
        let snapshot = stores(&[("mem", &[("primaryEncryptionKey", key)])]).await;
        let told = check(&snapshot.state["mem"], &info()).unwrap_err();
        assert!(told.contains(why), "{told}");
        assert!(key.is_empty() || !told.contains(key), "{told}");
        let answer = bench(snapshot).http("POST", "/v1.0/state/mem", "[]").await;
        assert_eq!(answer.status, 500, "nothing is stored in the clear");
    }
    assert!(Keys::of(&Properties::default()).unwrap().is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_value_comes_back(value in proptest::collection::vec(any::<u8>(), 0..200), size in prop_oneof![Just(16_usize), Just(24), Just(32)], key in proptest::collection::vec(any::<u8>(), 32)) {
        let text = hex::encode(&key[..size]);
        let keys = keys(&[("primaryEncryptionKey", &text)]);
        let stored = keys.seal(&value).unwrap();
        prop_assert_ne!(&stored, &keys.seal(&value).unwrap(), "each has a nonce of its own");
        prop_assert_eq!(&keys.open(&stored).unwrap()[..], &value[..]);
    }

    #[test]
    fn no_stored_bytes_panic(stored in proptest::collection::vec(any::<u8>(), 0..100), tail in "(\\|\\||)[a-z]{0,4}") {
        let stored: Vec<u8> = stored.into_iter().chain(tail.bytes()).collect();
        prop_assert!(keys(&[("primaryEncryptionKey", KEY_16)]).open(&stored).is_err());
        let encoded = format!("{}||k", STANDARD.encode(&stored));
        prop_assert!(keys(&[("primaryEncryptionKey", KEY_16)]).open(encoded.as_bytes()).is_err());
    }
}
