//! Writes: what the script is told, and what its answer means.

use crate::{
    error,
    link::{Link, Repeat},
};
use component::{ComponentError, Metadata, state, state::Concurrency};
use redis::{Cmd, RedisResult, Script, Value};
use std::{sync::LazyLock, time::Duration};

static SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(SOURCE));
const SOURCE: &str = include_str!("write.lua");

/// The longest time to live; above it Redis would count milliseconds over the edge of 64 bits.
const LONGEST_TTL: i64 = 1 << 50;

/// What a write does to its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// Keeps the data in a hash.
    Set,
    /// Keeps the data in a JSON document.
    Json,
    /// Deletes it.
    Delete,
}

/// What must hold for a write to happen.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Guard {
    /// Nothing.
    None,
    /// The version must be this one.
    Tag(i64),
    /// The key must not be there.
    New,
}

/// One write.
#[derive(Debug)]
pub(super) struct Write {
    key: String,
    what: What,
    guard: Guard,
    ttl: Option<i64>,
    data: bytes::Bytes,
}

/// Whether one refused write refuses all of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Batch {
    /// All are carried out or none.
    All,
    /// Each for itself.
    Each,
}

impl Write {
    /// What a set asks for. `default_ttl` counts if the request says nothing of it; `json` is whether the server keeps JSON.
    pub(super) fn set(request: state::Set, default_ttl: Option<i64>, json: bool) -> Result<Self, ComponentError> {
        request.options.check()?;
        let guard = match (request.options.concurrency, tag(&request.etag)?) {
            (Concurrency::LastWrite, _) => Guard::None,
            (_, Some(tag)) => Guard::Tag(tag),
            (Concurrency::FirstWrite, None) => Guard::New,
            (_, None) => Guard::None,
        };
        let what = match json && wants_json(&request.metadata) {
            true => What::Json,
            false => What::Set,
        };
        if what == What::Json
            && let Err(e) = serde_json::from_slice::<&serde_json::value::RawValue>(&request.value)
        {
            return Err(ComponentError::permanent(format!(
                "the value of key {} is not JSON: {e}",
                request.key
            )));
        }
        Ok(Self {
            ttl: ttl(&request.metadata, default_ttl)?,
            key: request.key,
            what,
            guard,
            data: request.value,
        })
    }

    /// What a delete asks for.
    pub(super) fn delete(request: state::Delete) -> Result<Self, ComponentError> {
        request.options.check()?;
        Ok(Self {
            guard: tag(&request.etag)?.map_or(Guard::None, Guard::Tag),
            key: request.key,
            what: What::Delete,
            ttl: None,
            data: bytes::Bytes::new(),
        })
    }

    fn refusal(&self, why: i64) -> ComponentError {
        let key = &self.key;
        match why {
            1 => ComponentError::etag_mismatch(format!("key {key} has another entity tag")),
            _ => ComponentError::permanent(format!(
                "failed to set key {key}: it exists, and a first write needs its entity tag"
            )),
        }
    }
}

/// Whether a request's metadata say that its value is JSON.
pub(super) fn wants_json(metadata: &Metadata) -> bool {
    super::lookup(metadata, "contentType").is_some_and(|value| value.eq_ignore_ascii_case("application/json"))
}

fn tag(etag: &Option<String>) -> Result<Option<i64>, ComponentError> {
    match etag.as_deref() {
        None | Some("") => Ok(None),
        Some(text) => text
            .parse()
            .map(Some)
            .map_err(|_| ComponentError::etag_invalid(format!("{text:?} is not a number"))),
    }
}

/// Seconds to live, -1 to live for ever, nothing to leave it as it is.
fn ttl(metadata: &Metadata, default: Option<i64>) -> Result<Option<i64>, ComponentError> {
    match state::ttl_seconds(metadata)? {
        Some(-1) => Ok(Some(-1)),
        Some(seconds) if seconds > LONGEST_TTL => Err(ComponentError::permanent(format!(
            "invalid value for metadata ttlInSeconds: {seconds} is too long"
        ))),
        Some(seconds) if seconds > 0 => Ok(Some(seconds)),
        // Nothing said, or zero or less, which Dapr's Redis store takes for nothing.
        _ => Ok(default.filter(|seconds| (1..=LONGEST_TTL).contains(seconds))),
    }
}

/// Carries writes out and returns those that were refused. With `wait` the answer comes when that many replicas have them.
pub(super) async fn apply(
    link: &Link,
    batch: Batch,
    writes: &[Write],
    wait: Option<(u32, Duration)>,
) -> Result<Vec<(usize, ComponentError)>, ComponentError> {
    if writes.is_empty() {
        return Ok(Vec::new());
    }
    // Sent a second time, a guarded write would be refused because of its own first time.
    let repeat = match writes.iter().all(|write| write.guard == Guard::None) {
        true => Repeat::Safe,
        false => Repeat::Unsafe,
    };
    let what = || match writes {
        [one] => format!("failed to write key {}", one.key),
        many => format!("failed to write {} keys", many.len()),
    };
    let mut answer = send(
        link,
        repeat,
        &command("EVALSHA", SCRIPT.get_hash(), batch, writes),
        wait,
    )
    .await;
    if answer.as_ref().is_err_and(error::is_no_script) {
        answer = send(link, repeat, &command("EVAL", SOURCE, batch, writes), wait).await;
    }
    let (refused, acknowledged) = answer.map_err(|e| error::failed(&what(), &e))?;
    let refused: Vec<i64> = redis::from_redis_value(refused).map_err(|e| error::failed(&what(), &e.into()))?;
    let refused: Vec<_> = refused
        .as_chunks::<2>()
        .0
        .iter()
        .filter_map(|[number, why]| {
            let index = usize::try_from(*number).ok()?.checked_sub(1)?;
            Some((index, writes.get(index)?.refusal(*why)))
        })
        .collect();
    match wait {
        Some((replicas, _)) if refused.len() < writes.len() && acknowledged < i64::from(replicas) => {
            Err(ComponentError::transient(format!(
                "{}: written, but only {acknowledged} of {replicas} replicas have confirmed it",
                what()
            )))
        }
        _ => Ok(refused),
    }
}

/// The script's answer, and how many replicas have confirmed.
async fn send(link: &Link, repeat: Repeat, command: &Cmd, wait: Option<(u32, Duration)>) -> RedisResult<(Value, i64)> {
    let Some((replicas, limit)) = wait else {
        return Ok((link.run(repeat, command).await?, 0));
    };
    let mut pipe = redis::Pipeline::with_capacity(2);
    pipe.add_command(command.clone());
    let millis = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
    pipe.cmd("WAIT").arg(replicas).arg(millis);
    let mut answers = link.run_all(repeat, &pipe).await?.into_iter();
    let mut next = || answers.next().unwrap_or_default().extract_error();
    let answer = next()?;
    Ok((answer, redis::from_redis_value(next()?)?))
}

fn command(name: &str, script: &str, batch: Batch, writes: &[Write]) -> Cmd {
    let bytes: usize = writes.iter().map(|w| w.key.len() + w.data.len() + 40).sum();
    let mut command = Cmd::with_capacity(4 + writes.len() * 6, script.len() + bytes + 40);
    command.arg(name).arg(script).arg(writes.len());
    for write in writes {
        command.arg(&write.key);
    }
    command.arg(match batch {
        Batch::All => "all",
        Batch::Each => "each",
    });
    for write in writes {
        command.arg(match write.what {
            What::Set => "set",
            What::Json => "json",
            What::Delete => "del",
        });
        match write.guard {
            Guard::None => command.arg("").arg(""),
            Guard::Tag(tag) => command.arg("tag").arg(tag),
            Guard::New => command.arg("new").arg(""),
        };
        match write.ttl {
            None => command.arg(""),
            Some(seconds) => command.arg(seconds),
        };
        command.arg(write.data.as_ref());
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;
    use component::ErrorKind;

    fn set(pairs: &[(&str, &str)], default_ttl: Option<i64>) -> Result<Write, ComponentError> {
        let metadata = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let request = state::Set {
            key: "k".into(),
            value: "1".into(),
            metadata,
            ..Default::default()
        };
        Write::set(request, default_ttl, true)
    }

    #[test]
    fn times_to_live() {
        let of = |text, default| set(&[("ttlInSeconds", text)], default).map(|write| write.ttl).ok();
        assert_eq!(of("5", None), Some(Some(5)));
        assert_eq!(of("-1", Some(9)), Some(Some(-1)));
        assert_eq!(of("0", None), Some(None));
        assert_eq!(of("-7", Some(9)), Some(Some(9)));
        assert_eq!(of("9223372036854775807", None), None);
        assert_eq!(of("soon", None), None);
        assert_eq!(set(&[], Some(9)).map(|write| write.ttl).ok(), Some(Some(9)));
    }

    #[test]
    fn entity_tags_are_numbers() {
        assert_eq!(tag(&Some("7".into())).ok(), Some(Some(7)));
        assert_eq!(tag(&Some(String::new())).ok(), Some(None));
        let error = tag(&Some("seven".into())).expect_err("no number");
        assert_eq!(error.kind, ErrorKind::EtagInvalid);
    }

    #[test]
    fn json_is_told_by_the_content_type() {
        assert_eq!(
            set(&[("contenttype", "Application/JSON")], None).map(|w| w.what).ok(),
            Some(What::Json)
        );
        assert_eq!(set(&[], None).map(|w| w.what).ok(), Some(What::Set));
        let broken = state::Set {
            value: "{".into(),
            metadata: [("contentType".to_owned(), "application/json".to_owned())].into(),
            ..Default::default()
        };
        assert!(Write::set(broken.clone(), None, true).is_err());
        assert!(Write::set(broken, None, false).is_ok());
    }

    #[test]
    fn the_command_has_five_words_an_operation() {
        let write = set(&[("ttlInSeconds", "5")], None).expect("fits");
        let packed = command("EVALSHA", "abc", Batch::Each, &[write]).get_packed_command();
        let text = String::from_utf8_lossy(&packed).replace("\r\n", " ");
        assert_eq!(
            text,
            "*10 $7 EVALSHA $3 abc $1 1 $1 k $4 each $3 set $0  $0  $1 5 $1 1 "
        );
    }
}
