//! `list`: the sidecars that run on this machine.

use super::not_available;
use crate::{
    args::{self, TableFormat},
    discover::{Running, running},
    messages::{self, Messages},
    table::{Format, Table, cut, structured},
};
use anyhow::Result;
use jiff::{Timestamp, tz::TimeZone};
use resources::Quantity;
use serde::Serialize;

/// How much of a command the table shows.
const COMMAND_WIDTH: usize = 20;

/// A sidecar, in the original's words.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    app_id: String,
    http_port: u16,
    grpc_port: u16,
    app_port: u16,
    metrics_enabled: bool,
    command: String,
    age: String,
    created: String,
    daprd_pid: u32,
    cli_pid: u32,
    app_pid: u32,
    max_request_body_size: u64,
    http_read_buffer_size: u64,
    run_template_path: String,
    app_log_path: String,
    daprd_log_path: String,
    run_template_name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    unix_domain_socket: String,
}

/// Prints them.
pub(crate) async fn list(args: &args::List, messages: &Messages) -> Result<()> {
    if args.kubernetes || args.all_namespaces || args.namespace.is_some() {
        return Err(not_available("list --kubernetes"));
    }
    let format = match args.output {
        TableFormat::Table => Format::Table,
        TableFormat::Json => Format::Json,
        TableFormat::Yaml => Format::Yaml,
    };
    let now = Timestamp::now().as_second();
    let rows: Vec<Row> = running().await?.iter().map(|sidecar| row(sidecar, now)).collect();
    match structured(&rows, format)? {
        Some(text) => messages::print(&text),
        None if rows.is_empty() => messages.info("No Dapr instances found."),
        None => messages::print(&table(&rows).render()),
    }
    Ok(())
}

fn row(sidecar: &Running, now: i64) -> Row {
    let flags = &sidecar.flags;
    // a sidecar that listens on sockets has no ports, whatever its flags say
    let sockets = flags.get("unix-domain-socket").unwrap_or_default().to_owned();
    let port = |name: &str, default| {
        if sockets.is_empty() {
            flags.port(name, default)
        } else {
            0
        }
    };
    let created = Timestamp::from_second(sidecar.process.started).unwrap_or_default();
    Row {
        app_id: sidecar.app_id().to_owned(),
        http_port: port("dapr-http-port", 3500),
        grpc_port: port("dapr-grpc-port", 50001),
        app_port: flags.port("app-port", 0),
        metrics_enabled: !matches!(flags.get("enable-metrics"), Some("false" | "0" | "f")),
        command: sidecar.note("appCommand").to_owned(),
        age: age(now - sidecar.process.started),
        created: created
            .to_zoned(TimeZone::system())
            .strftime("%Y-%m-%d %H:%M.%S")
            .to_string(),
        daprd_pid: sidecar.process.pid,
        cli_pid: sidecar.cli.unwrap_or_default(),
        app_pid: sidecar.pid_note("appPID"),
        max_request_body_size: size(flags.get("max-body-size"), 4 << 20),
        http_read_buffer_size: size(flags.get("read-buffer-size"), 4 << 10),
        run_template_path: sidecar.note("runTemplatePath").to_owned(),
        app_log_path: sidecar.note("appLogPath").to_owned(),
        daprd_log_path: sidecar.note("daprdLogPath").to_owned(),
        run_template_name: sidecar.note("runTemplateName").to_owned(),
        unix_domain_socket: sockets,
    }
}

fn size(flag: Option<&str>, default: u64) -> u64 {
    flag.and_then(|text| text.parse::<Quantity>().ok())
        .map_or(default, |quantity| quantity.get())
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new(&[
        "APP ID",
        "HTTP PORT",
        "GRPC PORT",
        "APP PORT",
        "COMMAND",
        "AGE",
        "CREATED",
        "DAPRD PID",
        "CLI PID",
        "APP PID",
        "RUN TEMPLATE PATH",
        "APP LOG PATH",
        "DAPRD LOG PATH",
        "RUNTEMPLATENAME",
    ]);
    for row in rows {
        table.row([
            row.app_id.clone(),
            row.http_port.to_string(),
            row.grpc_port.to_string(),
            row.app_port.to_string(),
            cut(&row.command, COMMAND_WIDTH),
            row.age.clone(),
            row.created.clone(),
            row.daprd_pid.to_string(),
            row.cli_pid.to_string(),
            row.app_pid.to_string(),
            row.run_template_path.clone(),
            row.app_log_path.clone(),
            row.daprd_log_path.clone(),
            row.run_template_name.clone(),
        ]);
    }
    table
}

/// A time span in its largest unit.
pub(super) fn age(seconds: i64) -> String {
    match seconds.max(0) {
        seconds if seconds < 60 => format!("{seconds}s"),
        seconds if seconds < 3600 => format!("{}m", seconds / 60),
        seconds if seconds < 86400 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86400),
    }
}
