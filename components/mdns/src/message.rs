//! DNS messages, as far as multicast DNS needs them: what comes in is hostile, what goes out is small.

use std::net::{Ipv4Addr, Ipv6Addr};

/// The most bytes a name has on the wire.
const NAME: usize = 255;

/// The bits of a header that say "an answer, and by whom it is due".
const ANSWER: u16 = 0x8400;

/// The bit of a class by which a record says that it replaces all of its name and type.
const REPLACES: u16 = 0x8000;

const INTERNET: u16 = 1;

/// A type of record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    A,
    Ptr,
    Txt,
    Aaaa,
    Srv,
    /// In questions: all of them.
    Any,
    Other,
}

impl Kind {
    fn of(number: u16) -> Self {
        match number {
            1 => Self::A,
            12 => Self::Ptr,
            16 => Self::Txt,
            28 => Self::Aaaa,
            33 => Self::Srv,
            255 => Self::Any,
            _ => Self::Other,
        }
    }

    fn number(self) -> u16 {
        match self {
            Self::A => 1,
            Self::Ptr => 12,
            Self::Txt => 16,
            Self::Aaaa => 28,
            Self::Srv => 33,
            Self::Any | Self::Other => 255,
        }
    }
}

/// A name: its labels as they are on the wire. Case does not matter in comparisons.
#[derive(Debug, Clone, Eq)]
pub(crate) struct Name(Vec<u8>);

impl Name {
    /// The name of the given labels; nothing if one of them is too long or empty, or all of them are.
    pub(crate) fn new<'a>(labels: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let mut wire = Vec::new();
        for label in labels {
            let length = u8::try_from(label.len())
                .ok()
                .filter(|length| (1..=63).contains(length))?;
            wire.push(length);
            wire.extend_from_slice(label.as_bytes());
        }
        wire.push(0);
        (wire.len() <= NAME).then_some(Self(wire))
    }

    /// Whether the name ends with all of the other.
    pub(crate) fn ends_with(&self, other: &Self) -> bool {
        let Some(at) = self.0.len().checked_sub(other.0.len()) else {
            return false;
        };
        // Only where a label begins.
        let mut label = 0;
        while label < at {
            label += 1 + self.0.get(label).map_or(0, |length| usize::from(*length));
        }
        label == at && self.0[at..].eq_ignore_ascii_case(&other.0)
    }

    /// The labels; bytes that are no text become something that is no name of ours.
    pub(crate) fn labels(&self) -> Vec<String> {
        let mut labels = Vec::new();
        let mut rest = self.0.as_slice();
        while let Some((length, after)) = rest.split_first().filter(|(length, _)| **length > 0) {
            let Some((label, after)) = after.split_at_checked(usize::from(*length)) else {
                break;
            };
            labels.push(String::from_utf8_lossy(label).into_owned());
            rest = after;
        }
        labels
    }

    /// What is the same for all spellings of the name.
    pub(crate) fn key(&self) -> Vec<u8> {
        self.0.to_ascii_lowercase()
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        // The length bytes are below 64, where no letters are.
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Data {
    A(Ipv4Addr),
    Aaaa(Ipv6Addr),
    Ptr(Name),
    Srv { port: u16, host: Name },
    Txt(Vec<Vec<u8>>),
    Other,
}

impl Data {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::A(_) => Kind::A,
            Self::Aaaa(_) => Kind::Aaaa,
            Self::Ptr(_) => Kind::Ptr,
            Self::Srv { .. } => Kind::Srv,
            Self::Txt(_) => Kind::Txt,
            Self::Other => Kind::Other,
        }
    }
}

/// A record: what is said of a name, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) name: Name,
    /// Seconds; zero takes back what was said before.
    pub(crate) ttl: u32,
    pub(crate) data: Data,
}

/// A question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) name: Name,
    pub(crate) kind: Kind,
}

/// A message that came in. The three sections of records are one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) id: u16,
    pub(crate) is_answer: bool,
    pub(crate) questions: Vec<Question>,
    pub(crate) records: Vec<Record>,
}

impl Message {
    /// Reads a message; nothing if it is none.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader { bytes, at: 0 };
        let id = reader.u16()?;
        let flags = reader.u16()?;
        let questions = reader.u16()?;
        let records = (0..3).map(|_| reader.u16().map(u32::from)).sum::<Option<u32>>()?;
        // A standard query or its answer, without error.
        if flags & 0x780F != 0 {
            return None;
        }
        Some(Self {
            id,
            is_answer: flags & 0x8000 != 0,
            questions: (0..questions).map(|_| reader.question()).collect::<Option<_>>()?,
            records: (0..records).map(|_| reader.record()).collect::<Option<_>>()?,
        })
    }
}

/// Reads from a message, from its beginning to its end.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// A name, which may go on at an earlier place of the message. Each such place must lie before the one that named it,
    /// so that there is an end.
    fn name(&mut self) -> Option<Name> {
        let mut wire = Vec::new();
        let mut here = Reader {
            bytes: self.bytes,
            at: self.at,
        };
        let mut before = self.at;
        let mut after = None;
        loop {
            let length = here.array::<1>()?[0];
            match length {
                0 => break,
                1..=63 => {
                    wire.push(length);
                    wire.extend_from_slice(here.take(usize::from(length))?);
                }
                0xC0.. => {
                    let low = here.array::<1>()?[0];
                    let place = usize::from(length & 0x3F) << 8 | usize::from(low);
                    if place >= before {
                        return None;
                    }
                    after.get_or_insert(here.at);
                    before = place;
                    here.at = place;
                }
                _ => return None,
            }
            if wire.len() >= NAME {
                return None;
            }
        }
        wire.push(0);
        self.at = after.unwrap_or(here.at);
        Some(Name(wire))
    }

    fn question(&mut self) -> Option<Question> {
        let name = self.name()?;
        let kind = Kind::of(self.u16()?);
        let _class = self.u16()?;
        Some(Question { name, kind })
    }

    fn record(&mut self) -> Option<Record> {
        let name = self.name()?;
        let kind = Kind::of(self.u16()?);
        let _class = self.u16()?;
        let ttl = self.u32()?;
        let length = usize::from(self.u16()?);
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len())?;
        let mut inner = Reader {
            bytes: &self.bytes[..end],
            at: self.at,
        };
        let data = inner.data(kind)?;
        self.at = end;
        Some(Record { name, ttl, data })
    }

    /// The rest of the bytes as what a record of this kind says.
    fn data(&mut self, kind: Kind) -> Option<Data> {
        Some(match kind {
            Kind::A => Data::A(self.array::<4>()?.into()),
            Kind::Aaaa => Data::Aaaa(self.array::<16>()?.into()),
            Kind::Ptr => Data::Ptr(self.name()?),
            Kind::Srv => {
                let _priority_and_weight = self.u32()?;
                let port = self.u16()?;
                Data::Srv {
                    port,
                    host: self.name()?,
                }
            }
            Kind::Txt => {
                let mut texts = Vec::new();
                while self.at < self.bytes.len() {
                    let length = self.array::<1>()?[0];
                    texts.push(self.take(usize::from(length))?.to_vec());
                }
                Data::Txt(texts)
            }
            Kind::Any | Kind::Other => Data::Other,
        })
    }
}

/// A query with one question, for all who listen.
pub(crate) fn query(name: &Name, kind: Kind) -> Vec<u8> {
    let mut out = header(0, 0, [1, 0, 0, 0]);
    write_question(&mut out, name, kind);
    out
}

/// An answer of the given records, and others that help. `question` is what a client asked that does not speak multicast.
pub(crate) fn answer(id: u16, question: Option<&Question>, answers: &[&Record], others: &[&Record]) -> Vec<u8> {
    let count = |records: &[&Record]| u16::try_from(records.len()).unwrap_or(u16::MAX);
    let questions = u16::from(question.is_some());
    let mut out = header(id, ANSWER, [questions, count(answers), 0, count(others)]);
    if let Some(question) = question {
        write_question(&mut out, &question.name, question.kind);
    }
    for record in answers.iter().chain(others) {
        write_record(&mut out, record);
    }
    out
}

fn header(id: u16, flags: u16, counts: [u16; 4]) -> Vec<u8> {
    [id, flags]
        .into_iter()
        .chain(counts)
        .flat_map(u16::to_be_bytes)
        .collect()
}

fn write_question(out: &mut Vec<u8>, name: &Name, kind: Kind) {
    out.extend_from_slice(&name.0);
    out.extend(kind.number().to_be_bytes());
    out.extend(INTERNET.to_be_bytes());
}

fn write_record(out: &mut Vec<u8>, record: &Record) {
    let kind = record.data.kind();
    // Many have a record of the same pointer; all others are of one sidecar alone.
    let class = if kind == Kind::Ptr {
        INTERNET
    } else {
        INTERNET | REPLACES
    };
    let mut data = Vec::new();
    match &record.data {
        Data::A(address) => data.extend(address.octets()),
        Data::Aaaa(address) => data.extend(address.octets()),
        Data::Ptr(name) => data.extend_from_slice(&name.0),
        Data::Srv { port, host } => {
            data.extend([0; 4]);
            data.extend(port.to_be_bytes());
            data.extend_from_slice(&host.0);
        }
        Data::Txt(texts) => {
            for text in texts {
                let text = &text[..text.len().min(255)];
                data.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
                data.extend_from_slice(text);
            }
        }
        Data::Other => {}
    }
    out.extend_from_slice(&record.name.0);
    out.extend(kind.number().to_be_bytes());
    out.extend(class.to_be_bytes());
    out.extend(record.ttl.to_be_bytes());
    out.extend(u16::try_from(data.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend(data);
}
