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
    plot_public_key_by(local, farmer, pool, SecretKey::public_key)
}

/// As [`plot_public_key`], with `public_key` to work the taproot public key out, as [`GeneratorTable`] does it faster.
///
/// [`GeneratorTable`]: super::GeneratorTable
#[must_use]
pub fn plot_public_key_by(
    local: &PublicKey,
    farmer: &PublicKey,
    pool: &PlotPool,
    public_key: impl Fn(&SecretKey) -> PublicKey,
) -> PublicKey {
    match pool {
        PlotPool::PublicKey(_) => PublicKey::aggregate(&[local, farmer]),
        PlotPool::Contract(_) => {
            PublicKey::aggregate(&[local, farmer, &public_key(&taproot_secret_key(local, farmer))])
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
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{PoolKey, vectors};
    use crate::ids::{ChallengeHash, PosChallenge, PuzzleHash, SpHash};
    use crate::wire::{G2Bytes, ProofBody};

    #[test]
    fn shares_of_official_harvesters_become_the_official_signatures() {
        for (farm, signatures) in [(Farm::pool_key(), "sig_og"), (Farm::contract(), "sig_contract")] {
            let v = vectors::load();
            let message: Bytes32 = v["message"].as_str().unwrap().parse().unwrap();
            let share: G2Bytes = v[signatures]["local"].as_str().unwrap().parse().unwrap();
            let response = RespondSignatures {
                message_signatures: vec![(message, share)],
                ..farm.response(&[])
            };
            let completed = farm.complete(&response, &[message]).unwrap();
            let expected = v[signatures]["aggregate"].as_str().unwrap();
            assert_eq!(
                completed.iter().map(ToString::to_string).collect::<Vec<_>>(),
                [expected]
            );
        }
    }

    #[test]
    fn several_messages_are_completed_in_their_order() {
        for farm in [Farm::pool_key(), Farm::contract()] {
            let signatures = farm.complete(&farm.response(&MESSAGES), &MESSAGES).unwrap();
            let plot_key = PublicKey::from_g1(&farm.proof.plot_public_key).unwrap();
            assert_eq!(signatures.len(), 2);
            for (message, signature) in MESSAGES.iter().zip(&signatures) {
                assert!(verify(&plot_key, message.as_bytes(), signature));
            }
        }
    }

    #[test]
    fn other_messages_than_asked_for_are_refused() {
        let farm = Farm::contract();
        let [a, b] = MESSAGES;
        let faults: [(&[Bytes32], _, _, _); 4] = [
            (&[b, a], 0, Some(a), Some(b)),
            (&[a], 1, Some(b), None),
            (&[a, b, b], 2, None, Some(b)),
            (&[], 0, Some(a), None),
        ];
        for (answered, place, expected, got) in faults {
            let error = farm.complete(&farm.response(answered), &MESSAGES).unwrap_err();
            assert_eq!(error, PlotSignatureError::OtherMessages { place, expected, got });
        }
    }

    #[test]
    fn a_farmer_key_that_is_not_ours_is_named() {
        let farm = Farm::contract();
        let stranger = secret(9).public_key().to_g1();
        let response = RespondSignatures {
            farmer_pk: stranger,
            ..farm.response(&MESSAGES)
        };
        let error = farm.complete(&response, &MESSAGES).unwrap_err();
        assert_eq!(
            error,
            PlotSignatureError::FarmerKeyUnknown {
                farmer_public_key: stranger
            }
        );
    }

    #[test]
    fn keys_of_another_plot_are_the_harvesters_fault() {
        for farm in [Farm::pool_key(), Farm::contract()] {
            let other_local = secret(9).public_key();
            let response = RespondSignatures {
                local_pk: other_local.to_g1(),
                ..farm.response(&MESSAGES)
            };
            let got = plot_public_key(&other_local, &farm.farmer_public_key, &farm.proof.pool).to_g1();
            let expected = farm.proof.plot_public_key;
            assert_eq!(
                farm.complete(&response, &MESSAGES).unwrap_err(),
                PlotSignatureError::NotThePlotsKeys { expected, got }
            );
        }
    }

    #[test]
    fn a_local_key_that_is_no_key_is_the_harvesters_fault() {
        let farm = Farm::contract();
        let local_public_key = G1Bytes([0xff; 48]);
        let response = RespondSignatures {
            local_pk: local_public_key,
            ..farm.response(&MESSAGES)
        };
        assert_eq!(
            farm.complete(&response, &MESSAGES).unwrap_err(),
            PlotSignatureError::LocalKeyInvalid {
                local_public_key,
                source: CryptoError::NotAPublicKey
            }
        );
    }

    #[test]
    fn one_wrong_share_among_good_ones_is_found() {
        for farm in [Farm::pool_key(), Farm::contract()] {
            let good = farm.response(&MESSAGES);
            let message = MESSAGES[1];
            // Of another message, by another key, of nobody, and a plain signature instead of a share.
            let wrong = [
                good.message_signatures[0].1,
                sign_prepend(&secret(9), &farm.plot_public_key(), message.as_bytes()).to_g2(),
                Signature::aggregate(&[]).to_g2(),
                crate::crypto::sign(&farm.local, message.as_bytes()).to_g2(),
            ];
            for share in wrong {
                let mut response = good.clone();
                response.message_signatures[1].1 = share;
                let error = farm.complete(&response, &MESSAGES).unwrap_err();
                assert_eq!(error, PlotSignatureError::ShareWrong { message });
            }
            let mut response = good.clone();
            response.message_signatures[1].1 = G2Bytes([0xff; 96]);
            let error = farm.complete(&response, &MESSAGES).unwrap_err();
            assert_eq!(
                error,
                PlotSignatureError::ShareInvalid {
                    message,
                    source: CryptoError::NotASignature
                }
            );
        }
    }

    #[test]
    fn errors_that_cancel_each_other_out_are_found_too() {
        let farm = Farm::contract();
        let mut response = farm.response(&MESSAGES);
        let shares = &mut response.message_signatures;
        (shares[0].1, shares[1].1) = (shares[1].1, shares[0].1);
        let error = farm.complete(&response, &MESSAGES).unwrap_err();
        assert_eq!(error, PlotSignatureError::ShareWrong { message: MESSAGES[0] });
    }

    #[test]
    fn messages_name_the_one_at_fault() {
        let error = PlotSignatureError::OtherMessages {
            place: 1,
            expected: Some(Bytes32([1; 32])),
            got: None,
        };
        let text = format!(
            "harvester signed other messages than asked for: at place 1 expected {}, got none",
            "01".repeat(32)
        );
        assert_eq!(error.to_string(), text);
    }

    /// A plot, the farmer it was made for, and the harvester that holds it.
    struct Farm {
        local: SecretKey,
        farmer_public_key: PublicKey,
        keys: FarmingKeys,
        proof: ProofOfSpace,
    }

    impl Farm {
        /// The plot of the vectors that was made for a pool public key.
        fn pool_key() -> Self {
            let pool = vectors::secret(&vectors::load()["pool"]);
            Self::new(PlotPool::PublicKey(pool.public_key().to_g1()))
        }

        /// The plot of the vectors that was made for a contract.
        fn contract() -> Self {
            let v = vectors::load();
            Self::new(PlotPool::Contract(
                v["pool_contract_puzzle_hash"].as_str().unwrap().parse().unwrap(),
            ))
        }

        fn new(pool: PlotPool) -> Self {
            let v = vectors::load();
            let (local, farmer) = (vectors::secret(&v["local"]), vectors::secret(&v["farmer"]));
            let farmer_public_key = farmer.public_key();
            let proof = ProofOfSpace {
                challenge: PosChallenge([2; 32]),
                pool,
                plot_public_key: plot_public_key(&local.public_key(), &farmer_public_key, &pool).to_g1(),
                body: ProofBody::V1 {
                    k: 32,
                    proof: vec![0; 256],
                },
            };
            let pool_key = PoolKey::sign(&secret(8), PuzzleHash([4; 32]));
            let keys = FarmingKeys::new(vec![secret(7), farmer], vec![pool_key]);
            Self {
                local,
                farmer_public_key,
                keys,
                proof,
            }
        }

        fn plot_public_key(&self) -> PublicKey {
            PublicKey::from_g1(&self.proof.plot_public_key).unwrap()
        }

        /// What an honest harvester answers when asked for these messages.
        fn response(&self, messages: &[Bytes32]) -> RespondSignatures {
            let share = |message: &Bytes32| sign_prepend(&self.local, &self.plot_public_key(), message.as_bytes());
            RespondSignatures {
                plot_identifier: "plot".into(),
                challenge_hash: ChallengeHash([5; 32]),
                sp_hash: SpHash([6; 32]),
                local_pk: self.local.public_key().to_g1(),
                farmer_pk: self.farmer_public_key.to_g1(),
                message_signatures: messages
                    .iter()
                    .map(|message| (*message, share(message).to_g2()))
                    .collect(),
                include_source_signature_data: false,
                farmer_reward_address_override: None,
            }
        }

        fn complete(
            &self,
            response: &RespondSignatures,
            messages: &[Bytes32],
        ) -> Result<Vec<Signature>, PlotSignatureError> {
            complete_plot_signature(&self.keys, &self.proof, response, messages)
        }
    }

    fn secret(number: u8) -> SecretKey {
        SecretKey::key_gen(&[number; 32]).unwrap()
    }

    const MESSAGES: [Bytes32; 2] = [Bytes32([0x55; 32]), Bytes32([0x66; 32])];
}
