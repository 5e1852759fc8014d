use crate::message::*;
use proptest::prelude::*;

fn name(labels: &[&str]) -> Name {
    Name::new(labels.iter().copied()).expect("a name")
}

fn records() -> Vec<Record> {
    let record = |data| Record {
        name: name(&["Some", "name", "local"]),
        ttl: 120,
        data,
    };
    vec![
        record(Data::A([127, 0, 0, 1].into())),
        record(Data::Aaaa([0xfd00, 0, 0, 0, 0, 0, 0, 1].into())),
        record(Data::Ptr(name(&["other", "local"]))),
        record(Data::Srv {
            port: 50002,
            host: name(&["host", "local"]),
        }),
        record(Data::Txt(vec![b"one".to_vec(), Vec::new(), vec![b'x'; 255]])),
    ]
}

#[test]
fn what_is_written_can_be_read() {
    let records = records();
    let refs: Vec<&Record> = records.iter().collect();
    let question = Question {
        name: name(&["q", "local"]),
        kind: Kind::Any,
    };
    let message = Message::parse(&answer(7, Some(&question), &refs[..2], &refs[2..])).expect("reads");
    assert_eq!((message.id, message.is_answer), (7, true));
    assert_eq!(message.questions, [question]);
    assert_eq!(message.records, records);
    let asked = Message::parse(&query(&name(&["q", "local"]), Kind::Ptr)).expect("reads");
    assert!(!asked.is_answer && asked.records.is_empty());
    assert_eq!(asked.questions[0].kind, Kind::Ptr);
}

#[test]
fn names() {
    assert_eq!(name(&["App", "local"]), name(&["aPP", "LOCAL"]));
    assert_ne!(name(&["ab", "c"]), name(&["a", "bc"]));
    assert!(name(&["x", "app", "local"]).ends_with(&name(&["App", "local"])));
    assert!(!name(&["xapp", "local"]).ends_with(&name(&["app", "local"])));
    assert!(!name(&["local"]).ends_with(&name(&["app", "local"])));
    assert_eq!(name(&["a.b", "é"]).labels(), ["a.b", "é"]);
    for wrong in ["", &"x".repeat(64)] {
        assert!(Name::new([wrong, "local"]).is_none());
    }
    assert!(Name::new(std::iter::repeat_n("label", 43)).is_none());
    assert!(Name::new(std::iter::repeat_n("label", 42)).is_some());
}

/// An answer as the original's sidecars give it: with names that point back.
const ORIGINAL: &[u8] = b"\x00\x00\x84\x00\x00\x00\x00\x01\x00\x00\x00\x03\x06appone\x05local\x00\x00\x0c\
    \x00\x01\x00\x00\x0c\x80\x00\x0a\x07vm:7216\xc0\x0c\xc0\x24\x00\x21\x00\x01\x00\x00\x0c\x80\
    \x00\x10\x00\x00\x00\x00\x52\x0a\x02vm\x05local\x00\xc0\x24\x00\x10\x00\x01\x00\x00\x0c\x80\
    \x00\x07\x06appone\xc0\x40\x00\x01\x00\x01\x00\x00\x00x\x00\x04\xc0\x00\x02\x02";

#[test]
fn names_that_point_back() {
    let message = Message::parse(ORIGINAL).expect("reads");
    assert_eq!(message.records.len(), 4);
    assert_eq!(
        message.records[0].data,
        Data::Ptr(name(&["vm:7216", "appone", "local"]))
    );
    let found = crate::service::sidecars(&message);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].0, "appone");
    assert_eq!(found[0].1.address, Some(([192, 0, 2, 2], 21002).into()));
}

#[test]
fn hostile_messages_are_no_messages() {
    let header = |questions: u8, records: u8| [0, 0, 0, 0, 0, questions, 0, records, 0, 0, 0, 0];
    for (what, rest) in [
        ("a name that points at itself", &b"\xc0\x0c\0\x0c\0\x01"[..]),
        ("a name that points ahead", b"\xc0\x0e\x01a\0\0\x0c\0\x01"),
        ("names that point at each other", b"\x01a\xc0\x10\xc0\x0c\0\x0c\0\x01"),
        ("a label of a kind that there is not", b"\x80a\0\0\x0c\0\x01"),
        ("a label without its end", b"\x3fabc"),
        ("a question without a type", b"\x01a\0"),
        ("nothing", b""),
    ] {
        let bytes = [&header(1, 0), rest].concat();
        assert_eq!(Message::parse(&bytes), None, "{what}");
    }
    let many = [&header(0, 255)[..], b"\0\0\x01\0\x01\0\0\0\0\0\x04abcd"].concat();
    assert_eq!(Message::parse(&many), None, "fewer records than it says");
    let long = [&header(0, 1)[..], b"\0\0\x01\0\x01\0\0\0\0\xff\xff\x01"].concat();
    assert_eq!(Message::parse(&long), None, "a record that is longer than the message");
    let error = b"\0\0\x84\x03\0\0\0\0\0\0\0\0";
    assert_eq!(Message::parse(error), None, "an error");
}

proptest! {
    #[test]
    fn nothing_that_comes_in_does_harm(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        if let Some(message) = Message::parse(&bytes) {
            let _found = crate::service::sidecars(&message);
        }
    }

    #[test]
    fn nothing_that_is_nearly_right_does_harm(at in 0..ORIGINAL.len(), byte in any::<u8>(), end in 0..ORIGINAL.len()) {
        let mut bytes = ORIGINAL.to_vec();
        bytes[at] = byte;
        for message in [Message::parse(&bytes), Message::parse(&bytes[..end])].into_iter().flatten() {
            let _found = crate::service::sidecars(&message);
        }
    }
}
