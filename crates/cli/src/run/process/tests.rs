use super::*;

fn shell(script: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]).stdin(std::process::Stdio::null());
    command
}

fn ending(grace: Duration) -> Ending {
    Ending {
        before: Duration::ZERO,
        grace,
        now: CancellationToken::new(),
    }
}

#[tokio::test]
async fn a_group_is_ended_as_a_whole() {
    let mut program = Program::start(shell("sleep 60 & sleep 60"), Family::Group, None).unwrap();
    let status = program.end(&ending(Duration::from_secs(10))).await;
    assert_eq!(platform::exit_code(status), 143);
    assert_eq!(program.members(), Vec::<u32>::new());
}

#[tokio::test]
async fn what_a_program_leaves_behind_is_ended_too() {
    let mut program = Program::start(shell("sleep 60 & exit 4"), Family::Group, None).unwrap();
    assert_eq!(platform::exit_code(program.wait().await), 4);
    assert_eq!(program.members().len(), 1);
    let status = program.end(&ending(Duration::from_secs(10))).await;
    assert_eq!(platform::exit_code(status), 4);
    assert_eq!(program.members(), Vec::<u32>::new());
}

#[tokio::test]
async fn who_does_not_listen_is_killed() {
    // the output tells that the trap is set
    let mut command = shell("trap '' TERM; echo ready; while :; do sleep 1; done");
    command.stdout(std::process::Stdio::piped());
    let mut program = Program::start(command, Family::Group, None).unwrap();
    let mut output = program.child.stdout.take().unwrap();
    tokio::io::AsyncReadExt::read_u8(&mut output).await.unwrap();
    let how = ending(Duration::from_secs(600));
    how.now.cancel();
    assert_eq!(platform::exit_code(program.end(&how).await), 137);
}

#[tokio::test]
async fn a_family_on_our_terminal_is_ended_without_us() {
    let mut command = shell("sleep 60 & sleep 60");
    command.env("MARK", "one");
    let mut program = Program::start(command, Family::Terminal(vec!["MARK=one".into()]), None).unwrap();
    while program.members().len() < 3 {
        tokio::time::sleep(POLL).await;
    }
    let status = program.end(&ending(Duration::from_secs(10))).await;
    assert_eq!(platform::exit_code(status), 143);
    assert_eq!(program.members(), Vec::<u32>::new());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn orphans_of_a_family_are_found_by_their_environment() {
    let mut command = shell("sleep 60 & exit 0");
    command.env("MARK", "two");
    let mut program = Program::start(command, Family::Terminal(vec!["MARK=two".into()]), None).unwrap();
    assert!(program.wait().await.success());
    assert_eq!(program.members().len(), 1);
    program.end(&ending(Duration::from_secs(10))).await;
    assert_eq!(program.members(), Vec::<u32>::new());
}
