use super::*;
use crate::{state::State, testing::Server};
use component::{
    Component, Config, Metadata, Open, Properties,
    state::{Concurrency, Delete, Feature, Get, Operation, Options as WriteOptions, Queries, Set, StateStore},
};

const INDEXES: &str = r#"[{"name": "orgIndx", "indexes": [
    {"key": "person.org", "type": "TEXT"}, {"key": "person.id", "type": "NUMERIC"}, {"key": "state", "type": "TEXT"}]}]"#;

fn words(command: &Cmd) -> Vec<String> {
    command
        .args_iter()
        .filter_map(|arg| match arg {
            redis::Arg::Simple(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
            _ => None,
        })
        .collect()
}

fn search(json: &str) -> Result<Vec<String>, String> {
    let query = Query {
        json: json.into(),
        metadata: [("contentType", "application/json"), ("queryIndexName", "orgIndx")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into(),
    };
    let search = translate(&indexes(INDEXES).expect("JSON"), &query).map_err(|e| e.message)?;
    Ok(words(&search.command))
}

fn filtered(json: &str) -> Result<String, String> {
    search(&format!(r#"{{"filter": {json}}}"#)).map(|words| words[2].clone())
}

#[test]
fn an_index_is_made_over_the_data() {
    let index = &indexes(INDEXES).expect("JSON")[0];
    assert_eq!(
        words(&index.create())[..11].join(" "),
        "FT.CREATE orgIndx ON JSON STOPWORDS 0 SCHEMA $.data.person.org AS field0 TEXT"
    );
    assert!(indexes("{").is_err());
    assert!(indexes(r#"[{"name": "x", "indexes": [{"key": "a", "type": "GEO"}]}]"#).is_err());
    assert!(indexes("").expect("none").is_empty());
}

#[test]
fn pages_and_order() {
    let query = r#"{"filter": {"EQ": {"state": "CA"}}, "sort": [{"key": "person.id", "order": "DESC"}],
        "page": {"limit": 3, "token": "6"}}"#;
    assert_eq!(
        search(query).expect("fits").join(" "),
        r#"FT.SEARCH orgIndx @field2:("CA") SORTBY field1 DESC LIMIT 6 3 RETURN 2 $.data $.version"#
    );
    assert_eq!(
        search("{}").expect("fits").join(" "),
        "FT.SEARCH orgIndx * LIMIT 0 10000 RETURN 2 $.data $.version"
    );
    assert!(search(r#"{"page": {"token": "x"}}"#).is_err());
    assert!(search(r#"{"sort": [{"key": "state"}, {"key": "person.id"}]}"#).is_err());
}

#[test]
fn filters() {
    for (json, text) in [
        (r#"{"EQ": {"person.id": 1036}}"#, "@field1:[1036 1036]"),
        (r#"{"NEQ": {"state": "CA"}}"#, r#"(-@field2:("CA"))"#),
        (
            r#"{"IN": {"person.org": ["Dev Ops", "Hard\"ware"]}}"#,
            r#"@field0:("Dev Ops"|"Hard\"ware")"#,
        ),
        (
            r#"{"IN": {"person.id": [1, 2.5]}}"#,
            "(@field1:[1 1]|@field1:[2.5 2.5])",
        ),
        (r#"{"GT": {"person.id": 1}}"#, "@field1:[(1 +inf]"),
        (r#"{"LTE": {"person.id": "7"}}"#, "@field1:[-inf 7]"),
        (
            r#"{"OR": [{"EQ": {"state": "CA"}}, {"AND": [{"EQ": {"person.org": "A"}}, {"GTE": {"person.id": 2}}]}]}"#,
            r#"(@field2:("CA")|(@field0:("A") @field1:[2 +inf]))"#,
        ),
    ] {
        assert_eq!(filtered(json).as_deref(), Ok(text), "{json}");
    }
    for json in [
        r#"{"EQ": {"city": "x"}}"#,
        r#"{"EQ": {"state": "CA", "person.org": "A"}}"#,
        r#"{"EQ": {"person.id": "] @field0:(x)"}}"#,
        r#"{"EQ": {"person.id": "inf"}}"#,
        r#"{"GT": {"state": "CA"}}"#,
        r#"{"LIKE": {"state": "CA"}}"#,
        r#"{"IN": {"state": []}}"#,
        r#"{"AND": []}"#,
        r#""x""#,
    ] {
        assert!(filtered(json).is_err(), "{json}");
    }
}

/// What a request about JSON documents says.
fn json() -> Metadata {
    [("contentType".to_owned(), "application/json".to_owned())].into()
}

async fn with_documents(server: &Server) -> State {
    let mut properties: Properties = [("queryIndexes", INDEXES)].into_iter().collect();
    properties.set("redisHost", server.host());
    let options = Config::decode(&properties).expect("decodes");
    let state = State::open(options, Open::default()).await.expect("opens");
    for (key, org, id, region) in [
        ("app||1", "Dev Ops", 1036, "WA"),
        ("app||2", "Hardware", 1028, "OR"),
        ("app||3", "Finance", 1071, "CA"),
        ("app||4", "Dev Ops", 1042, "CA"),
    ] {
        let value = serde_json::json!({"person": {"org": org, "id": id}, "state": region});
        let request = Set {
            key: key.into(),
            value: value.to_string().into(),
            metadata: json(),
            ..Set::default()
        };
        state.set(request).await.expect("writes");
    }
    state
}

async fn ask(state: &State, text: &str) -> (Vec<String>, String) {
    let mut metadata = json();
    metadata.insert("queryIndexName".into(), "orgIndx".into());
    let query = Query {
        json: text.into(),
        metadata,
    };
    let result = state.query(query).await.expect("answers");
    assert!(
        result
            .items
            .iter()
            .all(|item| item.error.is_empty() && item.etag.is_some())
    );
    let keys = result.items.into_iter().map(|item| item.key.replace("app||", ""));
    (keys.collect(), result.token)
}

#[tokio::test]
#[ignore = "needs a Redis Stack: set REDIS_STACK to its folder"]
async fn documents_are_kept_and_found() {
    let server = Server::stack(&std::env::var("REDIS_STACK").expect("REDIS_STACK is the folder of a Redis Stack"));
    let state = with_documents(&server).await;
    assert!(state.features().contains(&Feature::QueryApi));
    for (text, keys, token) in [
        (
            r#"{"filter": {"EQ": {"state": "CA"}}, "sort": [{"key": "person.id", "order": "DESC"}]}"#,
            "3 4",
            "",
        ),
        (
            r#"{"filter": {"EQ": {"person.org": "Dev Ops"}}, "sort": [{"key": "person.id"}]}"#,
            "1 4",
            "",
        ),
        (
            r#"{"filter": {"IN": {"person.id": [1036, 1028]}}, "sort": [{"key": "person.id"}]}"#,
            "2 1",
            "",
        ),
        (
            r#"{"filter": {"AND": [{"NEQ": {"state": "CA"}}, {"GT": {"person.id": 1028}}]}}"#,
            "1",
            "",
        ),
        (
            r#"{"filter": {"OR": [{"EQ": {"state": "OR"}}, {"LT": {"person.id": 1042}}]}, "sort": [{"key": "person.id"}]}"#,
            "2 1",
            "",
        ),
        (
            r#"{"sort": [{"key": "person.id"}], "page": {"limit": 3}}"#,
            "2 1 4",
            "3",
        ),
        (
            r#"{"sort": [{"key": "person.id"}], "page": {"limit": 3, "token": "3"}}"#,
            "3",
            "",
        ),
        (r#"{"filter": {"EQ": {"person.org": "nobody \"here\""}}}"#, "", ""),
    ] {
        let (found, next) = ask(&state, text).await;
        assert_eq!((found.join(" ").as_str(), next.as_str()), (keys, token), "{text}");
    }
    documents_have_entity_tags(&state).await;
    // The same index again, and then another of the same name.
    with_documents(&server).await;
    let mut redis = server.connect().await;
    let other = "FT.DROPINDEX orgIndx|FT.CREATE orgIndx ON JSON SCHEMA $.data.x AS x TEXT";
    for line in other.split('|') {
        let mut command = redis::Cmd::new();
        line.split(' ')
            .fold(&mut command, redis::Cmd::arg)
            .exec_async(&mut redis)
            .await
            .expect("runs");
    }
    let state = with_documents(&server).await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let (found, _) = ask(&state, r#"{"filter": {"EQ": {"person.id": 1071}}}"#).await;
    assert_eq!(found, ["3"]);
}

async fn documents_have_entity_tags(state: &State) {
    let write = |etag: Option<&str>, metadata: Metadata, options| Set {
        key: "app||1".into(),
        value: r#"{"state": "NY"}"#.into(),
        etag: etag.map(str::to_owned),
        metadata,
        options,
        ..Set::default()
    };
    let plain = WriteOptions::default();
    let first = WriteOptions {
        concurrency: Concurrency::FirstWrite,
        ..plain
    };
    state
        .set(write(Some("7"), json(), plain))
        .await
        .expect_err("another tag");
    state.set(write(None, json(), first)).await.expect_err("is there");
    let mut brief = json();
    brief.insert("ttlInSeconds".into(), "100".into());
    state.set(write(Some("1"), brief, plain)).await.expect("has the tag");
    for metadata in [json(), Metadata::new()] {
        let request = Get {
            key: "app||1".into(),
            metadata,
            ..Get::default()
        };
        let item = state
            .bulk_get(vec![request.clone()], 0)
            .await
            .expect("reads")
            .remove(0)
            .result
            .expect("reads");
        assert_eq!(item, state.get(request).await.expect("reads"));
        let item = item.expect("is there");
        assert_eq!(
            (item.data.as_ref(), item.etag.as_deref()),
            (&br#"{"state":"NY"}"#[..], Some("2"))
        );
        assert!(item.metadata.contains_key("ttlExpireTime"));
    }
    let other = Operation::Upsert(write(None, Metadata::new(), plain));
    let delete = Operation::Delete(Delete {
        key: "app||2".into(),
        etag: Some("1".into()),
        ..Delete::default()
    });
    let transactions = state.transactions().expect("has them");
    transactions
        .execute(vec![other, delete], Metadata::new())
        .await
        .expect("writes a hash over the document");
    for key in ["app||1", "app||2"] {
        let request = Get {
            key: key.into(),
            metadata: json(),
            ..Get::default()
        };
        let item = state.get(request).await.expect("reads");
        assert_eq!(
            item.and_then(|item| item.etag).as_deref(),
            (key == "app||1").then_some("3")
        );
    }
}
