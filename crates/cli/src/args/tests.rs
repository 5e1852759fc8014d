use super::*;
use clap::{CommandFactory, FromArgMatches};

fn run(line: &str) -> Run {
    let words = std::iter::once("dapr")
        .chain(std::iter::once("run"))
        .chain(line.split(' ').filter(|word| !word.is_empty()));
    let matches = crate::command().try_get_matches_from(words).unwrap();
    match Cli::from_arg_matches(&matches).unwrap().command {
        Some(Command::Run(run)) => *run,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_definition_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn an_application_begins_at_the_first_word_that_is_no_flag() {
    let flags = run("-a one -p 3000 --log-level warn node --inspect app.js -p 4");
    assert_eq!((flags.app_id.as_deref(), flags.app_port), (Some("one"), Some(3000)));
    assert_eq!(flags.command, ["node", "--inspect", "app.js", "-p", "4"]);
    assert_eq!(
        run("--app-id one -- -x --app-id two").command,
        ["-x", "--app-id", "two"]
    );
    assert!(
        crate::command()
            .try_get_matches_from(["dapr", "run", "--no-such-flag", "node"])
            .is_err()
    );
}

#[test]
fn flags_are_read_as_the_original_reads_them() {
    let flags = run("-p=3000 -H3501 -G -1 --enable-api-logging=false --enable-profiling --app-id one --app-id two");
    assert_eq!(
        (flags.app_port, flags.dapr_http_port, flags.dapr_grpc_port),
        (Some(3000), Some(3501), Some(-1))
    );
    assert_eq!(
        (flags.enable_api_logging, flags.enable_profiling),
        (Some(false), Some(true))
    );
    assert_eq!(flags.app_id.as_deref(), Some("two"));
    let flags = run("--resources-path a,b --resources-path c -I 5 -M 6 -P grpc -u /s -c x.yaml -f -");
    assert_eq!(flags.resources_path, ["a", "b", "c"]);
    let settings = flags.settings();
    assert_eq!(
        settings.resources(),
        Some(vec!["a".to_owned(), "b".to_owned(), "c".to_owned()])
    );
    assert_eq!(settings.config_file_path.as_deref(), Some("x.yaml"));
    assert_eq!(run("-d old").settings().resources(), Some(vec!["old".to_owned()]));
}

#[test]
fn what_is_not_given_stays_open() {
    assert_eq!(run("").settings(), crate::run::settings::Settings::default());
}

#[test]
fn flags_of_other_commands() {
    let ok = |line: &str| crate::command().try_get_matches_from(line.split(' ')).is_ok();
    for line in [
        "dapr --log-as-json list",
        "dapr list --log-as-json -o yaml",
        "dapr invoke -a x -m y -v GET -d {} -u /tmp",
        "dapr publish -i x -p y -t z -f file -m {}",
        "dapr stop -a x -a y",
        "dapr stop -f .",
        "dapr init -s --runtime-version 1.18.3 --enable-mtls=false --set a=b --set c=d",
        "dapr uninstall --all",
        "dapr components state.redis -o table",
        "dapr completion zsh",
        "dapr wf list --app-id x -o wide",
        "dapr -v",
    ] {
        assert!(ok(line), "{line}");
    }
    for line in [
        "dapr list -o xml",
        "dapr invoke -a x",
        "dapr publish -i x -p y -t z -d a -f b",
        "dapr completion tcsh",
    ] {
        assert!(!ok(line), "{line}");
    }
}
