use super::*;
use std::os::unix::process::CommandExt;

#[test]
fn this_process_is_listed_with_its_command() {
    let all = processes().unwrap();
    let own = all.iter().find(|process| process.pid == std::process::id()).unwrap();
    assert!(!own.command.is_empty() && own.parent > 0 && own.group > 0);
    let age = jiff::Timestamp::now().as_second() - own.started;
    assert!((-2..3600).contains(&age), "{age}");
}

#[test]
fn a_group_gets_a_signal_and_the_exit_code_tells() {
    let mut child = Command::new("/bin/sh")
        .args(["-c", "sleep 60 & wait"])
        .process_group(0)
        .spawn()
        .unwrap();
    let gone = Target::Process(u32::MAX / 4);
    send(Signal::Kill, &[gone, Target::Group(child.id())]).unwrap();
    let status = child.wait().unwrap();
    assert_eq!(exit_code(status), 137);
    assert_eq!(describe(status), "signal 9");
    let code = Command::new("/bin/sh").args(["-c", "exit 3"]).status().unwrap();
    assert_eq!((exit_code(code), describe(code).as_str()), (3, "exit code 3"));
}

#[test]
fn descendants_are_found_over_generations() {
    let process = |pid, parent| Process {
        pid,
        parent,
        group: 1,
        started: 0,
        birth: 0,
        command: Vec::new(),
    };
    let all = [
        process(5, 3),
        process(3, 2),
        process(2, 1),
        process(4, 1),
        process(9, 8),
    ];
    assert_eq!(descendants(&all, 2), HashSet::from([3, 5]));
    assert_eq!(descendants(&all, 9), HashSet::new());
}

#[cfg(target_os = "linux")]
#[test]
fn odd_names_in_proc_are_read() {
    let stat = "77 (a) b (c)) S 7 70 1 0 -1 4 1 0 0 0 2 1 0 0 20 0 1 0 12345 1 2";
    let process = linux::parse(77, stat, 1000).unwrap();
    assert_eq!(
        (process.parent, process.group, process.birth, process.started),
        (7, 70, 12345, 1123)
    );
    assert!(linux::parse(77, "77 (a) Z 7 70 1 0 -1 4 1 0 0 0 2 1 0 0 20 0 1 0 12345", 0).is_none());
    assert!(linux::parse(77, "nonsense", 0).is_none());
}

#[test]
fn lines_of_ps_are_read() {
    let line = "  501   1  501 Ss   Mon Nov 24 11:20:01 2026 2-01:00:05 /opt/daprd --app-id x";
    let process = ps::parse(line, 1_000_000).unwrap();
    assert_eq!((process.pid, process.parent, process.group), (501, 1, 501));
    assert_eq!(process.started, 1_000_000 - (2 * 86400 + 3605));
    assert_eq!(process.command, ["/opt/daprd", "--app-id", "x"]);
    assert!(ps::parse("501 1 501 Z Mon Nov 24 11:20:01 2026 00:05 x", 0).is_none());
    assert!(ps::parse("", 0).is_none());
}
