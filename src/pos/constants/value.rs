//! Values of overrides: text that becomes a number, a truth value or a hash, in the range a constant may have.

use std::ops::RangeInclusive;

use crate::ids::{ChallengeHash, IdParseError};
use crate::units::{Height, SIGNAGE_POINTS_PER_SUB_SLOT, SubSlotIters};

/// One override on its way into a field.
pub(super) struct Value<'a> {
    pub(super) name: &'a str,
    pub(super) text: &'a str,
}

impl Value<'_> {
    pub(super) fn number<T>(&self, allowed: RangeInclusive<T>) -> Result<T, ConstantError>
    where
        T: Copy + Into<u128> + TryFrom<u128>,
    {
        let got = self.whole_number()?;
        let (min, max): (u128, u128) = ((*allowed.start()).into(), (*allowed.end()).into());
        T::try_from(got)
            .ok()
            .filter(|_| (min..=max).contains(&got))
            .ok_or_else(|| ConstantError::OutOfRange {
                name: self.name.to_owned(),
                min,
                max,
                got,
            })
    }

    fn whole_number(&self) -> Result<u128, ConstantError> {
        let digits = self.text.replace('_', "");
        let parsed = match digits.strip_prefix("0x") {
            Some(hex) => u128::from_str_radix(hex, 16),
            None => digits.parse(),
        };
        parsed.map_err(|_| ConstantError::NotANumber {
            name: self.name.to_owned(),
            got: self.text.to_owned(),
        })
    }

    pub(super) fn height(&self) -> Result<Height, ConstantError> {
        self.number(0..=u32::MAX).map(Height)
    }

    pub(super) fn sub_slot_iters(&self) -> Result<SubSlotIters, ConstantError> {
        let factor = u64::from(SIGNAGE_POINTS_PER_SUB_SLOT);
        let got = self.number(factor..=u64::MAX)?;
        self.multiple_of(factor, got).map(SubSlotIters)
    }

    pub(super) fn plot_size_v2(&self) -> Result<u8, ConstantError> {
        let got: u8 = self.number(18..=32)?;
        self.multiple_of(2, u64::from(got)).map(|_| got)
    }

    fn multiple_of(&self, factor: u64, got: u64) -> Result<u64, ConstantError> {
        if got.is_multiple_of(factor) {
            Ok(got)
        } else {
            Err(ConstantError::NotAMultiple {
                name: self.name.to_owned(),
                factor,
                got,
            })
        }
    }

    pub(super) fn truth(&self) -> Result<bool, ConstantError> {
        match self.text {
            "true" | "True" | "TRUE" => Ok(true),
            "false" | "False" | "FALSE" => Ok(false),
            got => Err(ConstantError::NotATruthValue {
                name: self.name.to_owned(),
                got: got.to_owned(),
            }),
        }
    }

    pub(super) fn hash(&self) -> Result<ChallengeHash, ConstantError> {
        self.text.parse().map_err(|source| ConstantError::NotAHash {
            name: self.name.to_owned(),
            source,
        })
    }
}

/// Why an override cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConstantError {
    /// Neither a decimal number nor a hexadecimal one with `0x`.
    #[error("constant {name}: expected a whole number, got {got:?}")]
    NotANumber {
        /// Official name of the constant.
        name: String,
        /// The value as given.
        got: String,
    },
    /// A number outside what the constant may be.
    #[error("constant {name}: expected {min} to {max}, got {got}")]
    OutOfRange {
        /// Official name of the constant.
        name: String,
        /// Smallest value allowed.
        min: u128,
        /// Largest value allowed.
        max: u128,
        /// The value as given.
        got: u128,
    },
    /// A number of iterations that cannot be cut into 64 equal intervals, or an odd k of v2 plots.
    #[error("constant {name}: expected a multiple of {factor}, got {got}")]
    NotAMultiple {
        /// Official name of the constant.
        name: String,
        /// What the value must be a multiple of.
        factor: u64,
        /// The value as given.
        got: u64,
    },
    /// Neither true nor false.
    #[error("constant {name}: expected true or false, got {got:?}")]
    NotATruthValue {
        /// Official name of the constant.
        name: String,
        /// The value as given.
        got: String,
    },
    /// Not 64 hex digits.
    #[error("constant {name}: {source}")]
    NotAHash {
        /// Official name of the constant.
        name: String,
        /// What is wrong with the text.
        source: IdParseError,
    },
}
