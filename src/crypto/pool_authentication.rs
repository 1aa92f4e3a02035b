//! The key that speaks for a plotNFT to its pool.

use super::{PublicKey, SecretKey, Signature, sha256, sign};
use crate::crypto::CryptoError;
use crate::ids::{Bytes32, LauncherId, PuzzleHash};
use crate::wire::pool::{AuthenticationPayloadV1, PoolVersion, login_message};
use crate::wire::{G1Bytes, Streamable};

/// Authentication key of one plotNFT.
///
/// In the first pool protocol it is a key of its own, which can do no more than speak to the pool. In the second it is
/// the owner key itself, which is a wallet key: with it a thief has the coins of that address.
///
/// Not `Debug`, for what it holds.
pub struct PoolAuthentication {
    owner_public_key: G1Bytes,
    version: PoolVersion,
    secret: SecretKey,
}

impl PoolAuthentication {
    /// Takes a key up for the plotNFT with this owner key.
    ///
    /// # Errors
    /// [`CryptoError::SignatureWrong`] if a key of the second protocol is not that of the owner, so that nothing it
    /// signs would be taken.
    pub fn new(owner_public_key: G1Bytes, version: PoolVersion, secret: SecretKey) -> Result<Self, CryptoError> {
        if version == PoolVersion::V2 && secret.public_key().to_g1() != owner_public_key {
            return Err(CryptoError::SignatureWrong);
        }
        Ok(Self {
            owner_public_key,
            version,
            secret,
        })
    }

    /// Key of the plotNFT's owner: what it is found by.
    #[must_use]
    pub const fn owner_public_key(&self) -> &G1Bytes {
        &self.owner_public_key
    }

    /// Protocol it is for.
    #[must_use]
    pub const fn version(&self) -> PoolVersion {
        self.version
    }

    /// Its public key, by which the pool knows it.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.secret.public_key()
    }

    /// The secret, for the key file.
    #[must_use]
    pub const fn secret(&self) -> &SecretKey {
        &self.secret
    }

    /// Signature of `GET /farmer` of the first protocol.
    #[must_use]
    pub fn sign_get_farmer(
        &self,
        launcher_id: LauncherId,
        target_puzzle_hash: PuzzleHash,
        authentication_token: u64,
    ) -> Signature {
        let message = payload_hash("get_farmer", launcher_id, target_puzzle_hash, authentication_token);
        sign(&self.secret, &message)
    }

    /// Signature in the link with which a person logs in to the pool's site, in either protocol.
    ///
    /// # Errors
    /// As [`Self::sign_login`].
    pub fn sign_login_link(
        &self,
        launcher_id: LauncherId,
        target_puzzle_hash: PuzzleHash,
        authentication_token: u64,
    ) -> Result<Signature, CryptoError> {
        let message = payload_hash("get_login", launcher_id, target_puzzle_hash, authentication_token);
        match self.version {
            PoolVersion::V1 => Ok(sign(&self.secret, &message)),
            PoolVersion::V2 => Ok(sign(&self.login_key()?, &message)),
        }
    }

    /// Signature of a login of the second protocol.
    ///
    /// # Errors
    /// [`CryptoError::NotASecretKey`] if the derived key is zero, for which no example is known.
    pub fn sign_login(
        &self,
        unix_seconds: u64,
        launcher_id: &LauncherId,
        target_puzzle_hash: &PuzzleHash,
    ) -> Result<Signature, CryptoError> {
        let message = login_message(unix_seconds, launcher_id, target_puzzle_hash);
        Ok(sign(&self.login_key()?, &message))
    }

    /// Signature of a registration of the second protocol.
    ///
    /// # Errors
    /// As [`Self::sign_login`].
    pub fn sign_registration(&self, payload_hash: &Bytes32) -> Result<Signature, CryptoError> {
        Ok(sign(&self.login_key()?, payload_hash.as_bytes()))
    }

    /// Our part of the signature of a partial; the plot's is added to it.
    #[must_use]
    pub fn sign_partial(&self, payload_hash: &Bytes32) -> Signature {
        sign(&self.secret, payload_hash.as_bytes())
    }

    fn login_key(&self) -> Result<SecretKey, CryptoError> {
        self.secret.derive_child_unhardened(LOGIN_CHILD)
    }
}

fn payload_hash(
    method_name: &str,
    launcher_id: LauncherId,
    target_puzzle_hash: PuzzleHash,
    authentication_token: u64,
) -> [u8; 32] {
    let payload = AuthenticationPayloadV1 {
        method_name: method_name.to_owned(),
        launcher_id,
        target_puzzle_hash,
        authentication_token,
    };
    sha256(&[&payload.to_bytes()])
}

/// The unhardened child of an owner key that logs in. Source: chia `singleton_owner_sk_to_authv2_key`.
const LOGIN_CHILD: u32 = 12381;
