//! Signatures of plots: made of a share of the harvester (whose plot file holds the local key) and a share of the
//! farmer, so that neither can win a block alone.
//!
//! All shares sign plot public key ‖ message. A plot that pays into a contract has a third share, under a "taproot" key
//! that everyone who knows local and farmer public key can compute.

use super::{CryptoError, FarmingKeys, PublicKey, SecretKey, Signature, sha256, sign_prepend, verify};
use crate::ids::Bytes32;
use crate::wire::{G1Bytes, PlotPool, ProofOfSpace, RespondSignatures};

/// Completes the signatures of `messages`, in their order, from the shares a harvester sent: adds our share, checks
/// that the keys are those of the plot, and verifies every result under the plot public key.
///
/// `plot` is the proof the signatures were asked for, `messages` is what was asked for. Source: chia `farmer_api.py`,
/// `respond_signatures` and `_process_respond_signatures`.
///
/// # Errors
/// Says who is wrong, see [`PlotSignatureError`]. No signature is returned then, also if only one is wrong.
pub fn complete_plot_signature(
    keys: &FarmingKeys,
    plot: &ProofOfSpace,
    response: &RespondSignatures,
    messages: &[Bytes32],
) -> Result<Vec<Signature>, PlotSignatureError> {
    check_messages(response, messages)?;
    let farmer_sk = keys
        .secret_for(&response.farmer_pk)
        .ok_or(PlotSignatureError::FarmerKeyUnknown {
            farmer_public_key: response.farmer_pk,
        })?;
    let farmer = farmer_sk.public_key();
    let local = PublicKey::from_g1(&response.local_pk).map_err(|source| PlotSignatureError::LocalKeyInvalid {
        local_public_key: response.local_pk,
        source,
    })?;
    let plot_key = plot_public_key(&local, &farmer, &plot.pool);
    if plot_key.to_g1() != plot.plot_public_key {
        return Err(PlotSignatureError::NotThePlotsKeys {
            expected: plot.plot_public_key,
            got: plot_key.to_g1(),
        });
    }
    // The sum of two keys signs like both: one multiplication less for each message.
    let own_key = match plot.pool {
        PlotPool::PublicKey(_) => None,
        PlotPool::Contract(_) => Some(farmer_sk.plus(&taproot_secret_key(&local, &farmer))),
    };
    let own_share = |message: &Bytes32| match &own_key {
        None => sign_prepend(farmer_sk, &plot_key, message.as_bytes()),
        Some(Some(sum)) => sign_prepend(sum, &plot_key, message.as_bytes()),
        Some(None) => Signature::aggregate(&[]),
    };
    response
        .message_signatures
        .iter()
        .map(|(message, share)| {
            let share = Signature::from_g2(share).map_err(|source| PlotSignatureError::ShareInvalid {
                message: *message,
                source,
            })?;
            let signature = Signature::aggregate(&[share, own_share(message)]);
            if verify(&plot_key, message.as_bytes(), &signature) {
                Ok(signature)
            } else {
                Err(PlotSignatureError::ShareWrong { message: *message })
            }
        })
        .collect()
}

/// The key a plot signs with: local + farmer, and + taproot exactly if the plot pays into a contract.
#[must_use]
pub fn plot_public_key(local: &PublicKey, farmer: &PublicKey, pool: &PlotPool) -> PublicKey {
    match pool {
        PlotPool::PublicKey(_) => PublicKey::aggregate(&[local, farmer]),
        PlotPool::Contract(_) => {
            PublicKey::aggregate(&[local, farmer, &taproot_secret_key(local, farmer).public_key()])
        }
    }
}

/// The third key of a plot that pays into a contract. Not secret: it is made from public keys.
#[must_use]
pub fn taproot_secret_key(local: &PublicKey, farmer: &PublicKey) -> SecretKey {
    let sum = PublicKey::aggregate(&[local, farmer]);
    SecretKey::from_hash(&sha256(&[
        sum.to_g1().as_bytes(),
        local.to_g1().as_bytes(),
        farmer.to_g1().as_bytes(),
    ]))
}

/// Why no signature came together. Except [`FarmerKeyUnknown`](Self::FarmerKeyUnknown), where our key file may lack a
/// key, it is always the harvester that sent something wrong: our own share is right by construction.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlotSignatureError {
    /// The harvester signed other messages than it was asked to, or in another order, or more, or fewer.
    #[error(
        "harvester signed other messages than asked for: at place {place} expected {}, got {}",
        or_none(expected),
        or_none(got)
    )]
    OtherMessages {
        /// First place, from 0, where they differ.
        place: usize,
        /// What was asked for there.
        expected: Option<Bytes32>,
        /// What the harvester answered there.
        got: Option<Bytes32>,
    },
    /// The plot was made for a farmer whose secret key we do not have.
    #[error(
        "no secret key here for farmer public key {farmer_public_key}, which the harvester says the plot was made for"
    )]
    FarmerKeyUnknown {
        /// The key in the answer of the harvester.
        farmer_public_key: G1Bytes,
    },
    /// The harvester's local public key is no public key.
    #[error("harvester sent a local public key that is none: {local_public_key}")]
    LocalKeyInvalid {
        /// The bytes it sent.
        local_public_key: G1Bytes,
        /// What is wrong with them.
        source: CryptoError,
    },
    /// The harvester's local and farmer public keys are valid, but not those of the plot of the proof.
    #[error("harvester sent keys of another plot: they make plot public key {got}, the proof has {expected}")]
    NotThePlotsKeys {
        /// Plot public key of the proof.
        expected: G1Bytes,
        /// Plot public key that local and farmer public key make.
        got: G1Bytes,
    },
    /// The harvester's share is no point of the group.
    #[error("harvester sent a share for message {message} that is no signature")]
    ShareInvalid {
        /// What was to be signed.
        message: Bytes32,
        /// What is wrong with the bytes.
        source: CryptoError,
    },
    /// The harvester's share is a signature, but of another message or by another key.
    #[error("harvester sent a wrong share for message {message}: the completed signature does not verify")]
    ShareWrong {
        /// What was to be signed.
        message: Bytes32,
    },
}

fn check_messages(response: &RespondSignatures, messages: &[Bytes32]) -> Result<(), PlotSignatureError> {
    let answered = &response.message_signatures;
    for place in 0..messages.len().max(answered.len()) {
        let expected = messages.get(place).copied();
        let got = answered.get(place).map(|(message, _)| *message);
        if expected != got {
            return Err(PlotSignatureError::OtherMessages { place, expected, got });
        }
    }
    Ok(())
}

fn or_none(message: &Option<Bytes32>) -> String {
    message.map_or_else(|| "none".to_owned(), |message| message.to_string())
}
