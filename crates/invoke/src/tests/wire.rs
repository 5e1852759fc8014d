//! The messages between sidecars against the generated ones, however they are cut; and sidecars that do not stream.

use super::*;
use crate::{
    download::{self, Download},
    frames::{Decoder, Event, FrameError},
    headers::Origin,
    proto::{self, Entries, RequestHead, ResponseHead},
    rpc,
    upload::{self, End},
};
use ::wire::{
    common::v1::{HttpExtension, InvokeRequest, StreamPayload, http_extension::Verb},
    internals::v1::{
        InternalInvokeRequest, InternalInvokeRequestStream, InternalInvokeResponseStream, ListStringValue,
    },
};
use prost::Message;

fn sample() -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("content-type", "a/b"),
        ("x-multi", "1"),
        ("x-multi", "2"),
        ("foo-bin", "AQI"),
    ] {
        let name = ::http::HeaderName::from_static(name);
        headers.append(name, value.parse().expect("a value"));
    }
    headers
}

fn head(origin: Origin) -> bytes::BytesMut {
    let headers = sample();
    RequestHead {
        metadata: Entries {
            headers: &headers,
            skip: |name| name == "content-type",
            more: &[("dapr-caller-app-id", b"me"), ("x-multi", b"3")],
            origin,
        },
        method: "a/b",
        content_type: b"a/b",
        verb: Some(Verb::Put),
        query: "q=1",
        type_url: "",
    }
    .framed()
}

fn decoded<M: Message + Default>(framed: &[u8]) -> M {
    let length = u32::from_be_bytes(framed[1..5].try_into().expect("a prefix")) as usize;
    assert_eq!((framed[0], framed.len()), (0, length + 5));
    M::decode(&framed[5..]).expect("a message")
}

#[test]
fn heads_are_what_was_generated() {
    let message: InternalInvokeRequestStream = decoded(&head(Origin::Http));
    let request = message.request.expect("a request");
    assert_eq!((request.ver, message.payload), (1, None));
    let values = |name: &str| {
        request
            .metadata
            .get(name)
            .map(|list| list.values.clone())
            .unwrap_or_default()
    };
    assert_eq!(values("X-Multi"), ["1", "2", "3"]);
    assert_eq!(
        (values("Foo-Bin"), values("Dapr-Caller-App-Id")),
        (vec!["AQI".into()], vec!["me".into()])
    );
    assert_eq!(request.metadata.len(), 3);
    let message = request.message.expect("a message");
    assert_eq!(
        (&*message.method, &*message.content_type, message.data),
        ("a/b", "a/b", None)
    );
    let extension = message.http_extension.expect("an extension");
    assert_eq!((extension.verb(), &*extension.querystring), (Verb::Put, "q=1"));
    let message: InternalInvokeRequestStream = decoded(&head(Origin::Grpc));
    assert_eq!(message.request.expect("a request").metadata["foo-bin"].values, ["AQI="]);

    let (headers, trailers) = (sample(), sample());
    let framed = ResponseHead {
        code: 404,
        message: "Not Found",
        details: Vec::new(),
        headers: Entries::all(&headers, Origin::Grpc),
        trailers: Some(&trailers),
        content_type: b"t/x",
        type_url: "tu",
    }
    .framed();
    let message: InternalInvokeResponseStream = decoded(&framed);
    let response = message.response.expect("a response");
    let status = response.status.expect("a status");
    assert_eq!((status.code, &*status.message), (404, "Not Found"));
    assert_eq!((response.headers.len(), response.trailers.len()), (3, 3));
    let message = response.message.expect("a message");
    assert_eq!(
        (&*message.content_type, &*message.data.expect("data").type_url),
        ("t/x", "tu")
    );
}

#[test]
fn heads_are_read() {
    let metadata = [
        ("X-Multi".to_owned(), vec!["1", "2"]),
        (":authority".to_owned(), vec!["h"]),
        ("not a name".to_owned(), vec!["x"]),
    ];
    let metadata = metadata.into_iter().map(|(name, values)| {
        let values = values.into_iter().map(str::to_owned).collect();
        (name, ListStringValue { values })
    });
    let request = InternalInvokeRequest {
        ver: 1,
        metadata: metadata.collect(),
        message: Some(InvokeRequest {
            method: "m".into(),
            data: Some(::wire::google::protobuf::Any {
                type_url: "tu".into(),
                value: vec![1, 2],
            }),
            content_type: "t/x".into(),
            http_extension: Some(HttpExtension::default()),
        }),
        actor: None,
    };
    let read = proto::Request::read(request.encode_to_vec().into()).expect("a request");
    assert_eq!(
        (&*read.method, &*read.type_url, read.verb, &*read.data),
        ("m", "tu", Some(0), &[1, 2][..])
    );
    let multi: Vec<_> = read.metadata.get_all("x-multi").iter().collect();
    assert_eq!(multi, ["1", "2"]);
    assert_eq!(read.metadata["dapr-authority"], "h");
    assert_eq!(read.metadata.len(), 3);
    // Nothing that is cut short is read as something else, and nothing panics.
    let whole = request.encode_to_vec();
    for end in 0..whole.len() {
        let _either = proto::Request::read(Bytes::copy_from_slice(&whole[..end]));
        let _either = proto::Response::read(Bytes::copy_from_slice(&whole[..end]));
    }
}

/// A stream as the generated messages have it, with pieces of all sizes, the number behind the data.
fn generated(sizes: &[usize]) -> (Vec<u8>, Vec<u8>) {
    let (mut stream, mut body) = (Vec::new(), Vec::new());
    let head = InternalInvokeRequestStream {
        request: Some(InternalInvokeRequest::default()),
        payload: None,
    };
    stream.extend_from_slice(&rpc::framed(&head));
    for (seq, size) in sizes.iter().enumerate() {
        let data: Vec<u8> = (0..*size).map(|n| (n + seq) as u8).collect();
        body.extend_from_slice(&data);
        let payload = StreamPayload {
            data: data.into(),
            seq: seq as u64,
        };
        let message = InternalInvokeRequestStream {
            request: None,
            payload: Some(payload),
        };
        stream.extend_from_slice(&rpc::framed(&message));
    }
    (stream, body)
}

fn decode(chunks: impl Iterator<Item = Bytes>) -> Result<(usize, Vec<u8>), FrameError> {
    let (mut decoder, mut heads, mut body) = (Decoder::default(), 0, Vec::new());
    for chunk in chunks {
        decoder.push(chunk);
        while let Some(event) = decoder.next()? {
            match event {
                Event::Head(_) => heads += 1,
                Event::Data(data) => body.extend_from_slice(&data),
            }
        }
    }
    assert!(decoder.is_between());
    Ok((heads, body))
}

#[test]
fn streams_are_read_however_they_are_cut() {
    let (stream, body) = generated(&[0, 1, 127, 128, 2000, 70_000, 3]);
    let stream = Bytes::from(stream);
    for size in (1..40).chain([100, 4096, 1 << 20]) {
        let chunks = (0..stream.len().div_ceil(size)).map(|n| stream.slice(n * size..stream.len().min((n + 1) * size)));
        assert_eq!(decode(chunks), Ok((1, body.clone())), "{size}");
    }
}

#[test]
fn streams_that_are_none() {
    let payload = |seq| InternalInvokeRequestStream {
        request: None,
        payload: Some(StreamPayload {
            data: Bytes::from_static(b"x"),
            seq,
        }),
    };
    let gap = [rpc::framed(&payload(0)), rpc::framed(&payload(2))].concat();
    let (got, expected) = (2, 1);
    assert_eq!(decode([gap.into()].into_iter()), Err(FrameError::Gap { got, expected }));
    assert_eq!(
        decode([Bytes::from_static(b"\x01\0\0\0\0")].into_iter()),
        Err(FrameError::Compressed)
    );
    let malformed = Err(FrameError::Malformed(proto::Malformed));
    assert_eq!(
        decode([Bytes::from_static(b"\0\0\0\0\x02\x12\x09")].into_iter()),
        malformed
    );
    assert_eq!(
        decode(
            [Bytes::from_static(
                b"\0\0\0\0\x0b\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
            )]
            .into_iter()
        ),
        malformed
    );
    let huge = [b"\0\xff\xff\xff\xff\x0a".as_slice(), b"\x80\x80\x80\x80\x01"].concat();
    assert_eq!(decode([huge.into()].into_iter()), Err(FrameError::TooLarge));
}

#[tokio::test]
async fn what_is_written_is_read() {
    for size in [0, 1, 1000, 9000, 65_536, 65_537, 300_000] {
        let body = Bytes::from((0..size).map(|n| n as u8).collect::<Vec<_>>());
        let pieces: Vec<_> = body.chunks(1234).map(Bytes::copy_from_slice).collect();
        let streamed = || streaming::body(futures_util::stream::iter(pieces.clone()));
        for sent in [
            upload::whole(&head(Origin::Http), body.clone(), End::Request),
            upload::whole(&head(Origin::Http), body.clone(), End::Response),
            upload::stream(&head(Origin::Http), streamed(), End::Request),
            upload::stream(&head(Origin::Http), streamed(), End::Response),
        ] {
            let (head, rest): (_, Download) = download::open(sent).await.expect("a head");
            let head = proto::Request::read(head).expect("a request");
            assert_eq!(head.method, "a/b");
            let got = rest.boxed().collect().await.expect("a body").to_bytes();
            assert_eq!(got, body, "{size}");
        }
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_told() {
    let broken = || {
        let frames = vec![
            Ok(http_body::Frame::data(Bytes::from_static(b"half"))),
            Err("gone".into()),
        ];
        BodyExt::boxed_unsync(http_body_util::StreamBody::new(futures_util::stream::iter(frames)))
    };
    for end in [End::Request, End::Response] {
        let sent = upload::stream(&head(Origin::Http), broken(), end);
        let (_, rest) = download::open(sent).await.expect("a head");
        let mut rest = rest.boxed();
        let first = rest
            .frame()
            .await
            .expect("more")
            .expect("a frame")
            .into_data()
            .expect("data");
        assert_eq!(first, "half");
        let why = rest.frame().await.expect("more").expect_err("an error").to_string();
        assert!(why.contains("gone"), "{why}");
    }
}

#[tokio::test]
async fn a_sidecar_that_does_not_stream() {
    let app = mirror().await;
    let names = Names::default();
    let mut setup = Setup::new("callee").app(&app);
    setup.only_call_local = true;
    let _callee = start(setup, &names).await;
    let caller = start(Setup::new("caller"), &names).await;
    // The second call knows; a body that streams is gathered then.
    for (n, length) in [10_usize, 20, 100_000].into_iter().enumerate() {
        let got = caller
            .call(
                "POST",
                "/v1.0/invoke/callee/method/x?q",
                &[("x-a", "1")],
                vec![b'y'; length],
            )
            .await;
        let lines: Vec<_> = got.text().lines().collect();
        assert_eq!((lines[0], lines[lines.len() - 1].len()), ("POST /x?q", length), "{n}");
        assert!(lines.contains(&"x-a: 1"));
    }
    let got = caller
        .chunked("/v1.0/invoke/callee/method/x", vec!["ab".into(), "cd".into()])
        .await;
    assert!(got.text().ends_with("abcd"));
}

#[tokio::test]
async fn nonsense_from_a_peer() {
    let app = mirror().await;
    let (_caller, callee) = pair(&app, "http").await;
    let direct = client(&callee.internal, Version::Http2);
    for (method, body) in [
        ("CallLocalStream", &b""[..]),
        ("CallLocalStream", b"\0\0\0\0\0"),
        ("CallLocalStream", b"\0\0\0\0\x02\x0a\x00"),
        ("CallLocalStream", b"\0\0\0\0\x09abcdefghi"),
        ("CallLocal", b""),
        ("CallLocal", b"\0\0\0\0\x04abcd"),
        ("CallLocal", b"\x01\0\0\0\0"),
        ("CallActor", b"\0\0\0\0\0"),
        ("CallActorStream", b"\0\0\0\0\0"),
        ("CallActorReminder", b"\0\0\0\0\0"),
    ] {
        let target = direct
            .request_uri(&format!("/{}/{method}", crate::SERVICE))
            .expect("a target");
        let request = rpc::request(target, HeaderMap::new(), api::body::full(body));
        let response = tokio::time::timeout(Duration::from_secs(5), direct.send(request)).await;
        let response = response.expect("in time").expect("an answer");
        let reply = rpc::read(response, 1000).await.expect("a reply");
        assert!(download::fault_in(&reply.trailers).is_some(), "{method} {body:?}");
    }
}
