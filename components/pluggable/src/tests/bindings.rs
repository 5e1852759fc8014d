//! Bindings.

use super::*;
use bytes::Bytes;
use component::{
    ComponentError, Metadata,
    binding::{Event, EventHandler, Invoke},
};
use std::sync::Arc;
use wire::components::v1::ReadResponse;

const BOTH: Script = Script {
    services: &["InputBinding", "OutputBinding"],
    features: &[],
    max_size: 0,
    lazy: false,
    ping_after: Duration::ZERO,
    pausable: false,
    alpha: false,
    init_error: None,
};

/// Answers with what came, turned around; refuses `bad`.
struct Echo;

#[component::async_trait]
impl EventHandler for Echo {
    async fn handle(&self, event: Event) -> Result<Option<Bytes>, ComponentError> {
        match event.data.as_ref() {
            b"bad" => Err(ComponentError::transient("refused")),
            b"panic" => panic!("on purpose"),
            b"quiet" => Ok(None),
            data => Ok(Some(data.iter().rev().copied().collect())),
        }
    }
}

fn event(id: &str, data: &'static str) -> ReadResponse {
    ReadResponse {
        data: data.into(),
        message_id: id.to_owned(),
        ..ReadResponse::default()
    }
}

#[tokio::test]
async fn invokes_operations() {
    let (_folder, fake, found) = found(BOTH).await;
    let Ok(Opened::Binding {
        input: None,
        output: Some(output),
    }) = open(&found, Kind::Binding, &[("direction", "output")]).await
    else {
        panic!("opens an output binding");
    };
    assert_eq!(output.operations(), ["create", "err"]);
    let request = Invoke {
        operation: "create".to_owned(),
        data: Bytes::from_static(b"data"),
        metadata: Metadata::from([("k".to_owned(), "v".to_owned())]),
    };
    let response = output.invoke(request).await.expect("answers");
    assert_eq!(response.data.as_deref(), Some(b"data".as_ref()));
    assert_eq!(response.metadata["k"], "v");
    assert_eq!(response.content_type.as_deref(), Some("text/plain"));
    assert_eq!(fake.calls("Invoke")[0].0, "comp");

    let empty = Invoke {
        operation: "create".to_owned(),
        ..Invoke::default()
    };
    assert_eq!(output.invoke(empty).await.expect("answers").data, None);

    let wrong = Invoke {
        operation: "err:13:broken".to_owned(),
        ..Invoke::default()
    };
    let error = output.invoke(wrong).await.expect_err("fails");
    assert_eq!(error.error.message, "rpc error: code = Internal desc = broken");
    assert!(fake.calls("InputBinding/Init").is_empty());
}

#[tokio::test]
async fn opens_the_directions_that_are_wanted_and_served() {
    for (direction, expected) in [
        ("", Some((true, true))),
        ("input, output", Some((true, true))),
        ("INPUT", Some((true, false))),
        ("output", Some((false, true))),
        ("sideways", None),
    ] {
        let (_folder, _fake, found) = found(BOTH).await;
        let opened = open(&found, Kind::Binding, &[("direction", direction)]).await;
        let directions = match opened {
            Ok(Opened::Binding { input, output }) => Some((input.is_some(), output.is_some())),
            _ => None,
        };
        assert_eq!(directions, expected, "{direction}");
    }
}

#[tokio::test]
async fn answers_each_event() {
    let (_folder, mut fake, found) = found(BOTH).await;
    let Ok(Opened::Binding { input: Some(input), .. }) = open(&found, Kind::Binding, &[("direction", "input")]).await
    else {
        panic!("opens an input binding");
    };
    let subscription = input.read(Arc::new(Echo)).await.expect("reads");
    for (id, data) in [("1", "abc"), ("", "de"), ("2", "bad"), ("3", "quiet"), ("4", "panic")] {
        fake.events.send(event(id, data)).expect("the component runs");
    }
    let mut answers = Vec::new();
    for _ in 0..5 {
        let answer = soon(fake.answers.recv()).await.expect("an answer");
        let error = answer.response_error.map(|error| error.message).unwrap_or_default();
        answers.push((answer.message_id, answer.response_data, error));
    }
    answers.sort();
    let expected = [
        ("", "ed", ""),
        ("1", "cba", ""),
        ("2", "", "refused"),
        ("3", "", ""),
        ("4", "", "the handler panicked"),
    ];
    assert_eq!(
        answers,
        expected.map(|(id, data, error)| (id.to_owned(), Bytes::from_static(data.as_bytes()), error.to_owned()))
    );
    soon(subscription.close()).await;
    soon(fake.ended.recv()).await.expect("the stream ends");
}
