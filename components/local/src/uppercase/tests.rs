use super::*;
use component::Properties;
use component::middleware::{Pipeline, full};
use http_body_util::{StreamBody, combinators::UnsyncBoxBody};
use std::sync::Arc;

struct Echo;

#[async_trait]
impl Next for Echo {
    async fn run(&self, request: http::Request<Body>) -> http::Response<Body> {
        let body = request.into_body().collect().await.expect("a body").to_bytes();
        let mut seen = b"seen ".to_vec();
        seen.extend(body);
        http::Response::new(full(seen))
    }
}

async fn through(direction: &str, text: &str) -> String {
    let properties: Properties = [("direction", direction)].into_iter().collect();
    let options = Options::decode(&properties).expect("decodes");
    let step = Uppercase::open(options, Open::default()).await.expect("opens");
    let pipeline = Pipeline::new(vec![Arc::new(step)]);
    let response = pipeline.run(http::Request::new(full(text.to_owned())), &Echo).await;
    let bytes = response.into_body().collect().await.expect("a body").to_bytes();
    String::from_utf8(bytes.to_vec()).expect("text")
}

#[tokio::test]
async fn each_direction() {
    assert_eq!(through("", "hello").await, "seen HELLO");
    assert_eq!(through("request", "hello").await, "seen HELLO");
    assert_eq!(through("response", "hello").await, "SEEN HELLO");
    assert_eq!(through("both", "hello é ß").await, "SEEN HELLO É ß");
    let wrong: Properties = [("direction", "sideways")].into_iter().collect();
    assert!(Options::decode(&wrong).is_err());
}

#[tokio::test]
async fn characters_that_are_cut_by_frames_and_bytes_that_are_no_text() {
    let all = "aé€😀z".as_bytes();
    for size in 1..all.len() {
        let frames = all
            .chunks(size)
            .map(|chunk| Ok::<_, BodyError>(Frame::data(Bytes::copy_from_slice(chunk))));
        let frames: Vec<_> = frames.collect();
        let body = UnsyncBoxBody::new(StreamBody::new(futures_util::stream::iter(frames)));
        let bytes = capitals(body).collect().await.expect("a body").to_bytes();
        assert_eq!(bytes, "AÉ€😀Z".as_bytes(), "{size}");
    }
    for odd in [&b"a\xffb\xc3"[..], b"\xf0\x9f", b"\x80\x80\x80\x80a", b"\xe2\x28\xa1b"] {
        let body = capitals(full(odd.to_vec()));
        assert_eq!(http_body::Body::size_hint(&body).exact(), Some(odd.len() as u64));
        let bytes = body.collect().await.expect("a body").to_bytes();
        assert_eq!(bytes, odd.to_ascii_uppercase());
    }
}
