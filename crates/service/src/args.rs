//! The command line as Go's flags read it.

use std::ffi::{OsStr, OsString};
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, Parser};
use telemetry::logs;

/// Flags that all programs have.
#[derive(Args, Clone, Debug)]
pub struct CommonArgs {
    /// The least important messages to log: debug, info, warn, error or fatal
    #[arg(long, default_value = "info")]
    pub log_level: logs::Level,

    /// Log JSON instead of text
    #[arg(long, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true,
        action = clap::ArgAction::Set, value_parser = boolean)]
    pub log_as_json: bool,

    /// Append log lines to this file instead of printing them
    #[arg(long, default_value = "")]
    pub log_file: String,

    /// Serve metrics
    #[arg(long, default_value = "true", default_missing_value = "true", num_args = 0..=1, require_equals = true,
        action = clap::ArgAction::Set, value_parser = boolean)]
    pub enable_metrics: bool,

    /// The port of the metrics server
    #[arg(long, default_value = "9090")]
    pub metrics_port: u16,

    /// The address of the metrics server
    #[arg(long, default_value = "0.0.0.0")]
    pub metrics_listen_address: String,
}

/// What an empty command line says: for programs inside tests.
impl Default for CommonArgs {
    fn default() -> CommonArgs {
        #[derive(Parser)]
        struct Alone {
            #[command(flatten)]
            common: CommonArgs,
        }
        Alone::parse_from([""]).common
    }
}

impl CommonArgs {
    /// How this program logs.
    pub fn logs(&self, app_id: &str, version: &str) -> logs::Options {
        logs::Options {
            level: self.log_level,
            json: self.log_as_json,
            file: Some(PathBuf::from(&self.log_file)).filter(|path| !path.as_os_str().is_empty()),
            app_id: app_id.to_owned(),
            version: version.to_owned(),
        }
    }

    /// Where metrics are served. An empty address means all interfaces.
    pub fn metrics_address(&self) -> (String, u16) {
        (listen_address(&self.metrics_listen_address), self.metrics_port)
    }
}

/// The address to listen on; empty means all interfaces.
fn listen_address(given: &str) -> String {
    let given = given.trim().trim_matches(['[', ']']);
    if given.is_empty() {
        IpAddr::from([0, 0, 0, 0]).to_string()
    } else {
        given.to_owned()
    }
}

/// Reads a flag that is on or off: 1, t, true, 0, f, false, whatever the case.
pub fn boolean(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "t" | "true" => Ok(true),
        "0" | "f" | "false" => Ok(false),
        _ => Err(format!("invalid boolean {text:?}: use true or false")),
    }
}

/// Reads the command line, its first word being the program's name. A flag given twice counts as given last; long flags may
/// have one dash. For help and the version the exit code is 0, for mistakes 2; the text is printed here.
pub fn parse<T: Parser>(args: impl IntoIterator<Item = OsString>) -> Result<T, ExitCode> {
    let command = T::command().args_override_self(true);
    let matches = command.try_get_matches_from(normalize_args(args));
    matches
        .and_then(|mut matches| T::from_arg_matches_mut(&mut matches))
        .map_err(|error| {
            // with standard output closed there is nobody to tell
            let _ = error.print();
            match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
                _ => ExitCode::from(2),
            }
        })
}

/// Gives long flags with one dash their second one: `-log-level=info`. Flags of one letter, numbers, a dash alone, and all
/// that follows `--` stay as they are.
pub fn normalize_args(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut flags_end = false;
    let mut normalize = |arg: OsString| {
        flags_end |= arg == "--";
        if flags_end || !is_long_with_one_dash(&arg) {
            return arg;
        }
        let mut long = OsString::from("-");
        long.push(arg);
        long
    };
    args.into_iter()
        .enumerate()
        .map(|(at, arg)| if at == 0 { arg } else { normalize(arg) })
        .collect()
}

fn is_long_with_one_dash(arg: &OsStr) -> bool {
    let bytes = arg.as_encoded_bytes();
    let [b'-', first, second, ..] = bytes else { return false };
    first.is_ascii_alphabetic() && *second != b'='
}
