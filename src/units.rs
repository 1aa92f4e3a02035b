//! Numbers with their unit in the type: sizes, difficulties, heights, iterations.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub};

use serde::{Deserialize, Serialize};

macro_rules! unit {
    ($($(#[$doc:meta])* $name:ident($inner:ty);)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

unit! {
    /// A size in bytes.
    ByteSize(u64);
    /// Difficulty of the chain or of a pool; at least 1.
    Difficulty(u64);
    /// Block height.
    Height(u32);
    /// VDF iterations of one sub-slot (`sub_slot_iters`).
    SubSlotIters(u64);
}

impl Add for ByteSize {
    type Output = Self;
    fn add(self, rhs: Self) -> Self {
        Self(self.0.saturating_add(rhs.0))
    }
}

impl AddAssign for ByteSize {
    fn add_assign(&mut self, rhs: Self) {
        *self = *self + rhs;
    }
}

impl Sub for ByteSize {
    type Output = Self;
    fn sub(self, rhs: Self) -> Self {
        Self(self.0.saturating_sub(rhs.0))
    }
}

impl Sum for ByteSize {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self(0), Add::add)
    }
}

/// Numbers of more than 64 bits as decimal text: not every JSON reader takes them as numbers.
pub(crate) mod as_text {
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(crate) fn serialize<S: Serializer>(number: &u128, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(number)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<u128, D::Error> {
        String::deserialize(d)?.parse().map_err(de::Error::custom)
    }
}

/// Signage points in one sub-slot (`NUM_SPS_SUB_SLOT`), on every network.
pub const SIGNAGE_POINTS_PER_SUB_SLOT: u8 = 64;

/// Size parameter of a plot, as `size` bytes of the protocol carry it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum PlotSize {
    /// v1: k, 18 to 50.
    V1 {
        /// Table entries are about 2^k.
        k: u8,
    },
    /// v2: plot strength; the k is a constant of the network.
    V2 {
        /// Strength, 2 to 17 on public networks.
        strength: u8,
    },
}

impl PlotSize {
    /// Whether it is a v2 plot's.
    #[must_use]
    pub const fn is_v2(self) -> bool {
        matches!(self, Self::V2 { .. })
    }

    /// From the `size` byte of `Plot` messages: k for v1, 0x80 | strength for v2.
    #[must_use]
    pub const fn from_wire(size: u8) -> Self {
        if size & 0x80 == 0 {
            Self::V1 { k: size }
        } else {
            Self::V2 { strength: size & 0x7f }
        }
    }

    /// The `size` byte of `Plot` messages.
    #[must_use]
    pub const fn to_wire(self) -> u8 {
        match self {
            Self::V1 { k } => k & 0x7f,
            Self::V2 { strength } => 0x80 | (strength & 0x7f),
        }
    }
}
