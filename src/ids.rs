//! Identifiers, each with a type of its own, so that a signage point can never be passed where a challenge is meant.
//!
//! There are no conversions between kinds: an id is made from bytes where it is parsed or computed, and nowhere else.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// An id of 32 bytes whose text form is 64 lowercase hex digits.
macro_rules! id32 {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub [u8; 32]);

        impl $name {
            /// The raw 32 bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// The first ten hex digits: what official log lines show.
            #[must_use]
            pub fn short(&self) -> String {
                hex::encode(&self.0[..5])
            }
        }

        impl From<[u8; 32]> for $name {
            fn from(bytes: [u8; 32]) -> Self {
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
            type Err = IdParseError;
            /// Reads 64 hex digits, with or without `0x` in front.
            fn from_str(text: &str) -> Result<Self, IdParseError> {
                parse_hex32(text).map(Self)
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
    )*};
}

id32! {
    /// Node id of a peer: SHA-256 of its leaf certificate (DER), as the official software computes it.
    PeerId;
    /// Id of a plot: hash of the pool key or contract and the plot public key.
    PlotId;
    /// Group id of a v2 plot: what the v2 plot filter looks at.
    PlotGroupId;
    /// Challenge of the sub-slot (`challenge_hash`).
    ChallengeHash;
    /// Hash of the challenge-chain signage point output (`challenge_chain_sp`, in harvester messages `sp_hash`).
    SpHash;
    /// Hash of the reward-chain signage point output (`reward_chain_sp`).
    RewardChainSp;
    /// Challenge a plot is asked with: sha256(sha256(plot_id ‖ challenge_hash ‖ sp_hash)).
    PosChallenge;
    /// Challenge of the v2 plot filter, from the node (`filter_challenge`).
    FilterChallenge;
    /// Quality string of a proof: its lottery number, before the signage point is mixed in.
    QualityString;
    /// Puzzle hash: where coins go.
    PuzzleHash;
    /// Launcher id of a plotNFT singleton.
    LauncherId;
    /// Any other 32-byte hash, as messages to be signed are.
    Bytes32;
}

/// One connection of one harvester. A harvester that reconnects gets a new one, and two harvesters that share a
/// certificate have one each, so nothing that belongs to a connection is ever keyed by [`PeerId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SessionId(pub u64);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// One source of signage points: a full node, or the simulated chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId(pub u32);

/// Why a text is not an id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdParseError {
    /// Wrong number of hex digits.
    #[error("expected 64 hex digits, got {got}")]
    Length {
        /// Digits found, without `0x`.
        got: usize,
    },
    /// A character that is no hex digit.
    #[error("not a hex number")]
    NotHex,
}

/// Lowercase hex digits without a detour over the heap: ids are in every record of a message.
pub(crate) fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    let mut digits = [0; 64];
    for part in bytes.chunks(digits.len() / 2) {
        let digits = &mut digits[..2 * part.len()];
        hex::encode_to_slice(part, digits).map_err(|_| fmt::Error)?;
        f.write_str(std::str::from_utf8(digits).map_err(|_| fmt::Error)?)?;
    }
    Ok(())
}

fn parse_hex32(text: &str) -> Result<[u8; 32], IdParseError> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    if digits.len() != 64 {
        return Err(IdParseError::Length { got: digits.len() });
    }
    let mut bytes = [0; 32];
    hex::decode_to_slice(digits, &mut bytes).map_err(|_| IdParseError::NotHex)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips_with_and_without_prefix() {
        let id = PlotId([0xab; 32]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(format!("0x{id}").parse(), Ok(id));
        assert_eq!(id.short(), "ababababab");
    }

    #[test]
    fn bad_text_is_refused_with_its_reason() {
        assert_eq!("ab".parse::<PlotId>(), Err(IdParseError::Length { got: 2 }));
        assert_eq!("zz".repeat(32).parse::<PlotId>(), Err(IdParseError::NotHex));
    }
}
