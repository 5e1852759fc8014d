//! The API over HTTP: bodies, values and words.

use super::{bench, fake::Fake, memory};
use crate::testing::loaded;
use component::state::{Concurrency, Consistency, StateStore};
use runtime::Snapshot;
use std::sync::Arc;

const MEM: &str = "/v1.0/state/mem";

#[tokio::test]
async fn bodies_that_are_refused() {
    let bench = memory().await;
    for body in [
        "",
        "{}",
        "foobar",
        "[{}]",
        "[null]",
        r#"[{"key":"","value":1}]"#,
        r#"[{"key": "ke||y1", "value": "value1"}]"#,
        r#"[{"key": "key1", "value": "value1"},]"#,
        r#"[{"key":"x","value":1},{"value":1}]"#,
        r#"[{"key": "key1", "value": "value1", "etag": 123}]"#,
        r#"[{"ey": "key0", "value": "value1"}]"#,
        r#"[{"key":123}]"#,
        r#"[{"key":"f","metadata":{"ttlInSeconds":5}}]"#,
        r#"[{"key":"a","value":tru}]"#,
        r#"[{"key":"a","value":01}]"#,
        "[1]",
    ] {
        let answer = bench.http("POST", MEM, body).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, "ERR_MALFORMED_REQUEST"),
            "{body}"
        );
    }
    for (body, why) in [
        ("", "EOF"),
        ("[", "unexpected EOF"),
        (r#"[{"key":"k""#, "unexpected EOF"),
        ("[{}]", "\"key\" is a required field"),
    ] {
        assert_eq!(bench.http("POST", MEM, body).await.message(), why);
    }
    assert_eq!(
        bench.http("POST", "/v1.0/state/mem/bulk", "").await.message(),
        "failed deserializing HTTP body: EOF"
    );
}

#[tokio::test]
async fn bodies_that_are_taken() {
    let bench = memory().await;
    for body in [
        "[]",
        "null",
        " [ ] ",
        r#"[{"key": "key1", "vae": "value1"}]"#,
        r#"[{"key": "key1", "value": "value1"},{"key": "key2", "value": "value1"}]"#,
        r#"[{"key":"a","value":1}] trailing"#,
        r#"[{"key":"f","value":1,"options":null,"metadata":null,"etag":null,"contentType":null}]"#,
        r#"[{"key":"f","value":1,"metadata":{"ttlInSeconds":"5","a":null}}]"#,
        r#"[{"key":"f","value":1,"etag":""}]"#,
    ] {
        for method in ["POST", "PUT"] {
            let answer = bench.http(method, MEM, body).await;
            assert_eq!((answer.status, answer.text.as_str()), (204, ""), "{body}");
        }
    }
}

#[tokio::test]
async fn values_keep_their_text() {
    let bench = memory().await;
    for (body, key, want) in [
        (r#"[{"KEY":"b","Value":2}]"#, "b", "2"),
        (r#"[{"key":"c"}]"#, "c", "null"),
        (r#"[{"key":"d","value":null}]"#, "d", "null"),
        (
            r#"[{"key":"n","value":12345678901234567890.50}]"#,
            "n",
            "12345678901234567890.50",
        ),
        (
            r#"[{"key":"o","value": { "b" : [1, 2e3] , "a": " x " } }]"#,
            "o",
            r#"{"b":[1,2e3],"a":" x "}"#,
        ),
        (r#"[{"key":"s","value":"\u003c\u0041"}]"#, "s", r#""\u003c\u0041""#),
        (r#"[{"key":"h\u0065","value":1}]"#, "he", "1"),
        (r#"[{"key":"dup","key":"dup2","value":1,"value":2}]"#, "dup2", "2"),
        (
            r#"[{"key":"ct","value":"YWJj","contentType":"application/octet-stream"}]"#,
            "ct",
            r#""YWJj""#,
        ),
        (r#"[{"key":"a b/c","value":1}]"#, "a%20b%2Fc", "1"),
    ] {
        assert_eq!(bench.http("POST", MEM, body).await.status, 204, "{body}");
        let answer = bench.http("GET", &format!("{MEM}/{key}"), "").await;
        assert_eq!((answer.status, answer.text.as_str()), (200, want), "{body}");
        assert_eq!(answer.header("content-type"), "application/json");
        assert_ne!(answer.header("etag"), "");
    }
    let missing = bench.http("GET", "/v1.0/state/mem/missing", "").await;
    assert_eq!((missing.status, missing.text.as_str()), (204, ""));
    for key in ["bulk", "transaction"] {
        assert_eq!(
            bench.http("GET", &format!("{MEM}/{key}"), "").await.status,
            204,
            "a key like any other"
        );
    }
}

#[tokio::test]
async fn a_large_value_comes_back_whole() {
    let bench = memory().await;
    let large = "0".repeat(3 << 20);
    let body = format!(r#"[{{"key":"large","value":"{large}"}},{{"key":"small","value":5}}]"#);
    assert_eq!(bench.http("POST", MEM, &body).await.status, 204);
    assert_eq!(
        bench.http("GET", "/v1.0/state/mem/large", "").await.text,
        format!("\"{large}\"")
    );
    assert_eq!(bench.http("GET", "/v1.0/state/mem/small", "").await.text, "5");
    let too_large = format!(r#"[{{"key":"large","value":"{}"}}]"#, "0".repeat(5 << 20));
    let answer = bench.http("POST", MEM, &too_large).await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "ERR_MALFORMED_REQUEST"));
}

#[tokio::test]
async fn entity_tags_decide() {
    let bench = memory().await;
    bench.http("POST", MEM, r#"[{"key":"k","value":1}]"#).await;
    let etag = bench
        .http("GET", "/v1.0/state/mem/k", "")
        .await
        .header("etag")
        .to_owned();
    let stale = bench.http("POST", MEM, r#"[{"key":"k","value":2,"etag":"99"}]"#).await;
    assert_eq!((stale.status, stale.code().as_str()), (409, "ERR_STATE_SAVE"));
    assert!(
        stale
            .message()
            .starts_with("failed saving state in state store mem: possible etag mismatch. error from state store")
    );
    assert!(stale.json().get("details").is_none());
    for (if_match, status) in [
        ("\"99\"", 409),
        ("99", 409),
        (&*format!("\"{etag}\""), 409),
        (&*etag, 204),
        ("", 204),
    ] {
        let answer = bench
            .send("DELETE", "/v1.0/state/mem/k", &[("if-match", if_match)], "")
            .await;
        assert_eq!(answer.status, status, "{if_match}");
        if status == 409 {
            assert_eq!(answer.code(), "ERR_STATE_DELETE");
            assert!(
                answer
                    .message()
                    .starts_with("failed deleting state with key k: possible etag mismatch")
            );
        }
    }
    let first = r#"[{"key":"first","value":1,"options":{"concurrency":"first-write"}}]"#;
    assert_eq!(bench.http("POST", MEM, first).await.status, 204);
    assert_eq!(bench.http("POST", MEM, first).await.status, 409);
}

#[tokio::test]
async fn unknown_words_are_for_the_store_to_refuse() {
    let bench = memory().await;
    for options in [r#"{"concurrency":"bad"}"#, r#"{"consistency":"bad"}"#] {
        let body = format!(r#"[{{"key":"f","value":1,"options":{options}}}]"#);
        let answer = bench.http("POST", MEM, &body).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (500, "ERR_STATE_SAVE"),
            "{options}"
        );
    }
    for query in ["concurrency=bad", "consistency=bad"] {
        let answer = bench.http("DELETE", &format!("{MEM}/f?{query}"), "").await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (500, "ERR_STATE_DELETE"),
            "{query}"
        );
    }
    bench.http("POST", MEM, r#"[{"key":"a","value":1}]"#).await;
    assert_eq!(
        bench.http("GET", "/v1.0/state/mem/a?consistency=bad", "").await.status,
        200
    );
}

#[tokio::test]
async fn what_the_store_is_asked_for() {
    let fake = Fake::new(None);
    let mut snapshot = Snapshot::default();
    snapshot
        .state
        .extend([loaded("fake", &[], fake.clone() as Arc<dyn StateStore>)]);
    let bench = bench(snapshot);
    let body = r#"[{"key":"k","value":{"a" : 1},"etag":"e","contentType":"text/x","metadata":{"m":"n"},
        "options":{"concurrency":"first-write","consistency":"strong"}}]"#;
    assert_eq!(bench.http("POST", "/v1.0/state/fake", body).await.status, 204);
    let set = fake.sets.lock().pop().unwrap();
    assert_eq!((set.key.as_str(), &set.value[..]), ("app||k", br#"{"a":1}"#.as_slice()));
    assert_eq!(
        (set.etag.as_deref(), set.content_type.as_deref()),
        (Some("e"), Some("text/x"))
    );
    assert_eq!(
        (set.options.concurrency, set.options.consistency),
        (Concurrency::FirstWrite, Consistency::Strong)
    );
    assert_eq!((set.metadata.len(), set.metadata["m"].as_str()), (1, "n"));

    let target = "/v1.0/state/fake/k?concurrency=last-write&consistency=eventual&metadata.a=b%20c";
    bench.send("DELETE", target, &[("if-match", "q")], "").await;
    let delete = fake.deletes.lock().pop().unwrap();
    assert_eq!((delete.key.as_str(), delete.etag.as_deref()), ("app||k", Some("q")));
    assert_eq!(
        (delete.options.concurrency, delete.options.consistency),
        (Concurrency::LastWrite, Consistency::Eventual)
    );
    assert_eq!(delete.metadata["a"], "b c");

    let answer = bench
        .http("GET", "/v1.0/state/fake/k?consistency=strong&metadata.a=b", "")
        .await;
    assert_eq!(
        (answer.status, answer.text.as_str(), answer.header("etag")),
        (200, "1", "e1")
    );
    assert_eq!(answer.header("metadata.ttlExpireTime"), "soon");
    let get = fake.gets.lock().pop().unwrap();
    assert_eq!(
        (get.consistency, get.metadata["a"].as_str()),
        (Consistency::Strong, "b")
    );
}

#[tokio::test]
async fn bulk_reads() {
    let fake = Fake::new(None);
    let mut snapshot = super::stores(&[("mem", &[])]).await;
    snapshot
        .state
        .extend([loaded("fake", &[], fake.clone() as Arc<dyn StateStore>)]);
    let bench = bench(snapshot);
    bench
        .http(
            "POST",
            MEM,
            r#"[{"key":"a","value":{"x" : 1},"metadata":{"ttlInSeconds":"100"}}]"#,
        )
        .await;
    for (body, want) in [
        ("null", "[]"),
        ("{}", "[]"),
        (r#"{"keys":null}"#, "[]"),
        (r#"{"KEYS":[],"parallelism":-1} junk"#, "[]"),
        (r#"{"keys":["none"]}"#, r#"[{"key":"none"}]"#),
    ] {
        let answer = bench.http("POST", "/v1.0/state/mem/bulk", body).await;
        assert_eq!((answer.status, answer.text.as_str()), (200, want), "{body}");
    }
    let lines = bench
        .http("PUT", "/v1.0/state/mem/bulk", r#"{"keys":["a","zz","a"]}"#)
        .await
        .json();
    assert_eq!(
        (&lines[0], lines[1].to_string().as_str()),
        (&lines[2], r#"{"key":"zz"}"#)
    );
    assert_eq!(lines[0]["data"].to_string(), r#"{"x":1}"#);
    assert!(lines[0]["etag"].is_string() && lines[0]["metadata"]["ttlExpireTime"].is_string());
    // Stores answer in any order, and may fail for one key.
    let answer = bench
        .http(
            "POST",
            "/v1.0/state/fake/bulk",
            r#"{"keys":["a","bad","c"],"parallelism":3}"#,
        )
        .await;
    let want = r#"[{"key":"a","data":"app||a"},{"key":"bad","error":"some error"},{"key":"c","data":"app||c"}]"#;
    assert_eq!(answer.text, want);
    assert_eq!(fake.calls.lock().pop().unwrap(), "bulk_get 3");
    for body in [
        r#"{"keys":["a",1]}"#,
        r#"{"keys":["a"],"parallelism":"2"}"#,
        "[]",
        "foo",
    ] {
        let answer = bench.http("POST", "/v1.0/state/mem/bulk", body).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, "ERR_MALFORMED_REQUEST"),
            "{body}"
        );
    }
}

#[tokio::test]
async fn queries() {
    let fake = Fake::new(None);
    let mut snapshot = Snapshot::default();
    snapshot
        .state
        .extend([loaded("fake", &[], fake.clone() as Arc<dyn StateStore>)]);
    let bench = bench(snapshot);
    let target = "/v1.0-alpha1/state/fake/query?metadata.a=b";
    let body = r#"{"FILTER":{"EQ":{"a":1}},"sort":[{"KEY":"k","order":"DESC"}],"page":{"limit":3,"token":"t"}}"#;
    let answer = bench.http("POST", target, body).await;
    let want = r#"{"results":[{"key":"a","data":{"z":1},"etag":"e"},{"key":"b","data":"not json","etag":"e","error":"an error"}],"token":"next","metadata":{"m":"n"}}"#;
    assert_eq!((answer.status, answer.text.as_str()), (200, want));
    let query = fake.query.lock().take().unwrap();
    assert_eq!(
        query.json,
        r#"{"filter":{"EQ":{"a":1}},"sort":[{"key":"k","order":"DESC"}],"page":{"limit":3,"token":"t"}}"#
    );
    assert_eq!(query.metadata["a"], "b");
    let nothing = bench.http("PUT", target, r#"{"page":{"token":"nothing"}}"#).await;
    assert_eq!((nothing.status, nothing.text.as_str()), (204, ""));
    assert_eq!(bench.http("POST", target, "null").await.status, 200);
    for bad in ["", "foo", "[]", "{} trailing", r#"{"filter":5}"#] {
        let answer = bench.http("POST", target, bad).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (500, "ERR_STATE_QUERY"),
            "{bad}"
        );
        assert!(
            answer
                .message()
                .starts_with("state store fake query failed: failed to parse JSON query body: ")
        );
    }
}
