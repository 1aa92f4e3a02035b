//! What a person has that keys can be imported from.

use zeroize::Zeroizing;

use super::chia_keyring::UnlockedKeyring;

/// Where keys are imported from. Not `Debug`, for what it holds.
pub enum ImportSource {
    /// 12 to 24 words of a wallet (BIP-39, English, without a passphrase), separated by any space.
    Mnemonic(Zeroizing<String>),
    /// Every key of Chia's keyring.
    ChiaKeyring(UnlockedKeyring),
    /// A farmer secret key, 64 hex digits. Farms plots that pay into a contract; for plots of a pool public key the
    /// mnemonic is needed.
    FarmerSecretKey(Zeroizing<String>),
    /// Keys that are made up, for demonstrations: the same seed gives the same keys to everybody, so they are worth
    /// nothing.
    MadeUp {
        /// Any number.
        seed: u64,
    },
}
