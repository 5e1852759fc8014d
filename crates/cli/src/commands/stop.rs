//! `stop`: ends applications and their sidecars. Whoever runs them (a `dapr run`) ends everything that it started.

use super::not_available;
use crate::{
    args,
    discover::{Running, running},
    messages::Messages,
    platform::{self, Process, Signal, Target},
    run::template,
};
use anyhow::{Context, Result, bail};
use std::{collections::HashSet, time::Duration};
use tokio::time::Instant;

/// How long a run may take to end: longer than it gives to what it started.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long an application may live on after its sidecar, before it is asked to end by us.
const AFTER_SIDECAR: Duration = Duration::from_secs(6);
const POLL: Duration = Duration::from_millis(50);

/// Stops what is named.
pub(crate) async fn stop(args: &args::Stop, messages: &Messages) -> Result<()> {
    if args.kubernetes {
        return Err(not_available("stop --kubernetes"));
    }
    let all = running().await?;
    match &args.run_file {
        Some(_) if !args.app_id.is_empty() => bail!("--app-id and --run-file cannot be given together"),
        Some(file) => {
            let path = template::file(file)?.display().to_string();
            let members: Vec<&Running> = all
                .iter()
                .filter(|sidecar| sidecar.note("runTemplatePath") == path)
                .collect();
            if members.is_empty() {
                bail!("no application of the template {path} runs");
            }
            stop_template(&members).await?;
            messages.success("Dapr and app processes stopped successfully");
            Ok(())
        }
        None if args.app_id.is_empty() => bail!("which application? Say --app-id, or --run-file"),
        None => stop_applications(&args.app_id, &all, messages).await,
    }
}

/// The runs of a template end all of its applications; a sidecar whose run has died is ended by itself.
async fn stop_template(members: &[&Running]) -> Result<()> {
    let runs: HashSet<u32> = members.iter().filter_map(|sidecar| sidecar.cli).collect();
    send(&runs.iter().map(|pid| Target::Process(*pid)).collect::<Vec<_>>())?;
    for sidecar in members.iter().filter(|sidecar| sidecar.cli.is_none()) {
        stop_one(sidecar).await?;
    }
    for sidecar in members {
        wait_for(&sidecar.process, PATIENCE)
            .await
            .context("the run of the template did not end")?;
    }
    wait_for_pids(&runs).await
}

async fn stop_applications(ids: &[String], all: &[Running], messages: &Messages) -> Result<()> {
    let mut unknown = Vec::new();
    for id in ids {
        let found: Vec<&Running> = all.iter().filter(|sidecar| sidecar.app_id() == id).collect();
        if found.is_empty() {
            messages.fail(format!("couldn't find app id {id}"));
            unknown.push(id.as_str());
            continue;
        }
        for sidecar in found {
            stop_one(sidecar)
                .await
                .with_context(|| format!("{id} could not be stopped"))?;
        }
        messages.success(format!("app stopped successfully: {id}"));
    }
    match unknown.is_empty() {
        true => Ok(()),
        false => bail!("no such application runs: {}", unknown.join(", ")),
    }
}

/// Stops an application and its sidecar. A run of one application is asked to end; of a run of several, only this one's
/// sidecar, upon which the run ends its application and lets the others be.
async fn stop_one(sidecar: &Running) -> Result<()> {
    let alone = sidecar.note("runTemplatePath").is_empty();
    match sidecar.cli {
        Some(run) if alone && sidecar.metadata.is_some() => {
            send(&[Target::Process(run)])?;
            wait_for(&sidecar.process, PATIENCE).await?;
            wait_for_pids(&HashSet::from([run])).await
        }
        _ => {
            let application = application(sidecar)?;
            send(&[Target::Process(sidecar.process.pid)])?;
            wait_for(&sidecar.process, PATIENCE).await?;
            let Some(application) = application else { return Ok(()) };
            if wait_for(&application, AFTER_SIDECAR).await.is_ok() {
                return Ok(());
            }
            // there is no run any more that would end it
            let leads = application.group == application.pid;
            send(&[if leads {
                Target::Group(application.pid)
            } else {
                Target::Process(application.pid)
            }])?;
            wait_for(&application, PATIENCE).await
        }
    }
}

/// The application's process, as its run noted it. A later process of the same number is another one: the application has
/// begun after its sidecar, and its run is its parent, or has died.
fn application(sidecar: &Running) -> Result<Option<Process>> {
    let pid = sidecar.pid_note("appPID");
    let run = sidecar.pid_note("cliPID");
    let all = platform::processes().context("the list of processes cannot be read")?;
    let run_lives = all.iter().any(|process| process.pid == run);
    Ok(all.into_iter().find(|process| {
        let begun = process.started >= sidecar.process.started && process.started - sidecar.process.started < 120;
        process.pid == pid && pid != 0 && (process.parent == run || (!run_lives && begun))
    }))
}

fn send(targets: &[Target]) -> Result<()> {
    platform::send(Signal::Terminate, targets).context("no signal can be sent")
}

async fn wait_for(process: &Process, patience: Duration) -> Result<()> {
    let deadline = Instant::now() + patience;
    loop {
        let all = platform::processes().context("the list of processes cannot be read")?;
        if !all
            .iter()
            .any(|other| (other.pid, other.birth) == (process.pid, process.birth))
        {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!(
                "process {} did not end within {} seconds",
                process.pid,
                patience.as_secs()
            );
        }
        tokio::time::sleep(POLL).await;
    }
}

async fn wait_for_pids(pids: &HashSet<u32>) -> Result<()> {
    let all = platform::processes().context("the list of processes cannot be read")?;
    for process in all.iter().filter(|process| pids.contains(&process.pid)) {
        wait_for(process, PATIENCE).await?;
    }
    Ok(())
}
