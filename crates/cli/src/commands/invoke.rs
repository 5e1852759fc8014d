//! `invoke`: calls a method of an application through its sidecar.

use super::{content_type, payload};
use crate::{
    args,
    discover::find,
    messages::{self, Messages, write},
    run::console::Stream,
};
use anyhow::{Result, bail};
use http::Method;
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};

/// What cannot stand in the target of a request. A method is taken as it is written otherwise, with its query.
const NOT_IN_TARGET: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'`')
    .add(b'{')
    .add(b'}')
    .add(b'#');

/// Calls, and prints the body of the answer. The answer of a call that failed goes to standard error.
pub(crate) async fn invoke(args: &args::Invoke, messages: &Messages) -> Result<()> {
    let messages = messages.beside_output();
    let Ok(verb) = Method::from_bytes(args.verb.to_ascii_uppercase().as_bytes()) else {
        bail!("--verb: {:?} is no HTTP verb", args.verb);
    };
    let body = payload(args.data.as_deref(), args.data_file.as_deref())?;
    let sidecar = find(&args.app_id, args.unix_domain_socket.as_ref()).await?;
    let id = utf8_percent_encode(&args.app_id, NON_ALPHANUMERIC_BUT_MARKS);
    let method = utf8_percent_encode(args.method.trim_start_matches('/'), NOT_IN_TARGET);
    let kind = body.as_deref().map(content_type);
    let path = format!("/v1.0/invoke/{id}/method/{method}");
    let answer = sidecar.send(verb, &path, kind, body.unwrap_or_default()).await?;
    if !answer.status.is_success() {
        let mut text = answer.body.to_vec();
        if !text.is_empty() && !text.ends_with(b"\n") {
            text.push(b'\n');
        }
        write(Stream::Err, &text);
        bail!("error invoking app {}: {}", args.app_id, answer.status);
    }
    if !answer.body.is_empty() {
        messages::write(Stream::Out, &answer.body);
        messages::print("\n");
    }
    messages.success("App invoked successfully");
    Ok(())
}

/// What is encoded in a part of a path.
pub(super) const NON_ALPHANUMERIC_BUT_MARKS: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
