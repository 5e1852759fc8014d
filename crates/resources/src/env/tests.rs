use proptest::prelude::*;

use super::*;

fn lookup(name: &str) -> Option<String> {
    match name {
        "HOME" => Some("/home/me".to_owned()),
        "H_2" => Some("$HOME".to_owned()),
        "EMPTY" => Some(String::new()),
        "1" => Some("one".to_owned()),
        "*" => Some("all".to_owned()),
        _ => None,
    }
}

#[test]
fn variables_are_expanded_as_go_does() {
    let cases = [
        ("no variable", "no variable"),
        ("$HOME/x", "/home/me/x"),
        ("${HOME}x", "/home/mex"),
        ("$HOMEx|", "|"),
        ("a${UNSET}b$UNSET", "ab"),
        ("$H_2", "$HOME"),
        ("$EMPTY.", "."),
        ("price: 5$", "price: 5$"),
        ("$ x", "$ x"),
        ("$.", "$."),
        ("$$HOME", "HOME"),
        ("$1.50", "one.50"),
        ("$*!", "all!"),
        ("${*}", "all"),
        ("${}x", "x"),
        ("${HOME", "HOME"),
        ("$ü", "$ü"),
        ("ü$HOMEü", "ü/home/meü"),
    ];
    for (text, expected) in cases {
        assert_eq!(expand(text, lookup), expected, "{text}");
    }
}

#[test]
fn some_variables_are_out_of_reach() {
    let check = |name: &str, allowed: Option<&str>| check_env_ref(name, allowed);
    assert_eq!(check("", None), Err(EnvRefError::Empty));
    assert_eq!(check("A B", None), Err(EnvRefError::Space("A B".into())));
    assert_eq!(
        check("APP_API_TOKEN", None),
        Err(EnvRefError::Reserved("APP_API_TOKEN".into()))
    );
    assert_eq!(
        check("DAPR_API_TOKEN", Some("DAPR_API_TOKEN")),
        Err(EnvRefError::Reserved("DAPR_API_TOKEN".into()))
    );
    assert_eq!(
        check("dapr_api_token", None),
        Err(EnvRefError::Reserved("dapr_api_token".into()))
    );
    assert_eq!(check("MINE", None), Ok(()));
    assert_eq!(check("MINE", Some("")), Ok(()));
    assert_eq!(check("MINE", Some("OTHER MINE")), Ok(()));
    assert_eq!(
        check("MINE", Some("OTHER MINES")),
        Err(EnvRefError::NotAllowed("MINE".into()))
    );
}

#[test]
fn a_reference_is_resolved() {
    assert_eq!(resolve_env_ref("HOME", lookup), Ok("/home/me".to_owned()));
    assert_eq!(resolve_env_ref("UNSET", lookup), Ok(String::new()));
    let restricted = |name: &str| {
        if name == ALLOWED_KEYS_VARIABLE {
            Some("X".to_owned())
        } else {
            lookup(name)
        }
    };
    assert_eq!(
        resolve_env_ref("HOME", restricted),
        Err(EnvRefError::NotAllowed("HOME".into()))
    );
}

proptest! {
    #[test]
    fn no_text_panics(text in "(\\PC|\\$|\\{|\\}|[A-Z]){0,40}") {
        let _ = expand(&text, lookup);
        let _ = check_env_ref(&text, Some(&text));
    }
}
