//! With a script in the sidecar's place, and its API served here.

use super::*;
use crate::run::{logs::Source, ports::Ports, settings::Settings};
use std::{fs, os::unix::fs::PermissionsExt, path::Path};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

/// A sidecar that ends in order.
const ORDERLY: &str = "trap 'exit 0' TERM INT; sleep 60 & wait";

fn unit(folder: &Path, sidecar: &str, application: &str, port: u16) -> Unit {
    let executable = folder.join("sidecar");
    fs::write(&executable, format!("#!/bin/sh\n{sidecar}\n")).unwrap();
    fs::set_permissions(&executable, fs::Permissions::from_mode(0o755)).unwrap();
    let settings = Settings {
        app_id: Some("one".into()),
        app_dir_path: Some(folder.display().to_string()),
        command: Some(vec!["/bin/sh".into(), "-c".into(), application.into()]),
        ..Settings::default()
    };
    let mut app = App::new(settings, Some(folder), &mut Ports::default()).unwrap();
    app.ports.http = port;
    let sink = |source| Sink::new("one", source, 0, None, None).unwrap();
    let member = Member {
        origin: Origin {
            path: "dapr.yaml".into(),
            name: "test".into(),
        },
        app: sink(Source::App),
        daprd: sink(Source::Daprd),
        app_file: None,
        daprd_file: None,
    };
    Unit {
        app,
        member: Some(member),
        executable,
        guard: None,
        stop: Stop::default(),
        messages: Messages::default(),
    }
}

/// An API that says yes to everything, and what it was told.
async fn api() -> (u16, Arc<parking_lot::Mutex<String>>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let told: Arc<parking_lot::Mutex<String>> = Arc::default();
    let heard = told.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let heard = heard.clone();
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                while let Ok(read) = stream.read(&mut buffer).await
                    && read > 0
                {
                    heard.lock().push_str(&String::from_utf8_lossy(&buffer[..read]));
                    let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
                }
            });
        }
    });
    (port, told)
}

#[tokio::test]
async fn the_exit_code_of_the_application_is_passed_on() {
    let (folder, (port, _)) = (tempfile::tempdir().unwrap(), api().await);
    let failing = unit(folder.path(), ORDERLY, "exit 7", port);
    assert_eq!(
        failing.run().await,
        Outcome::Failed("The App process exited with error: exit code 7".into(), 7)
    );
    assert!(
        failing.stop.requested.is_cancelled(),
        "the others of the template hear of it"
    );
    let done = unit(folder.path(), ORDERLY, "exit 0", port);
    assert_eq!(done.run().await, Outcome::Done);
    assert!(!done.stop.requested.is_cancelled());
}

#[tokio::test]
async fn a_sidecar_that_dies_at_its_start_ends_the_run_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let script = "echo 'level=info msg=begin'; echo 'level=fatal msg=bad'; exit 1";
    // no API answers
    let unit = unit(folder.path(), script, "touch started", 1);
    let Outcome::Failed(what, code) = unit.run().await else {
        panic!("it must fail")
    };
    assert!(
        what.starts_with("the sidecar ended while it started: exit code 1"),
        "{what}"
    );
    assert_eq!(code, 1);
    assert!(!folder.path().join("started").exists());
}

#[tokio::test]
async fn a_sidecar_that_dies_ends_its_application() {
    let (folder, (port, _)) = (tempfile::tempdir().unwrap(), api().await);
    let script = "while ! [ -e \"$(dirname \"$0\")/started\" ]; do sleep 0.05; done; exit 9";
    let unit = unit(folder.path(), script, "touch started; sleep 60", port);
    let Outcome::Failed(what, 1) = unit.run().await else {
        panic!("it must fail")
    };
    assert!(
        what.starts_with("the sidecar ended while the application ran: exit code 9"),
        "{what}"
    );
}

#[tokio::test]
async fn a_sidecar_that_was_told_to_end_ends_its_application_only() {
    let (folder, (port, _)) = (tempfile::tempdir().unwrap(), api().await);
    let script = "while ! [ -e \"$(dirname \"$0\")/started\" ]; do sleep 0.05; done; exit 0";
    let unit = unit(folder.path(), script, "touch started; sleep 60", port);
    assert_eq!(unit.run().await, Outcome::Stopped);
    assert!(!unit.stop.requested.is_cancelled());
}

#[tokio::test]
async fn the_wish_to_end_ends_both_and_the_sidecar_knew_of_the_application() {
    let (folder, (port, told)) = (tempfile::tempdir().unwrap(), api().await);
    let unit = unit(folder.path(), ORDERLY, "sleep 60", port);
    let running = tokio::spawn({
        let unit = unit.clone();
        async move { unit.run().await }
    });
    while !told.lock().contains("GET /v1.0/healthz HTTP") {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    unit.stop.requested.cancel();
    assert_eq!(running.await.unwrap(), Outcome::Stopped);
    let told = told.lock().clone();
    for key in ["cliPID", "appPID", "appCommand", "runTemplatePath", "runTemplateName"] {
        assert!(told.contains(&format!("PUT /v1.0/metadata/{key} ")), "{key} in {told}");
    }
}

#[tokio::test]
async fn a_command_that_is_not_there_is_told_with_its_folder() {
    let (folder, (port, _)) = (tempfile::tempdir().unwrap(), api().await);
    let mut unit = unit(folder.path(), ORDERLY, "", port);
    unit.app.command = vec!["no-such-command".into()];
    let Outcome::Failed(what, code) = unit.run().await else {
        panic!("it must fail")
    };
    assert!(
        what.contains("\"no-such-command\"") && what.ends_with("there is no such command"),
        "{what}"
    );
    assert_eq!(code, 127);
}
