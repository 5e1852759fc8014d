use super::*;

fn code(line: &str) -> String {
    format!("{:?}", main(line.split(' ').map(OsString::from)))
}

#[test]
fn exit_codes_tell_flags_from_other_errors() {
    let expected = |code: u8| format!("{:?}", ExitCode::from(code));
    assert_eq!(code("dapr list --no-such-flag"), expected(255));
    assert_eq!(code("dapr nothing"), expected(255));
    assert_eq!(code("dapr run --help"), expected(0));
    assert_eq!(code("dapr stop"), expected(1));
    assert_eq!(code("dapr workflow list --app-id x"), expected(1));
    assert_eq!(code("dapr list -k"), expected(1));
    assert_eq!(code("dapr run -k"), expected(1));
}
