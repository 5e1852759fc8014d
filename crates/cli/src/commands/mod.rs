//! The commands, a file each; `run` has a folder of its own.

mod components;
mod defaults;
mod init;
mod invoke;
mod list;
mod publish;
mod stop;
mod version;

pub(crate) use components::components;
pub(crate) use init::{init, uninstall};
pub(crate) use invoke::invoke;
pub(crate) use list::list;
pub(crate) use publish::publish;
pub(crate) use stop::stop;
pub(crate) use version::{build_info, version};

use anyhow::{Context, Result};
use bytes::Bytes;
use std::{io::Read, path::Path};

/// The answer to what belongs to later work.
pub(crate) fn not_available(what: &str) -> anyhow::Error {
    anyhow::anyhow!("`dapr {what}` is not available yet in this version of Outrigger")
}

/// What is to be sent: text from the command line, a file, or standard input.
fn payload(data: Option<&str>, file: Option<&Path>) -> Result<Option<Bytes>> {
    let bytes = match (data, file) {
        (Some(data), _) => data.as_bytes().to_vec(),
        (None, Some(file)) if file == Path::new("-") => {
            let mut bytes = Vec::new();
            std::io::stdin()
                .read_to_end(&mut bytes)
                .context("standard input cannot be read")?;
            bytes
        }
        (None, Some(file)) => {
            std::fs::read(file).with_context(|| format!("the file {} cannot be read", file.display()))?
        }
        (None, None) => return Ok(None),
    };
    Ok(Some(Bytes::from(bytes)))
}

/// The content type of what is sent: JSON if it is JSON, otherwise text.
fn content_type(payload: &[u8]) -> &'static str {
    match serde_json::from_slice::<serde::de::IgnoredAny>(payload) {
        Ok(_) => "application/json",
        Err(_) => "text/plain",
    }
}

#[cfg(test)]
mod tests;
