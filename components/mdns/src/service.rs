//! Who this sidecar is on the network: the records it announces and answers with, and what others' records say.

use crate::{
    cache::Sidecar,
    message::{Data, Kind, Message, Name, Question, Record, answer},
    socket::is_usable,
};
use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};
use uuid::Uuid;

/// How long records count that are of one sidecar alone, in seconds.
const TTL: u32 = 120;

/// How many pointers of one message are followed; a sidecar sends two.
const POINTERS: usize = 32;

/// The domain of all names.
const DOMAIN: &str = "local";

/// The name under which an application's sidecars are found: its id, whose dots part labels.
pub(crate) fn service_name(app_id: &str) -> Option<Name> {
    Name::new(app_id.split('.').chain([DOMAIN]))
}

/// The id of the application whose name it is, or would be if the case were right.
fn app_id(service: &Name) -> Option<String> {
    let labels = service.labels();
    let (domain, id) = labels.split_last()?;
    (domain.eq_ignore_ascii_case(DOMAIN) && !id.is_empty()).then(|| id.join("."))
}

/// What this sidecar says of itself.
#[derive(Debug)]
pub(crate) struct Service {
    service: Name,
    records: Vec<Record>,
}

impl Service {
    /// The sidecar of an application at an address; nothing if the id cannot be a name.
    pub(crate) fn new(app_id: &str, address: SocketAddr) -> Option<Self> {
        let service = service_name(app_id)?;
        // Names that no other sidecar has, so that nobody has to be asked whether they are free.
        let id = Uuid::new_v4().simple().to_string();
        let instance = format!("{}:{}", std::process::id(), &id[..8]);
        let instance = Name::new([instance.as_str()].into_iter().chain(app_id.split('.')).chain([DOMAIN]))?;
        let host = Name::new([id.as_str(), DOMAIN])?;
        let record = |name: &Name, data| Record {
            name: name.clone(),
            ttl: TTL,
            data,
        };
        let records = vec![
            record(&service, Data::Ptr(instance.clone())),
            record(
                &instance,
                Data::Srv {
                    port: address.port(),
                    host: host.clone(),
                },
            ),
            record(&instance, Data::Txt(vec![app_id.into()])),
            record(
                &host,
                match address.ip() {
                    IpAddr::V4(address) => Data::A(address),
                    IpAddr::V6(address) => Data::Aaaa(address),
                },
            ),
            record(
                &Name::new(["_services", "_dns-sd", "_udp", DOMAIN])?,
                Data::Ptr(service.clone()),
            ),
        ];
        Some(Self { service, records })
    }

    /// Says who this is, to all.
    pub(crate) fn announcement(&self) -> Vec<u8> {
        answer(0, None, &self.records.iter().collect::<Vec<_>>(), &[])
    }

    /// Takes all back.
    pub(crate) fn goodbye(&self) -> Vec<u8> {
        let gone: Vec<Record> = self
            .records
            .iter()
            .map(|record| Record {
                ttl: 0,
                ..record.clone()
            })
            .collect();
        answer(0, None, &gone.iter().collect::<Vec<_>>(), &[])
    }

    /// The answer to a query, if it is about this sidecar. `to_one` says that it goes to somebody who does not speak
    /// multicast DNS, but asked it.
    pub(crate) fn answer(&self, query: &Message, to_one: bool) -> Option<Vec<u8>> {
        let asks = |question: &Question, record: &Record| {
            question.name == record.name && (question.kind == Kind::Any || question.kind == record.data.kind())
        };
        // Whoever asks may say what is known already.
        let known = |record: &Record| {
            let same = |other: &&Record| other.name == record.name && other.data == record.data;
            query
                .records
                .iter()
                .find(same)
                .is_some_and(|other| other.ttl >= record.ttl / 2)
        };
        let (asked, others): (Vec<&Record>, Vec<&Record>) = self
            .records
            .iter()
            .partition(|record| query.questions.iter().any(|question| asks(question, record)));
        let (asked, mut others): (Vec<_>, Vec<_>) =
            (asked.into_iter().filter(|record| !known(record)).collect(), others);
        if asked.is_empty() {
            return None;
        }
        // Where the service is helps; that there are services does not.
        others.retain(|record| record.name.ends_with(&self.service) || !matches!(record.data, Data::Ptr(_)));
        Some(match to_one {
            true => answer(query.id, query.questions.first(), &asked, &others),
            false => answer(0, None, &asked, &others),
        })
    }
}

/// The sidecars that an answer tells of, each with the id of its application.
pub(crate) fn sidecars(message: &Message) -> Vec<(String, Sidecar)> {
    let pointers = message.records.iter().filter_map(|record| match &record.data {
        Data::Ptr(instance) if instance.ends_with(&record.name) => Some((record, instance)),
        _ => None,
    });
    pointers
        .take(POINTERS)
        .filter_map(|(pointer, instance)| {
            let about: Vec<&Record> = of(message, instance).collect();
            Some((app_id_of(pointer, &about)?, sidecar(message, pointer, instance, &about)))
        })
        .collect()
}

fn of<'a>(message: &'a Message, name: &'a Name) -> impl Iterator<Item = &'a Record> {
    message.records.iter().filter(move |record| record.name == *name)
}

/// The id of the application that a pointer is for. The text of the sidecar says it exactly; a name knows no case.
fn app_id_of(pointer: &Record, about: &[&Record]) -> Option<String> {
    let text = about.iter().find_map(|record| match &record.data {
        Data::Txt(texts) => String::from_utf8(texts.first()?.clone()).ok(),
        _ => None,
    });
    let exact = text.filter(|text| service_name(text).as_ref() == Some(&pointer.name));
    exact.or_else(|| app_id(&pointer.name))
}

fn sidecar(message: &Message, pointer: &Record, instance: &Name, about: &[&Record]) -> Sidecar {
    let mut ttl = pointer.ttl;
    let (mut v4, mut v6) = (Vec::new(), Vec::new());
    for record in about {
        let Data::Srv { port, host } = &record.data else {
            continue;
        };
        ttl = ttl.min(record.ttl);
        for record in of(message, host).filter(|record| record.ttl > 0) {
            match record.data {
                Data::A(ip) => v4.push(SocketAddr::new(ip.into(), *port)),
                Data::Aaaa(ip) => v6.push(SocketAddr::new(ip.into(), *port)),
                _ => {}
            }
        }
    }
    let mut addresses = v4.into_iter().chain(v6);
    Sidecar {
        instance: instance.key(),
        address: addresses.find(|address| is_usable(address.ip()) && address.port() != 0),
        ttl: Duration::from_secs(ttl.into()),
    }
}
