use super::*;
use crate::run::settings::Paths;

/// A folder with two applications' folders, and a template's text in it.
fn parse(text: &str) -> (tempfile::TempDir, Result<Template>) {
    let folder = tempfile::tempdir().unwrap();
    for app in ["web", "back"] {
        fs::create_dir(folder.path().join(app)).unwrap();
    }
    let parsed = Template::parse(text, folder.path().join(FILE));
    (folder, parsed)
}

fn error(text: &str) -> String {
    format!("{:#}", parse(text).1.unwrap_err())
}

#[test]
fn applications_are_over_what_is_common() {
    let (folder, template) = parse(
        "version: 1\nname: shop\ncommon:\n  resourcesPath: ./res\n  logLevel: warn\n  env: {A: 1, B: true, C: ~}\n\
         apps:\n- appID: web\n  appDirPath: ./web\n  appPort: 8080\n  env: {B: mine}\n  command: [python3, app.py, 5]\n\
         - appDirPath: back\n  resourcesPaths: own, ../more\n  LOGLEVEL: debug\n  daprHTTPPort: 3510\n",
    );
    let template = template.unwrap();
    assert_eq!((template.name.as_str(), template.warnings.len()), ("shop", 0));
    let [web, back] = &template.apps[..] else {
        panic!("two applications")
    };
    let at = |path: &str| folder.path().join(path).display().to_string();
    assert_eq!(web.app_id.as_deref(), Some("web"));
    assert_eq!(web.app_dir_path, Some(at("web")));
    assert_eq!(web.resources(), Some(vec![at("res")]));
    assert_eq!(web.command.as_deref().unwrap(), ["python3", "app.py", "5"]);
    let env: Vec<(&str, &str)> = web
        .env
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(env, [("A", "1"), ("B", "mine"), ("C", "")]);
    assert_eq!(web.log_level.as_deref(), Some("warn"));
    // without an id it is that of the folder; paths of an application are from its own folder
    assert_eq!(back.app_id.as_deref(), Some("back"));
    assert_eq!(back.resources(), Some(vec![at("back/own"), at("more")]));
    assert_eq!(
        (back.log_level.as_deref(), back.dapr_http_port),
        (Some("debug"), Some(3510))
    );
}

#[test]
fn an_applications_folder_may_hold_its_files() {
    let folder = tempfile::tempdir().unwrap();
    let hidden = folder.path().join("web/.dapr");
    fs::create_dir_all(hidden.join("resources")).unwrap();
    fs::write(hidden.join("config.yaml"), "").unwrap();
    let text = "common: {resourcesPath: res, configFilePath: c.yaml}\napps: [{appDirPath: web}]";
    let template = Template::parse(text, folder.path().join(FILE)).unwrap();
    let app = &template.apps[0];
    assert_eq!(
        app.resources(),
        Some(vec![hidden.join("resources").display().to_string()])
    );
    assert_eq!(
        app.config_file_path,
        Some(hidden.join("config.yaml").display().to_string())
    );
    let name = folder.path().file_name().unwrap().to_str().unwrap();
    assert_eq!(template.name, name);
}

#[test]
fn what_has_no_effect_is_reported_with_its_place() {
    let (_folder, template) =
        parse("extra: 1\ncommon: {appPort: 3}\napps: [{appDirPath: web, appID: a, deamon: true}]");
    let template = template.unwrap();
    assert_eq!(
        template.warnings,
        [
            "extra: unknown field, it has no effect",
            "apps[0] (a): deamon: unknown field, it has no effect",
            "common.appPort: only an application can have it, it has no effect",
        ]
    );
    assert_eq!(template.apps[0].app_port, None);
}

#[test]
fn errors_name_the_application_and_the_field() {
    assert_eq!(
        error("apps: [{appDirPath: web}, {appID: b, appDirPath: back, appPort: many}]"),
        "apps[1] (b): appPort: expected a whole number, found the text \"many\""
    );
    assert!(error("apps: [{appDirPath: nowhere}]").starts_with("apps[0] (nowhere): appDirPath: there is no folder /"));
    assert_eq!(error("apps: [{appID: x}]"), "apps[0] (x): appDirPath: it is missing");
    assert_eq!(
        error("apps: [{appDirPath: web, env: [A]}]"),
        "apps[0] (web): env: expected a map, found a list"
    );
    assert_eq!(
        error("apps: [{appDirPath: web, resourcesPaths: {a: b}}]"),
        "apps[0] (web): resourcesPaths: expected a list of paths, found a map"
    );
    assert_eq!(
        error("apps: [{appDirPath: web}, {appID: web, appDirPath: back}]"),
        "appID: two applications are called \"web\"; each needs an id of its own"
    );
    assert_eq!(
        error("version: 2\napps: [{appDirPath: web}]"),
        "version: expected 1, found 2"
    );
    assert_eq!(error("apps:\n"), "apps: there is no application");
    assert_eq!(error("# nothing"), "it is empty");
    assert!(error("apps: [{appDirPath: web}]\n---\napps: []").contains("a second one"));
    assert!(error("a: [").starts_with("it is no YAML: "));
}

#[test]
fn paths_are_a_list_or_have_commas() {
    let paths = |text: &str| Paths::try_from(serde_json::from_str::<Value>(text).unwrap());
    assert_eq!(paths(r#"["a", "b,c"]"#).unwrap().0, ["a", "b", "c"]);
    assert_eq!(paths(r#""a , b""#).unwrap().0, ["a", "b"]);
    assert!(paths(r#"[["a"]]"#).is_err());
}

#[test]
fn a_folder_means_its_template() {
    let folder = tempfile::tempdir().unwrap();
    let error = file(folder.path()).unwrap_err().to_string();
    assert!(error.starts_with("there is no dapr.yaml in the folder "), "{error}");
    let path = folder.path().canonicalize().unwrap().join(FILE);
    fs::write(&path, "").unwrap();
    assert_eq!(file(folder.path()).unwrap(), path);
    assert_eq!(file(&path).unwrap(), path);
    assert!(file(&folder.path().join("other.yaml")).is_err());
    assert_eq!(
        file(Path::new("-")).unwrap(),
        std::env::current_dir().unwrap().join("-")
    );
}
