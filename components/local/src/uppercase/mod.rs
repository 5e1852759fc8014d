//! `middleware.http.uppercase`: bodies in capitals, to see that a pipeline works.

use bytes::{Bytes, BytesMut};
use component::{
    Component, Config, Open, OpenError, async_trait,
    config::Value,
    middleware::{Body, BodyError, HttpMiddleware, Next},
};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

#[cfg(test)]
mod tests;

/// Whose bodies are put in capitals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Those of requests.
    Request,
    /// Those of answers.
    Response,
    /// All.
    Both,
}

impl Value for Direction {
    const KIND: &'static str = "request, response or both";

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "request" => Ok(Self::Request),
            "response" => Ok(Self::Response),
            "both" => Ok(Self::Both),
            _ => Err(format!("not one of {}", Self::KIND)),
        }
    }
}

/// Options of `middleware.http.uppercase`.
#[derive(Debug, Config)]
pub struct Options {
    /// Whose bodies are put in capitals: those of requests, of responses, or both.
    #[config(default = "request")]
    pub direction: Direction,
}

/// Puts bodies in capitals as they stream by. A letter whose capital takes another number of bytes stays as it is, so that
/// a body keeps its length.
pub struct Uppercase {
    direction: Direction,
}

impl Component for Uppercase {
    const NAMES: &'static [&'static str] = &["uppercase"];
    const SUMMARY: &'static str =
        "Puts the bodies of HTTP requests or responses in capitals, to see that a pipeline works.";
    type Options = Options;

    async fn open(options: Options, _: Open) -> Result<Self, OpenError> {
        Ok(Self {
            direction: options.direction,
        })
    }
}

#[async_trait]
impl HttpMiddleware for Uppercase {
    async fn handle(&self, request: http::Request<Body>, next: &dyn Next) -> http::Response<Body> {
        let request = match self.direction {
            Direction::Request | Direction::Both => request.map(capitals),
            Direction::Response => request,
        };
        let response = next.run(request).await;
        match self.direction {
            Direction::Response | Direction::Both => response.map(capitals),
            Direction::Request => response,
        }
    }
}

fn capitals(body: Body) -> Body {
    Capitals {
        body,
        cut: BytesMut::new(),
    }
    .boxed_unsync()
}

/// A body in capitals.
struct Capitals {
    body: Body,
    /// The first bytes of a character whose others have not come yet; at most three.
    cut: BytesMut,
}

impl Capitals {
    fn convert(&mut self, data: &Bytes) -> Bytes {
        let mut text = std::mem::take(&mut self.cut);
        text.extend_from_slice(data);
        self.cut = text.split_off(text.len() - begun_character(&text));
        let mut rest = text.as_mut();
        while !rest.is_empty() {
            let good = match std::str::from_utf8(rest) {
                Ok(_) => rest.len(),
                Err(error) => error.valid_up_to(),
            };
            let (text, other) = rest.split_at_mut(good);
            put_in_capitals(text);
            rest = other.get_mut(1..).unwrap_or_default();
        }
        text.freeze()
    }
}

/// How many bytes at the end are the beginning of a character that goes on after them.
fn begun_character(bytes: &[u8]) -> usize {
    (1..=bytes.len().min(3))
        .find(|back| bytes[bytes.len() - back] & 0b1100_0000 != 0b1000_0000)
        .filter(|back| {
            let length = match bytes[bytes.len() - back] {
                0xC2..=0xDF => 2,
                0xE0..=0xEF => 3,
                0xF0..=0xF4 => 4,
                _ => 1,
            };
            *back < length
        })
        .unwrap_or(0)
}

fn put_in_capitals(text: &mut [u8]) {
    text.make_ascii_uppercase();
    if text.is_ascii() {
        return;
    }
    let Ok(valid) = std::str::from_utf8(text) else { return };
    let changed: String = valid.chars().map(capital).collect();
    text.copy_from_slice(changed.as_bytes());
}

fn capital(c: char) -> char {
    let mut upper = c.to_uppercase();
    match (upper.next(), upper.next()) {
        (Some(one), None) if one.len_utf8() == c.len_utf8() => one,
        _ => c,
    }
}

impl http_body::Body for Capitals {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            None if !self.cut.is_empty() => {
                let cut = self.cut.split().freeze();
                return Poll::Ready(Some(Ok(Frame::data(cut))));
            }
            other => return Poll::Ready(other),
        };
        Poll::Ready(Some(Ok(match frame.into_data() {
            Ok(data) => Frame::data(self.convert(&data)),
            Err(trailers) => trailers,
        })))
    }

    fn is_end_stream(&self) -> bool {
        self.cut.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.body.size_hint();
        let cut = self.cut.len() as u64;
        match hint.exact() {
            Some(exact) => hint.set_exact(exact + cut),
            None => hint.set_lower(hint.lower() + cut),
        }
        hint
    }
}
