//! Curve points and class group elements as bytes. Whether they are valid is not known here: checking a point costs
//! 67 µs, so it is done where the point is used (`crypto::PublicKey::from_g1`).

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::codec::{HashOfBytes, Reader, Streamable, wrappers};
use super::error::WireError;
use crate::ids::write_hex;

macro_rules! fixed_bytes {
    ($($(#[$doc:meta])* $name:ident[$length:literal];)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $length]);

        impl $name {
            /// The raw bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $length] {
                &self.0
            }
        }

        impl From<[u8; $length]> for $name {
            fn from(bytes: [u8; $length]) -> Self {
                Self(bytes)
            }
        }

        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(f, &self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), hex::encode(self.0))
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidHex;
            /// Reads the hex digits of all bytes, with or without `0x` in front.
            fn from_str(text: &str) -> Result<Self, InvalidHex> {
                let digits = text.strip_prefix("0x").unwrap_or(text);
                if digits.len() != 2 * $length {
                    return Err(InvalidHex::Length { expected: 2 * $length, got: digits.len() });
                }
                let mut bytes = [0; $length];
                hex::decode_to_slice(digits, &mut bytes).map_err(|_| InvalidHex::NotHex)?;
                Ok(Self(bytes))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(d)?;
                text.parse().map_err(de::Error::custom)
            }
        }

        wrappers! { $name([u8; $length]) }
    )*};
}

fixed_bytes! {
    /// A public key: compressed BLS12-381 G1 point, not checked to be one.
    G1Bytes[48];
    /// A signature: compressed BLS12-381 G2 point, not checked to be one.
    G2Bytes[96];
    /// Output of a VDF: compressed class group element, not checked to be one.
    ClassgroupElement[100];
}

impl HashOfBytes for ClassgroupElement {}

/// Why a text is no point.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHex {
    /// Wrong number of hex digits.
    #[error("expected {expected} hex digits, got {got}")]
    Length {
        /// Digits of the type.
        expected: usize,
        /// Digits found, without `0x`.
        got: usize,
    },
    /// A character that is no hex digit.
    #[error("not a hex number")]
    NotHex,
}
