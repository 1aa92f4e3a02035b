//! Chia's "streamable" encoding: big-endian numbers, counted lists, prefixed options, no field names.
//!
//! A count or length is compared with what is left of the input before anything is allocated, so a short frame that
//! claims four billion items costs nothing.

use std::mem::size_of;

use sha2::{Digest, Sha256};

use super::error::WireError;
use crate::ids::{
    Bytes32, ChallengeHash, FilterChallenge, LauncherId, PeerId, PlotId, PosChallenge, PuzzleHash, QualityString,
    RewardChainSp, SpHash,
};
use crate::units::{ByteSize, Difficulty, Height, PlotSize, SubSlotIters};

/// A value with one form on the wire. Parsing what was streamed gives the value back, and streaming what was parsed
/// gives the same bytes back (one tolerated exception: [`super::NewSignagePoint`] of an old node).
pub trait Streamable: Sized {
    /// Fewest bytes a value takes: what bounds the count of a list before it is read.
    const MIN_BYTES: usize;

    /// Appends the value to `out`.
    fn stream(&self, out: &mut Vec<u8>);

    /// Reads one value and leaves the rest of the input.
    ///
    /// # Errors
    /// When the bytes are no such value.
    fn parse(input: &mut Reader<'_>) -> Result<Self, WireError>;

    /// The bytes of the value alone.
    fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(Self::MIN_BYTES);
        self.stream(&mut out);
        out
    }

    /// Reads a value that must take up all of `bytes`.
    ///
    /// # Errors
    /// When the bytes are no such value, or go on after it.
    fn from_bytes(bytes: &[u8]) -> Result<Self, WireError> {
        let mut input = Reader::new(bytes);
        let value = Self::parse(&mut input)?;
        input.finish()?;
        Ok(value)
    }

    /// Chia's `get_hash()`: SHA-256 of the bytes.
    fn get_hash(&self) -> Bytes32
    where
        Self: HashOfBytes,
    {
        Bytes32(Sha256::digest(self.to_bytes()).into())
    }
}

/// A type whose hash means something (to the chain or to a pool) and is the hash of its bytes. Not so on the chain for
/// a proof of space and what contains one: the hash of a v2 proof needs its quality string, see
/// [`super::ProofOfSpace::get_hash`].
pub trait HashOfBytes: Streamable {}

/// Received bytes and how far they have been read.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    total: usize,
}

impl<'a> Reader<'a> {
    /// Reads from the start of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            total: bytes.len(),
        }
    }

    /// Bytes not read yet.
    #[must_use]
    pub const fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Bytes read so far.
    #[must_use]
    pub const fn at(&self) -> usize {
        self.total - self.rest.len()
    }

    /// Reads the next `count` bytes.
    ///
    /// # Errors
    /// [`WireError::Truncated`] when there are fewer.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or_else(|| self.truncated(count))?;
        self.rest = rest;
        Ok(taken)
    }

    /// Reads the next `N` bytes.
    ///
    /// # Errors
    /// [`WireError::Truncated`] when there are fewer.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or_else(|| self.truncated(N))?;
        self.rest = rest;
        Ok(*taken)
    }

    /// Reads a length or count as it stands before texts and byte strings, and that many bytes.
    ///
    /// # Errors
    /// [`WireError::Truncated`] when there are fewer.
    pub fn counted_bytes(&mut self) -> Result<&'a [u8], WireError> {
        let length = u32::parse(self)?;
        self.take(usize::try_from(length).unwrap_or(usize::MAX))
    }

    /// Says that the value ends here.
    ///
    /// # Errors
    /// [`WireError::TrailingBytes`] when bytes are left.
    pub const fn finish(&self) -> Result<(), WireError> {
        match self.remaining() {
            0 => Ok(()),
            extra => Err(WireError::TrailingBytes { at: self.at(), extra }),
        }
    }

    const fn truncated(&self, needed: usize) -> WireError {
        WireError::Truncated {
            at: self.at(),
            needed,
            left: self.remaining(),
        }
    }
}

/// Declares structs that are streamed field by field in the order written.
macro_rules! streamable {
    ($(
        $(#[$meta:meta])*
        pub struct $name:ident {
            $($(#[$field_meta:meta])* pub $field:ident: $type:ty,)*
        }
    )*) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $type,)*
        }

        impl $crate::wire::codec::Streamable for $name {
            const MIN_BYTES: usize = 0 $(+ <$type as $crate::wire::codec::Streamable>::MIN_BYTES)*;

            fn stream(&self, out: &mut Vec<u8>) {
                $($crate::wire::codec::Streamable::stream(&self.$field, out);)*
            }

            fn parse(
                input: &mut $crate::wire::codec::Reader<'_>,
            ) -> Result<Self, $crate::wire::error::WireError> {
                Ok(Self { $($field: $crate::wire::codec::Streamable::parse(input)?,)* })
            }
        }

        #[cfg(test)]
        impl $crate::wire::tests::Specimen for $name {
            fn to_json(&self) -> serde_json::Value {
                let mut fields = serde_json::Map::new();
                $($crate::wire::tests::Specimen::put(&self.$field, stringify!($field), &mut fields);)*
                serde_json::Value::Object(fields)
            }

            fn grow(seed: &mut $crate::wire::tests::Seed<'_>) -> Self {
                Self { $($field: $crate::wire::tests::Specimen::grow(seed),)* }
            }
        }
    )*};
}
pub(super) use streamable;

macro_rules! numbers {
    ($($type:ty)*) => {$(
        impl Streamable for $type {
            const MIN_BYTES: usize = size_of::<$type>();

            fn stream(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_be_bytes());
            }

            fn parse(input: &mut Reader<'_>) -> Result<Self, WireError> {
                input.array().map(<$type>::from_be_bytes)
            }
        }
    )*};
}
numbers! { u8 u16 u32 u64 u128 i16 }

/// Types around one other streamable value.
macro_rules! wrappers {
    ($($name:ident($inner:ty))*) => {$(
        impl Streamable for $name {
            const MIN_BYTES: usize = <$inner as Streamable>::MIN_BYTES;

            fn stream(&self, out: &mut Vec<u8>) {
                self.0.stream(out);
            }

            fn parse(input: &mut Reader<'_>) -> Result<Self, WireError> {
                Streamable::parse(input).map(Self)
            }
        }
    )*};
}
wrappers! {
    ByteSize(u64) Difficulty(u64) Height(u32) SubSlotIters(u64)
    Bytes32([u8; 32]) ChallengeHash([u8; 32]) FilterChallenge([u8; 32]) LauncherId([u8; 32]) PeerId([u8; 32])
    PlotId([u8; 32]) PosChallenge([u8; 32]) PuzzleHash([u8; 32]) QualityString([u8; 32]) RewardChainSp([u8; 32])
    SpHash([u8; 32])
}
pub(super) use wrappers;

impl<const N: usize> Streamable for [u8; N] {
    const MIN_BYTES: usize = N;

    fn stream(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    fn parse(input: &mut Reader<'_>) -> Result<Self, WireError> {
        input.array()
    }
}

impl Streamable for bool {
    const MIN_BYTES: usize = 1;

    fn stream(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn parse(input: &mut Reader<'_>) -> Result<Self, WireError> {
        let at = input.at();
        match u8::parse(input)? {
            0 => Ok(false),
            1 => Ok(true),
            got => Err(WireError::InvalidBool { at, got }),
        }
    }
}

impl Streamable for String {
    const MIN_BYTES: usize = 4;

    fn stream(&self, out: &mut Vec<u8>) {
        stream_count(self.len(), out);
        out.extend_from_slice(self.as_bytes());
    }

    fn parse(input: &mut Reader<'_>) -> Result<Self, WireError> {
        let at = input.at();
        match std::str::from_utf8(input.counted_bytes()?) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => Err(WireError::InvalidUtf8 { at }),
        }
    }
}

impl<T: Streamable> Streamable for Option<T> {
    const MIN_BYTES: usize = 1;

    fn stream(&self, out: &mut Vec<u8>) {
        match self {
            None => out.push(0),
            Some(value) => {
                out.push(1);
                value.stream(out);
            }
        }
    }

    fn parse(input: &mut Reader<'_>) -> Result<Self, WireError> {
        let at = input.at();
        match u8::parse(input)? {
            0 => Ok(None),
            1 => T::parse(input).map(Some),
            got => Err(WireError::InvalidOption { at, got }),
        }
    }
}

/// `Vec<u8>` is both Chia's `bytes` and its `list<u8>`: they look the same on the wire.
impl<T: Streamable> Streamable for Vec<T> {
    const MIN_BYTES: usize = 4;

    fn stream(&self, out: &mut Vec<u8>) {
        stream_list(self, out, T::stream);
    }

    fn parse(input: &mut Reader<'_>) -> Result<Self, WireError> {
        parse_list(input, T::MIN_BYTES, T::parse)
    }
}

impl<A: Streamable, B: Streamable> Streamable for (A, B) {
    const MIN_BYTES: usize = A::MIN_BYTES + B::MIN_BYTES;

    fn stream(&self, out: &mut Vec<u8>) {
        self.0.stream(out);
        self.1.stream(out);
    }

    fn parse(input: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok((A::parse(input)?, B::parse(input)?))
    }
}

impl Streamable for PlotSize {
    const MIN_BYTES: usize = 1;

    fn stream(&self, out: &mut Vec<u8>) {
        out.push(self.to_wire());
    }

    fn parse(input: &mut Reader<'_>) -> Result<Self, WireError> {
        u8::parse(input).map(Self::from_wire)
    }
}

/// Writes a count and the items.
pub(super) fn stream_list<T>(items: &[T], out: &mut Vec<u8>, stream: impl Fn(&T, &mut Vec<u8>)) {
    stream_count(items.len(), out);
    for item in items {
        stream(item, out);
    }
}

/// Reads a count and that many items of at least `min_bytes` each. A count that cannot be true is refused before
/// anything is allocated, and never more is reserved at once than the input has bytes.
pub(super) fn parse_list<T>(
    input: &mut Reader<'_>,
    min_bytes: usize,
    parse: impl Fn(&mut Reader<'_>) -> Result<T, WireError>,
) -> Result<Vec<T>, WireError> {
    let at = input.at();
    let claimed = u32::parse(input)?;
    let most = input.remaining() / min_bytes.max(1);
    let count = match usize::try_from(claimed) {
        Ok(count) if count <= most => count,
        _ => {
            return Err(WireError::ListTooLong {
                at,
                count: claimed,
                most,
            });
        }
    };
    let mut items = Vec::with_capacity(count.min(input.remaining() / size_of::<T>().max(1)));
    for _ in 0..count {
        items.push(parse(input)?);
    }
    Ok(items)
}

/// Writes a length or count. What we send is bounded far below 2^32 bytes (see [`super::limits`]), so the ceiling is
/// never reached; a peer would refuse such a message, not misread it.
pub(super) fn stream_count(count: usize, out: &mut Vec<u8>) {
    u32::try_from(count).unwrap_or(u32::MAX).stream(out);
}
