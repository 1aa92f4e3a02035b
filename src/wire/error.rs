//! What can be wrong with received bytes.

/// Why received bytes are not the message they claim to be. Always the fault of whoever sent them: a correct peer of a
/// release we speak to never causes one, so the connection is not worth keeping.
///
/// `at` is the offset in bytes from the start of what was parsed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The bytes end in the middle of a value.
    #[error("bytes end too early: {needed} needed at offset {at}, {left} left")]
    Truncated {
        /// Where the value begins.
        at: usize,
        /// Bytes the value needs.
        needed: usize,
        /// Bytes there are.
        left: usize,
    },
    /// Bytes are left after the last field.
    #[error("{extra} bytes too many after offset {at}")]
    TrailingBytes {
        /// Where the message should have ended.
        at: usize,
        /// Bytes left over.
        extra: usize,
    },
    /// A bool that is neither 0 nor 1.
    #[error("expected 0 or 1 as a bool at offset {at}, got {got}")]
    InvalidBool {
        /// Where it is.
        at: usize,
        /// The byte found.
        got: u8,
    },
    /// An optional value whose prefix is neither 0 nor 1.
    #[error("expected 0 or 1 before an optional value at offset {at}, got {got}")]
    InvalidOption {
        /// Where it is.
        at: usize,
        /// The byte found.
        got: u8,
    },
    /// An answer to a machine that joins, of a kind that is none.
    #[error("unknown kind of answer at offset {at}: {got}")]
    UnknownAnswer {
        /// Where it is.
        at: usize,
        /// The byte found.
        got: u8,
    },
    /// Text that is not UTF-8.
    #[error("text at offset {at} is not UTF-8")]
    InvalidUtf8 {
        /// Where the text begins.
        at: usize,
    },
    /// A list that claims more items than the remaining bytes can hold. Found before anything is allocated.
    #[error("list at offset {at} claims {count} items, {most} fit into what follows")]
    ListTooLong {
        /// Where the count is.
        at: usize,
        /// Items claimed.
        count: u32,
        /// Most items the remaining bytes can hold.
        most: usize,
    },
    /// Proof of space of a version other than 1 and 2.
    #[error("unknown version of a proof of space: prefix byte {prefix:#04x} at offset {at}")]
    UnknownProofVersion {
        /// Where the prefix byte is.
        at: usize,
        /// The prefix byte: bit 0 is "has a contract", the rest is the version.
        prefix: u8,
    },
    /// A plot with both a pool public key and a pool contract, which no plot can have.
    #[error("plot at offset {at} has both a pool public key and a pool contract")]
    PoolKeyAndContract {
        /// Where the pool fields begin.
        at: usize,
    },
    /// A plot with neither a pool public key nor a pool contract, which no plot can have.
    #[error("plot at offset {at} has neither a pool public key nor a pool contract")]
    NoPoolKeyNorContract {
        /// Where the pool fields begin.
        at: usize,
    },
    /// A message longer than its kind may be.
    #[error("message of kind {kind} has {bytes} bytes, at most {limit} are accepted")]
    TooLarge {
        /// Message number.
        kind: u8,
        /// Bytes of payload.
        bytes: usize,
        /// Most bytes of payload accepted.
        limit: usize,
    },
}
