//! The envelope of every message: a number, an id that ties an answer to its request, and the payload.

use super::codec::{Reader, Streamable, stream_count};
use super::error::WireError;
use super::limits::{self, MAX_ENVELOPE};
use super::message_type::MessageType;

/// One binary websocket frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Message number; see [`MessageType`]. Numbers we do not know are kept, for whoever counts them.
    pub kind: u8,
    /// Set on a request that wants an answer (dialer 0 to 0x7fff, listener 0x8000 to 0xffff) and repeated on the answer.
    pub id: Option<u16>,
    /// The payload: one streamable value.
    pub data: Vec<u8>,
}

impl Message {
    /// Puts a value into its envelope.
    #[must_use]
    pub fn new(kind: MessageType, id: Option<u16>, payload: &impl Streamable) -> Self {
        Self {
            kind: kind.as_u8(),
            id,
            data: payload.to_bytes(),
        }
    }

    /// Reads a whole frame.
    ///
    /// # Errors
    /// When the envelope is broken, when bytes follow it, or when the payload is longer than its kind may be
    /// ([`limits::max_received`]). The payload is copied only after all that is known.
    pub fn parse(frame: &[u8]) -> Result<Self, WireError> {
        let mut input = Reader::new(frame);
        let kind = u8::parse(&mut input)?;
        let id = Option::parse(&mut input)?;
        let data = input.counted_bytes()?;
        input.finish()?;
        let limit = limits::max_received(kind);
        if data.len() > limit {
            return Err(WireError::TooLarge {
                kind,
                bytes: data.len(),
                limit,
            });
        }
        Ok(Self {
            kind,
            id,
            data: data.to_vec(),
        })
    }

    /// The bytes of the frame.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(MAX_ENVELOPE + self.data.len());
        self.kind.stream(&mut out);
        self.id.stream(&mut out);
        stream_count(self.data.len(), &mut out);
        out.extend_from_slice(&self.data);
        out
    }

    /// What kind of message it is, if we know the number.
    #[must_use]
    pub const fn message_type(&self) -> Option<MessageType> {
        MessageType::from_u8(self.kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_that_goes_on_or_ends_early_is_refused() {
        let frame = Message {
            kind: 6,
            id: Some(0x8000),
            data: vec![0xff],
        }
        .to_bytes();
        assert_eq!(frame, [6, 1, 0x80, 0, 0, 0, 0, 1, 0xff]);
        assert!(matches!(
            Message::parse(&frame[..8]),
            Err(WireError::Truncated {
                at: 8,
                needed: 1,
                left: 0
            })
        ));
        let longer = [frame.as_slice(), &[0]].concat();
        assert_eq!(
            Message::parse(&longer),
            Err(WireError::TrailingBytes { at: 9, extra: 1 })
        );
    }

    #[test]
    fn payload_longer_than_its_kind_may_be_is_refused() {
        let frame = Message {
            kind: 1,
            id: None,
            data: vec![0; 10_241],
        }
        .to_bytes();
        assert_eq!(
            Message::parse(&frame),
            Err(WireError::TooLarge {
                kind: 1,
                bytes: 10_241,
                limit: 10_240
            })
        );
    }
}
