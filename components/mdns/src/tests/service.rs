use crate::{message::*, service::*};

fn service() -> Service {
    Service::new("My.App", ([10, 0, 0, 1], 50002).into()).expect("a name")
}

fn asked(labels: &[&str], kind: Kind) -> Message {
    let name = Name::new(labels.iter().copied()).expect("a name");
    Message::parse(&query(&name, kind)).expect("reads")
}

#[test]
fn an_announcement_tells_of_the_sidecar() {
    let message = Message::parse(&service().announcement()).expect("reads");
    let found = sidecars(&message);
    assert_eq!(found.len(), 1);
    let (app_id, sidecar) = &found[0];
    assert_eq!(app_id, "My.App");
    assert_eq!(sidecar.address, Some(([10, 0, 0, 1], 50002).into()));
    assert_eq!(sidecar.ttl.as_secs(), 120);
    let six = Service::new(
        "six",
        (std::net::Ipv6Addr::from([0xfd00, 0, 0, 0, 0, 0, 0, 1]), 1).into(),
    );
    let message = Message::parse(&six.expect("a name").announcement()).expect("reads");
    assert_eq!(
        sidecars(&message)[0].1.address.expect("is there").to_string(),
        "[fd00::1]:1"
    );
}

#[test]
fn a_goodbye_takes_it_back() {
    let service = service();
    let (hello, bye) = (service.announcement(), service.goodbye());
    let (hello, bye) = (
        Message::parse(&hello).expect("reads"),
        Message::parse(&bye).expect("reads"),
    );
    let (hello, bye) = (sidecars(&hello), sidecars(&bye));
    assert_eq!(hello[0].1.instance, bye[0].1.instance);
    assert!(bye[0].1.ttl.is_zero());
}

#[test]
fn queries_are_answered_whatever_their_case() {
    let service = service();
    for kind in [Kind::Ptr, Kind::Any] {
        let answer = service
            .answer(&asked(&["my", "APP", "local"], kind), false)
            .expect("is about it");
        let message = Message::parse(&answer).expect("reads");
        assert!(message.is_answer && message.questions.is_empty());
        assert_eq!(sidecars(&message)[0].0, "My.App");
        assert_eq!(message.records.len(), 4);
    }
    let all = asked(&["_services", "_dns-sd", "_udp", "local"], Kind::Ptr);
    assert!(service.answer(&all, false).is_some());
    for other in [
        asked(&["app", "local"], Kind::Ptr),
        asked(&["my", "app", "local"], Kind::A),
        asked(&["x", "my", "app", "local"], Kind::Ptr),
    ] {
        assert!(service.answer(&other, false).is_none());
    }
}

#[test]
fn what_is_known_already_is_not_said_again() {
    let service = service();
    let mut query = asked(&["my", "app", "local"], Kind::Ptr);
    query.records = Message::parse(&service.announcement()).expect("reads").records;
    assert!(service.answer(&query, false).is_none());
    for record in &mut query.records {
        record.ttl = 10;
    }
    assert!(service.answer(&query, false).is_some(), "it will be forgotten soon");
}

#[test]
fn who_does_not_speak_multicast_gets_its_own_answer() {
    let mut query = asked(&["my", "app", "local"], Kind::Ptr);
    query.id = 77;
    let answer = service().answer(&query, true).expect("is about it");
    let message = Message::parse(&answer).expect("reads");
    assert_eq!(message.id, 77);
    assert_eq!(message.questions, query.questions);
}

#[test]
fn an_id_that_is_no_name_cannot_be_announced() {
    for app_id in ["", "a..b", &"x".repeat(64)] {
        assert!(Service::new(app_id, ([10, 0, 0, 1], 1).into()).is_none(), "{app_id}");
    }
}

#[test]
fn the_text_must_be_of_the_name_that_points() {
    let message = Message::parse(&service().announcement()).expect("reads");
    let mut lying = message.clone();
    for record in &mut lying.records {
        if let Data::Txt(texts) = &mut record.data {
            *texts = vec![b"another".to_vec()];
        }
    }
    assert_eq!(sidecars(&lying)[0].0, "My.App", "what the name says counts");
}
