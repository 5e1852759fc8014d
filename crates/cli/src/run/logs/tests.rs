use super::*;

fn sink(file: Option<&Path>) -> Sink {
    Sink::new("one", Source::App, 7, None, file).unwrap()
}

#[test]
fn a_colour_is_around_the_prefix_only() {
    let sink = sink(None);
    assert_eq!(sink.prefix, "== APP - one == ");
    assert_eq!(colour(&sink.prefix, sink.colour), "\x1b[33m== APP - one ==\x1b[0m ");
    assert_eq!(
        Sink::new("two", Source::Daprd, 0, None, None).unwrap().prefix,
        "== DAPRD - two == "
    );
}

#[test]
fn lines_go_to_the_file_with_their_prefix() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "one", Source::App, "20260101000000");
    assert_eq!(path, folder.path().join(".dapr/logs/one_app_20260101000000.log"));
    let sink = sink(Some(&path));
    sink.read(&b"first\r\n\nlast without end \xff"[..], Stream::Out, true);
    let written = fs::read(&path).unwrap();
    assert_eq!(
        written,
        b"== APP - one == first\n== APP - one == \n== APP - one == last without end \xff\n"
    );
    assert_eq!(sink.last_lines().len(), 3);
}

#[test]
fn long_lines_are_split_and_few_are_kept() {
    let sink = sink(None);
    let long = "x".repeat(usize::try_from(LONGEST).unwrap() + 10);
    sink.read(long.as_bytes(), Stream::Err, false);
    assert_eq!(sink.last_lines().len(), 2);
    let many = "line\n".repeat(100);
    sink.read(many.as_bytes(), Stream::Err, false);
    assert_eq!(sink.last_lines().len(), KEPT);
}

#[test]
fn the_output_of_a_program_arrives() {
    let sink = sink(None);
    let (out, err) = sink.ends().unwrap();
    let mut command = std::process::Command::new("/bin/sh");
    command.args(["-c", "echo out; echo err >&2"]).stdout(out).stderr(err);
    assert!(command.status().unwrap().success());
    drop(command);
    while sink.last_lines().len() < 2 {
        std::thread::yield_now();
    }
    let mut lines = sink.last_lines();
    lines.sort();
    assert_eq!(lines, ["err", "out"]);
}
