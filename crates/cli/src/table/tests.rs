use super::*;

#[test]
fn columns_are_aligned_and_lines_have_no_spaces_at_their_end() {
    let mut table = Table::new(&["APP ID", "HTTP PORT", "COMMAND"]);
    table.row(["größe".into(), "3500".into(), String::new()]);
    table.row(["a-long-name".into(), "3".into(), "python3\n app.py".into()]);
    assert_eq!(
        table.render(),
        "APP ID       HTTP PORT  COMMAND\n\
         größe        3500\n\
         a-long-name  3          python3 app.py\n"
    );
}

#[test]
fn long_texts_are_cut() {
    assert_eq!(cut("node app.js", 20), "node app.js");
    assert_eq!(cut("uvicorn main:application", 20), "uvicorn main:appl...");
}

#[test]
fn values_become_json_and_yaml() {
    let values = serde_json::json!([{ "appId": "one", "httpPort": 3500 }]);
    let json = structured(&values, Format::Json).unwrap().unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap(), values);
    let yaml = structured(&values, Format::Yaml).unwrap().unwrap();
    assert!(yaml.contains("appId: one") && yaml.contains("httpPort: 3500"), "{yaml}");
    assert!(structured(&values, Format::Table).unwrap().is_none());
}
