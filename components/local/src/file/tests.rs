use super::*;
use component::Properties;

const TEXT: &str = r#"{
    "password": "x\u00e9\"",
    "db": {"users": ["ann", {"name": "bob"}], "port": 5432, "tls": true, "none": null},
    "big": 12345678901234567890123.50,
    "empty": {}
}"#;

fn options(pairs: &[(&str, &str)]) -> Options {
    let properties: Properties = [("secretsFile", "unused")].iter().chain(pairs).copied().collect();
    Options::decode(&properties).expect("decodes")
}

fn file(text: &str, pairs: &[(&str, &str)]) -> Result<File, String> {
    File::parse(text, &options(pairs))
}

async fn read(store: &File, name: &str) -> Result<String, String> {
    let mut secret = store.get(name, &Metadata::new()).await.map_err(|e| e.to_string())?;
    Ok(secret.remove(name).expect("has its own name"))
}

#[tokio::test]
async fn each_single_value_is_a_secret() {
    let store = file(TEXT, &[]).expect("parses");
    for (name, value) in [
        ("password", "xé\""),
        ("db:users:0", "ann"),
        ("db:users:1:name", "bob"),
        ("db:port", "5432"),
        ("db:tls", "true"),
        ("db:none", ""),
        ("big", "12345678901234567890123.50"),
    ] {
        assert_eq!(read(&store, name).await.as_deref(), Ok(value), "{name}");
    }
    for name in ["db", "db:users", "empty", "key1"] {
        assert_eq!(read(&store, name).await, Err(format!("secret {name} not found")));
    }
    assert_eq!(store.bulk_get(&Metadata::new()).await.expect("answers").len(), 7);
    assert!(!store.multiple_values());
    let store = file(TEXT, &[("nestedSeparator", ".")]).expect("parses");
    assert_eq!(read(&store, "db.users.0").await.as_deref(), Ok("ann"));
}

#[tokio::test]
async fn a_secret_may_have_several_values() {
    let store = file(TEXT, &[("multiValued", "true")]).expect("parses");
    assert!(store.multiple_values());
    let db = store.get("db", &Metadata::new()).await.expect("is there");
    let pairs: Vec<(&str, &str)> = db.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let expected = [
        ("none", ""),
        ("port", "5432"),
        ("tls", "true"),
        ("users:0", "ann"),
        ("users:1:name", "bob"),
    ];
    assert_eq!(pairs, expected);
    assert_eq!(read(&store, "password").await.as_deref(), Ok("xé\""));
}

#[tokio::test]
async fn what_is_no_object_is_refused() {
    for text in ["", "[]", "7", "{", r#"{"a": [}"#] {
        assert!(file(text, &[]).is_err(), "{text}");
    }
    let deep = format!(r#"{{"a": {}1{}}}"#, "[".repeat(5000), "]".repeat(5000));
    assert!(file(&deep, &[]).is_err());
    assert!(file("{}", &[]).is_ok());
}

#[tokio::test]
async fn opening_needs_the_file() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("secrets.json");
    let options = || options(&[("secretsFile", path.to_str().expect("is text"))]);
    let error = File::open(options(), Open::default())
        .await
        .err()
        .expect("there is no file");
    assert!(error.to_string().contains("secrets.json"), "{error}");
    std::fs::write(&path, TEXT).expect("writes");
    let store = File::open(options(), Open::default()).await.expect("opens");
    assert_eq!(read(&store, "db:port").await.as_deref(), Ok("5432"));
    assert!(Options::decode(&Properties::default()).is_err());
}
