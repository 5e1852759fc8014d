//! The command line `dapr`.
//!
//! **What for:** running applications with their sidecars on a developer's machine, and looking at and talking to what
//! runs. **What enters:** a command line, run templates, the list of processes, sidecars' HTTP APIs. **What leaves:** text,
//! JSON, YAML and an exit code; processes, which end with the run that started them. **What may live here:** what a person
//! at a terminal needs. The sidecar is only ever a process here, never a library.
//!
//! Exit codes: 255 for errors in flags, as the original has it, 1 for others, that of the application for `run`.

mod args;
mod commands;
mod discover;
mod messages;
mod paths;
mod platform;
mod run;
mod sidecar;
mod table;

use anyhow::{Context, Result};
use args::{Cli, Command, Shell};
use clap::{CommandFactory, FromArgMatches, error::ErrorKind};
use messages::Messages;
use paths::Home;
use std::{ffi::OsString, process::ExitCode};

/// The exit code of errors in flags.
const FLAG_ERROR: u8 = 255;

/// Runs the program with a command line, whose first word is its name.
pub fn main(command_line: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match parse(command_line) {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let messages = Messages::new(cli.log_as_json);
    match dispatch(cli, &messages) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            messages.fail(format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Reads the command line; of a flag that is given twice, the later one counts. Help and errors are printed here.
fn parse(command_line: impl IntoIterator<Item = OsString>) -> Result<Cli, ExitCode> {
    let matches = command().try_get_matches_from(command_line);
    matches
        .and_then(|mut matches| Cli::from_arg_matches_mut(&mut matches))
        .map_err(|error| {
            // with the stream closed there is nobody to tell
            let _ = error.print();
            match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
                _ => ExitCode::from(FLAG_ERROR),
            }
        })
}

fn command() -> clap::Command {
    let command = Cli::command();
    let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    names.into_iter().fold(command, |command, name| {
        command.mut_subcommand(name, |sub| sub.args_override_self(true))
    })
}

fn dispatch(cli: Cli, messages: &Messages) -> Result<u8> {
    let runtime_path = cli.runtime_path.as_deref().filter(|path| !path.as_os_str().is_empty());
    let home = || Home::new(runtime_path);
    let Some(chosen) = cli.command else {
        return if cli.version {
            commands::version(None).map(|()| 0)
        } else {
            help()
        };
    };
    match chosen {
        Command::Run(args) => return wait(run::run(*args, runtime_path, messages)),
        Command::Init(args) => commands::init(&args, &home()?, messages),
        Command::Uninstall(args) => commands::uninstall(&args, &home()?, messages),
        Command::Stop(args) => wait(commands::stop(&args, messages)),
        Command::List(args) => wait(commands::list(&args, messages)),
        Command::Invoke(args) => wait(commands::invoke(&args, messages)),
        Command::Publish(args) => wait(commands::publish(&args, messages)),
        Command::Components(args) => wait(commands::components(&args, &home()?, messages)),
        Command::Version(args) => commands::version(args.output),
        Command::BuildInfo => commands::build_info(),
        Command::Completion(args) => completion(args.shell),
        Command::Guard => {
            run::guard_main();
            Ok(())
        }
        Command::Annotate(_) => Err(commands::not_available("annotate")),
        Command::Configurations(_) => Err(commands::not_available("configurations")),
        Command::Dashboard(_) => Err(commands::not_available("dashboard")),
        Command::Logs(_) => Err(commands::not_available("logs")),
        Command::Mcpservers(_) => Err(commands::not_available("mcpservers")),
        Command::Mtls(_) => Err(commands::not_available("mtls")),
        Command::Scheduler(_) => Err(commands::not_available("scheduler")),
        Command::Status(_) => Err(commands::not_available("status")),
        Command::Upgrade(_) => Err(commands::not_available("upgrade")),
        Command::Workflow(_) => Err(commands::not_available("workflow")),
    }
    .map(|()| 0)
}

/// Runs what waits for something.
fn wait<T>(command: impl Future<Output = Result<T>>) -> Result<T> {
    service::block_on(command).context("the runtime cannot be started")?
}

fn help() -> Result<u8> {
    messages::print(&command().render_help().to_string());
    Ok(0)
}

fn completion(shell: Shell) -> Result<()> {
    use clap_complete::{Shell as Generator, generate};
    let generator = match shell {
        Shell::Bash => Generator::Bash,
        Shell::Zsh => Generator::Zsh,
        Shell::Fish => Generator::Fish,
        Shell::Powershell => Generator::PowerShell,
    };
    let mut script = Vec::new();
    generate(generator, &mut command(), "dapr", &mut script);
    messages::write(run::console::Stream::Out, &script);
    Ok(())
}

#[cfg(test)]
mod tests;
