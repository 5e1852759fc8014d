//! From the bytes of a gRPC stream to heads and pieces of bodies, as they come: a piece is passed on without waiting for
//! the rest of its message, and without being copied.

use crate::proto::{Malformed, PREFIX, read_varint};
use bytes::{Buf, Bytes, BytesMut};

/// The most bytes of a head: a head is headers and, from those who send it so, a first piece of the body.
const HEAD_LIMIT: u64 = 16 << 20;

/// What a stream cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    /// Not what is said between sidecars.
    #[error("{0}")]
    Malformed(#[from] Malformed),
    /// Compressed, which nobody asked for.
    #[error("grpc: Decompressor is not installed for grpc-encoding")]
    Compressed,
    /// A head over the limit.
    #[error("the head of a call is too large")]
    TooLarge,
    /// A piece is missing.
    #[error("invalid sequence number received: {got} (expected: {expected})")]
    Gap {
        /// Its number.
        got: u64,
        /// The number that it should have.
        expected: u64,
    },
}

/// What comes next in a stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A head, encoded.
    Head(Bytes),
    /// Some bytes of the body.
    Data(Bytes),
}

/// Where in a message the next byte is.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// Before a message.
    Between,
    /// In a message, of which this many bytes are left.
    Message(u64),
    /// In a piece of the body: what is left of the message behind it, what is left of the piece, and its number.
    Piece { after: u64, left: u64, seq: u64 },
    /// In the bytes of a piece.
    Data { after: u64, left: u64, seq: u64, data: u64 },
    /// In a head: what is left of it, and of the message behind it.
    Head { after: u64, left: u64 },
    /// In a field that nobody knows.
    Skip { skip: u64, then: Outer },
}

/// Where to go on after a field that nobody knows.
#[derive(Debug, Clone, Copy)]
enum Outer {
    Message(u64),
    Piece { after: u64, left: u64, seq: u64 },
}

impl From<Outer> for Place {
    fn from(outer: Outer) -> Self {
        match outer {
            Outer::Message(left) => Self::Message(left),
            Outer::Piece { after, left, seq } => Self::Piece { after, left, seq },
        }
    }
}

/// Reads a stream of messages piece by piece.
#[derive(Debug)]
pub(crate) struct Decoder {
    place: Place,
    /// What came and was not read yet.
    chunk: Bytes,
    /// The beginning of something that was cut by the end of a chunk.
    cut: BytesMut,
    expected: u64,
}

impl Default for Decoder {
    fn default() -> Self {
        Self {
            place: Place::Between,
            chunk: Bytes::new(),
            cut: BytesMut::new(),
            expected: 0,
        }
    }
}

/// A field's number and type, and its value or length.
struct Key {
    number: u64,
    kind: u8,
    value: u64,
    length: u64,
}

impl Decoder {
    /// Takes more bytes; all that came before must have been read.
    pub(crate) fn push(&mut self, chunk: Bytes) {
        debug_assert!(self.chunk.is_empty(), "a chunk was not read to its end");
        self.chunk = chunk;
    }

    /// Whether the stream may end here.
    pub(crate) fn is_between(&self) -> bool {
        let between = match self.place {
            Place::Between | Place::Message(0) => true,
            Place::Piece { after: 0, left: 0, seq } => seq == self.expected,
            // The last bytes of a piece were taken, and nothing comes behind them.
            Place::Data {
                after: 0,
                left: 0,
                seq,
                data: 0,
            } => seq == self.expected,
            _ => false,
        };
        between && self.chunk.is_empty() && self.cut.is_empty()
    }

    /// What comes next; nothing if more bytes are needed.
    pub(crate) fn next(&mut self) -> Result<Option<Event>, FrameError> {
        loop {
            match self.place {
                Place::Between => {
                    if !self.begin()? {
                        return Ok(None);
                    }
                }
                Place::Message(0) => self.place = Place::Between,
                Place::Message(left) => {
                    if !self.field(left)? {
                        return Ok(None);
                    }
                }
                Place::Piece { after, left: 0, seq } => {
                    if seq != self.expected {
                        return Err(FrameError::Gap {
                            got: seq,
                            expected: self.expected,
                        });
                    }
                    self.expected += 1;
                    self.place = Place::Message(after);
                }
                Place::Piece { after, left, seq } => {
                    if !self.piece_field(after, left, seq)? {
                        return Ok(None);
                    }
                }
                Place::Data {
                    after,
                    left,
                    seq,
                    data: 0,
                } => self.place = Place::Piece { after, left, seq },
                Place::Data { .. } if self.chunk.is_empty() => return Ok(None),
                Place::Data { after, left, seq, data } => {
                    let bytes = self.take(data);
                    let data = data - bytes.len() as u64;
                    self.place = Place::Data { after, left, seq, data };
                    return Ok(Some(Event::Data(bytes)));
                }
                Place::Head { after, left } => {
                    let Some(head) = self.whole(left) else { return Ok(None) };
                    self.place = Place::Message(after);
                    return Ok(Some(Event::Head(head)));
                }
                Place::Skip { skip: 0, then } => self.place = then.into(),
                Place::Skip { .. } if self.chunk.is_empty() => return Ok(None),
                Place::Skip { skip, then } => {
                    let skipped = self.take(skip).len() as u64;
                    self.place = Place::Skip {
                        skip: skip - skipped,
                        then,
                    };
                }
            }
        }
    }

    fn take(&mut self, most: u64) -> Bytes {
        let length = usize::try_from(most).unwrap_or(usize::MAX).min(self.chunk.len());
        self.chunk.split_to(length)
    }

    /// Exactly so many bytes, if they are there.
    fn whole(&mut self, length: u64) -> Option<Bytes> {
        let length = usize::try_from(length).ok()?;
        if self.cut.is_empty() && self.chunk.len() >= length {
            return Some(self.chunk.split_to(length));
        }
        let missing = length - self.cut.len();
        let part = self.take(missing as u64);
        self.cut.extend_from_slice(&part);
        (self.cut.len() == length).then(|| self.cut.split().freeze())
    }

    /// Reads what comes before a message.
    fn begin(&mut self) -> Result<bool, FrameError> {
        let Some(mut prefix) = self.whole(PREFIX as u64) else {
            return Ok(false);
        };
        if prefix.get_u8() != 0 {
            return Err(FrameError::Compressed);
        }
        self.place = Place::Message(u64::from(prefix.get_u32()));
        Ok(true)
    }

    /// Reads the beginning of a field of a message.
    fn field(&mut self, left: u64) -> Result<bool, FrameError> {
        let Some(key) = self.key()? else { return Ok(false) };
        let left = left.checked_sub(key.length).ok_or(Malformed)?;
        self.place = match (key.number, key.kind) {
            (1, 2) if key.value > HEAD_LIMIT => return Err(FrameError::TooLarge),
            (1, 2) => Place::Head {
                after: left.checked_sub(key.value).ok_or(Malformed)?,
                left: key.value,
            },
            (2, 2) => Place::Piece {
                after: left.checked_sub(key.value).ok_or(Malformed)?,
                left: key.value,
                seq: 0,
            },
            _ => {
                let skip = key.skip()?;
                let left = left.checked_sub(skip).ok_or(Malformed)?;
                Place::Skip {
                    skip,
                    then: Outer::Message(left),
                }
            }
        };
        Ok(true)
    }

    /// Reads the beginning of a field of a piece.
    fn piece_field(&mut self, after: u64, left: u64, seq: u64) -> Result<bool, FrameError> {
        let Some(key) = self.key()? else { return Ok(false) };
        let left = left.checked_sub(key.length).ok_or(Malformed)?;
        self.place = match (key.number, key.kind) {
            (1, 2) => Place::Data {
                after,
                left: left.checked_sub(key.value).ok_or(Malformed)?,
                seq,
                data: key.value,
            },
            (2, 0) => Place::Piece {
                after,
                left,
                seq: key.value,
            },
            _ => {
                let skip = key.skip()?;
                let left = left.checked_sub(skip).ok_or(Malformed)?;
                Place::Skip {
                    skip,
                    then: Outer::Piece { after, left, seq },
                }
            }
        };
        Ok(true)
    }

    /// Reads a field's key and its number or length; nothing if they are not whole yet.
    fn key(&mut self) -> Result<Option<Key>, FrameError> {
        if self.cut.is_empty() {
            if let Some(key) = Key::read(&self.chunk)? {
                self.chunk.advance(key.length as usize);
                return Ok(Some(key));
            }
            self.cut.extend_from_slice(&self.chunk);
            self.chunk.clear();
            return Ok(None);
        }
        // A key that was cut: byte by byte, so that nothing behind it is taken.
        while !self.chunk.is_empty() {
            self.cut.extend_from_slice(&self.chunk[..1]);
            self.chunk.advance(1);
            if let Some(key) = Key::read(&self.cut)? {
                self.cut.clear();
                return Ok(Some(key));
            }
        }
        Ok(None)
    }
}

impl Key {
    fn read(bytes: &[u8]) -> Result<Option<Self>, Malformed> {
        let Some((key, first)) = read_varint(bytes)? else {
            return Ok(None);
        };
        let kind = (key & 7) as u8;
        let (value, second) = match kind {
            0 | 2 => match read_varint(&bytes[first..])? {
                Some(read) => read,
                None => return Ok(None),
            },
            1 | 5 => (0, 0),
            _ => return Err(Malformed),
        };
        Ok(Some(Self {
            number: key >> 3,
            kind,
            value,
            length: (first + second) as u64,
        }))
    }

    /// How many bytes follow of a field that nobody knows.
    fn skip(&self) -> Result<u64, Malformed> {
        match self.kind {
            0 => Ok(0),
            1 => Ok(8),
            2 => Ok(self.value),
            5 => Ok(4),
            _ => Err(Malformed),
        }
    }
}
