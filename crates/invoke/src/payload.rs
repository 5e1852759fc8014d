//! Bodies of calls: whole, or streaming and kept for as long as the call may be made again.

use api::{Body, BodyError};
use bytes::Bytes;
use futures_util::FutureExt;
use http::header::CONTENT_LENGTH;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

/// A body up to this size is read before the call is made: it then goes out in one piece with its head.
pub(crate) const SMALL: u64 = 64 * 1024;
/// How much of a body is kept for another attempt. One that is larger can be sent again only while nothing of it was read.
const KEPT: u64 = 4 * 1024 * 1024;

/// The body of a call.
#[derive(Clone)]
pub(crate) enum Payload {
    /// All of it.
    Whole(Bytes),
    /// As it comes.
    Stream(Replay),
}

impl Payload {
    /// The body of an HTTP request. One of known length can be sent again.
    pub(crate) async fn read(mut body: Body) -> Result<Self, BodyError> {
        let exact = body.size_hint().exact();
        if body.is_end_stream() || exact == Some(0) {
            return Ok(Self::Whole(Bytes::new()));
        }
        match exact {
            Some(length) if length <= SMALL => {
                let first = body.frame().await.transpose()?.and_then(|frame| frame.into_data().ok());
                let first = first.unwrap_or_default();
                if first.len() as u64 >= length {
                    return Ok(Self::Whole(first));
                }
                let mut all = Vec::with_capacity(length as usize);
                all.extend_from_slice(&first);
                while let Some(frame) = body.frame().await.transpose()? {
                    if let Some(data) = frame.data_ref() {
                        all.extend_from_slice(data);
                    }
                }
                Ok(Self::Whole(all.into()))
            }
            exact => Ok(Self::Stream(Replay::new(body, exact))),
        }
    }

    /// A body of unknown length, of which nothing is kept: all of it if it is there already.
    pub(crate) fn now(mut body: Body) -> Result<Self, BodyError> {
        match body.frame().now_or_never() {
            None => Ok(Self::Stream(Replay::keeping(body, 0))),
            Some(first) => Self::after(first, body),
        }
    }

    /// The same, once it is known whether there is a body.
    pub(crate) async fn begun(mut body: Body) -> Result<Self, BodyError> {
        let first = body.frame().await;
        Self::after(first, body)
    }

    fn after(first: Option<Result<Frame<Bytes>, BodyError>>, body: Body) -> Result<Self, BodyError> {
        let first = first.transpose()?.and_then(|frame| frame.into_data().ok());
        let first = first.unwrap_or_default();
        if body.is_end_stream() || first.is_empty() {
            return Ok(Self::Whole(first));
        }
        let second = Bytes::new();
        let body = Ahead { first, second, body }.boxed_unsync();
        Ok(Self::Stream(Replay::keeping(body, 0)))
    }

    /// The body for one attempt. That of an earlier attempt ends with an error.
    pub(crate) fn body(&self) -> Body {
        match self {
            Self::Whole(bytes) if bytes.is_empty() => api::body::empty(),
            Self::Whole(bytes) => api::body::full(bytes.clone()),
            Self::Stream(replay) => replay.body(),
        }
    }

    /// Whether a call with this body may be made more than once.
    pub(crate) fn is_replayable(&self) -> bool {
        match self {
            Self::Whole(_) => true,
            Self::Stream(replay) => {
                let state = replay.0.lock();
                state.limit > 0 && state.exact.is_none_or(|length| length <= state.limit)
            }
        }
    }

    /// How long it is, if that is known.
    pub(crate) fn exact(&self) -> Option<u64> {
        match self {
            Self::Whole(bytes) => Some(bytes.len() as u64),
            Self::Stream(replay) => replay.0.lock().exact,
        }
    }

    /// Whether the body could be sent again now.
    pub(crate) fn can_replay(&self) -> bool {
        match self {
            Self::Whole(_) => true,
            Self::Stream(replay) => {
                let state = replay.0.lock();
                state.broken.is_none() && !state.gone
            }
        }
    }

    /// Lets go of what was kept for another attempt.
    pub(crate) fn release(&self) {
        if let Self::Stream(replay) = self {
            let mut state = replay.0.lock();
            state.limit = 0;
            state.gone |= !state.kept.is_empty();
            state.kept = Vec::new();
        }
    }

    /// Why the body broke off, if it did: what whoever sends it sees of that is something else.
    pub(crate) fn broken(&self) -> Option<String> {
        match self {
            Self::Whole(_) => None,
            Self::Stream(replay) => replay.0.lock().broken.clone(),
        }
    }

    /// All of it, at most `limit` bytes.
    pub(crate) async fn gather(&self, limit: usize) -> Result<Bytes, String> {
        match self {
            Self::Whole(bytes) => Ok(bytes.clone()),
            Self::Stream(replay) => match api::body::read(replay.body(), limit).await {
                Ok(bytes) => Ok(bytes),
                Err(error) => Err(self.broken().unwrap_or_else(|| words(&error))),
            },
        }
    }
}

/// What is wrong with a body, in the words of the original.
pub(crate) fn words(error: &(dyn std::error::Error + 'static)) -> String {
    match error.downcast_ref() {
        Some(api::body::ReadError::TooLarge) => "stream too large".into(),
        _ => error.to_string(),
    }
}

/// A body that is read once and can be sent more than once.
#[derive(Clone)]
pub(crate) struct Replay(Arc<Mutex<State>>);

struct State {
    body: Body,
    exact: Option<u64>,
    /// What was read, while it is kept.
    kept: Vec<Bytes>,
    kept_bytes: u64,
    /// How much may be kept.
    limit: u64,
    /// Whether something was read and is not kept.
    gone: bool,
    ended: bool,
    broken: Option<String>,
    /// Counts the attempts: only the last one may read.
    attempt: u32,
}

impl Replay {
    fn new(body: Body, exact: Option<u64>) -> Self {
        Self(Arc::new(Mutex::new(State {
            body,
            exact,
            kept: Vec::new(),
            kept_bytes: 0,
            limit: if exact.is_some() { KEPT } else { 0 },
            gone: false,
            ended: false,
            broken: None,
            attempt: 0,
        })))
    }

    /// A body whose length is not known, kept as far as `limit` allows.
    pub(crate) fn keeping(body: Body, limit: u64) -> Self {
        let replay = Self::new(body, None);
        replay.0.lock().limit = limit;
        replay
    }

    fn body(&self) -> Body {
        let mut state = self.0.lock();
        state.attempt += 1;
        let reader = Reader {
            attempt: state.attempt,
            exact: state.exact,
            at: 0,
            read: 0,
            state: self.0.clone(),
        };
        reader.boxed_unsync()
    }
}

/// The body of one attempt.
struct Reader {
    state: Arc<Mutex<State>>,
    attempt: u32,
    exact: Option<u64>,
    at: usize,
    read: u64,
}

impl State {
    /// Keeps a piece, or lets go of all of them if it is one too many.
    fn keep(&mut self, data: &Bytes) {
        self.kept_bytes += data.len() as u64;
        if self.kept_bytes <= self.limit {
            self.kept.push(data.clone());
        } else {
            self.gone = true;
            self.limit = 0;
            self.kept = Vec::new();
        }
    }
}

impl http_body::Body for Reader {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let mut state = this.state.lock();
        if state.attempt != this.attempt {
            return Poll::Ready(Some(Err("the request is sent again".into())));
        }
        if let Some(data) = state.kept.get(this.at) {
            this.at += 1;
            this.read += data.len() as u64;
            return Poll::Ready(Some(Ok(Frame::data(data.clone()))));
        }
        if state.ended {
            return Poll::Ready(None);
        }
        match ready!(Pin::new(&mut state.body).poll_frame(cx)) {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    state.keep(data);
                    this.at += 1;
                    this.read += data.len() as u64;
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                state.ended = true;
                state.broken = Some(words(&*error));
                Poll::Ready(Some(Err(error)))
            }
            None => {
                state.ended = true;
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let state = self.state.lock();
        self.at >= state.kept.len() && (state.ended || state.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        match self.exact {
            Some(exact) => SizeHint::with_exact(exact.saturating_sub(self.read)),
            None => SizeHint::default(),
        }
    }
}

/// The body of an answer.
pub(crate) enum Content {
    /// All of it.
    Whole(Bytes),
    /// As it comes.
    Stream(Body),
}

impl Content {
    /// As a body.
    pub(crate) fn body(self) -> Body {
        match self {
            Self::Whole(bytes) if bytes.is_empty() => api::body::empty(),
            Self::Whole(bytes) => api::body::full(bytes),
            Self::Stream(body) => body,
        }
    }

    /// All of it, at most `limit` bytes.
    pub(crate) async fn gather(self, limit: usize) -> Result<Bytes, api::body::ReadError> {
        match self {
            Self::Whole(bytes) => Ok(bytes),
            Self::Stream(body) => api::body::read(body, limit).await,
        }
    }
}

/// An application's answer, made ready to be passed on: a small body of known length is read first, so that its length is
/// true and it goes out in one piece with its head. An application that sends less than it said has sent what came.
pub(crate) async fn settle(response: http::Response<Body>, is_head: bool) -> http::Response<Content> {
    let (mut parts, mut body) = response.into_parts();
    let exact = body.size_hint().exact().or_else(|| told(&parts.headers));
    if is_head || exact == Some(0) {
        // Up to its end, so that its connection can be used again.
        while next(&mut body).await.is_some() {}
        return http::Response::from_parts(parts, Content::Whole(Bytes::new()));
    }
    let Some(length) = exact.filter(|length| *length <= SMALL) else {
        return http::Response::from_parts(parts, Content::Stream(body));
    };
    let first = next(&mut body).await.unwrap_or_default();
    let second = if first.len() as u64 == length || first.is_empty() {
        next(&mut body).await
    } else {
        Some(Bytes::new())
    };
    let Some(second) = second else {
        parts.headers.insert(CONTENT_LENGTH, first.len().into());
        return http::Response::from_parts(parts, Content::Whole(first));
    };
    parts.headers.remove(CONTENT_LENGTH);
    let body = Cut(Ahead { first, second, body });
    http::Response::from_parts(parts, Content::Stream(body.boxed_unsync()))
}

/// The next bytes of a body; nothing if it ends or breaks off.
async fn next(body: &mut Body) -> Option<Bytes> {
    loop {
        match body.frame().await?.ok()?.into_data() {
            Ok(data) if !data.is_empty() => return Some(data),
            _ => {}
        }
    }
}

fn told(headers: &http::HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// What was read of a body already, and the rest of it.
struct Ahead {
    first: Bytes,
    second: Bytes,
    body: Body,
}

impl http_body::Body for Ahead {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        for _ in 0..2 {
            let this = &mut *self;
            let bytes = std::mem::replace(&mut this.first, std::mem::take(&mut this.second));
            if !bytes.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }
}

/// A body that breaks off only when what came before is on its way: whoever sends it drops what was not sent yet.
pub(crate) struct Late {
    body: Body,
    broken: Option<BodyError>,
}

impl Late {
    /// The body, boxed.
    pub(crate) fn body(body: Body) -> Body {
        Self { body, broken: None }.boxed_unsync()
    }
}

impl http_body::Body for Late {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(error) = self.broken.take() {
            return Poll::Ready(Some(Err(error)));
        }
        match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            Some(Err(error)) => {
                self.broken = Some(error);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            other => Poll::Ready(other),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.broken.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A body of which what came is all there is, if it breaks off.
struct Cut(Ahead);

impl http_body::Body for Cut {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match ready!(Pin::new(&mut self.0).poll_frame(cx)) {
            Some(Err(_)) => Poll::Ready(None),
            other => Poll::Ready(other),
        }
    }
}
