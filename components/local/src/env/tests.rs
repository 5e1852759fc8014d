use super::*;

fn env(prefix: &str) -> Env {
    let variables = [
        ("DB_PASSWORD", "x"),
        ("APP_DB_PASSWORD", "y"),
        ("APP_", "z"),
        ("APP_API_TOKEN", "hidden"),
        ("DAPR_API_TOKEN", "hidden"),
        ("dapr_anything", "hidden"),
    ];
    let options = Options { prefix: prefix.into() };
    Env::new(options, variables.map(|(name, value)| (name.into(), value.into())))
}

async fn read(store: &Env, name: &str) -> String {
    let secret = store.get(name, &Metadata::new()).await.expect("answers");
    assert_eq!(secret.len(), 1);
    secret[name].clone()
}

#[tokio::test]
async fn reads_variables_with_the_prefix() {
    let store = env("APP_");
    assert_eq!(read(&store, "DB_PASSWORD").await, "y");
    let all = store.bulk_get(&Metadata::new()).await.expect("answers");
    assert_eq!(
        all,
        BTreeMap::from([("DB_PASSWORD".into(), Secret::from([("DB_PASSWORD".into(), "y".into())]))])
    );
}

#[tokio::test]
async fn what_is_hidden_or_missing_is_empty() {
    let store = env("");
    assert_eq!(read(&store, "DB_PASSWORD").await, "x");
    for name in ["APP_API_TOKEN", "DAPR_API_TOKEN", "dapr_anything", "MISSING"] {
        assert_eq!(read(&store, name).await, "", "{name}");
    }
    assert_eq!(read(&env("APP_"), "API_TOKEN").await, "");
    let all = store.bulk_get(&Metadata::new()).await.expect("answers");
    assert_eq!(
        all.keys().collect::<Vec<_>>(),
        ["APP_", "APP_DB_PASSWORD", "DB_PASSWORD"]
    );
}
