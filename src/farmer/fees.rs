//! What a third-party harvester may take of the farmer's reward (CHIP-22): nothing, unless its operator allowed a fee.
//!
//! Such a harvester claims the farmer's share of some of the blocks it finds. Which ones is decided by the proof itself,
//! so that a claim can be checked: the fee of a rate is due when the last four bytes of a hash over the proof are within
//! that rate. The official farmer logs a wrong claim and pays it; here it is refused, with an alarm, and the reward is ours.

use super::Farmer;
use super::proofs::Source;
use crate::clock::Now;
use crate::ids::{ChallengeHash, PuzzleHash};
use crate::snapshot::{AlarmKind, HarvesterId};
use crate::wire::{NewProofOfSpace, ProofBody, ProofOfSpace, ProofOfSpaceFeeInfo};

impl Farmer {
    /// Where the farmer's share of a new proof goes by the harvester's wish, if that is granted.
    pub(super) fn review_fee(&mut self, now: Now, id: HarvesterId, message: &NewProofOfSpace) -> Option<PuzzleHash> {
        let wanted = self.elsewhere(message.farmer_reward_address_override)?;
        let limit = self
            .harvesters
            .get(id)
            .and_then(|slot| self.config.fee_limit(&slot.peer.peer_id));
        let threshold = message.fee_info.as_ref().map(|fee| fee.applied_fee_threshold);
        match check(&message.proof, &message.challenge_hash, threshold, limit) {
            Ok(()) => Some(wanted),
            Err(refusal) => {
                self.refuse_override(now, id, &refusal.to_string());
                None
            }
        }
    }

    /// Where the farmer's share of a block goes, if not to us: to the source that signs its signage point, when its fee was
    /// granted with the proof and is claimed again with the signatures.
    pub(super) fn fee_to(&mut self, now: Now, source: &Source, claimed: Option<PuzzleHash>) -> Option<PuzzleHash> {
        let claimed = self.elsewhere(claimed)?;
        if source.granted == Some(claimed) {
            return Some(claimed);
        }
        self.refuse_override(now, source.harvester, "it was not granted when the proof came");
        None
    }

    /// An address that is not ours.
    fn elsewhere(&self, wanted: Option<PuzzleHash>) -> Option<PuzzleHash> {
        wanted.filter(|wanted| Some(*wanted) != self.config.keys.farmer_target)
    }

    fn refuse_override(&mut self, now: Now, harvester: HarvesterId, reason: &str) {
        let name = self.harvesters.name(harvester);
        let reason = reason.to_owned();
        self.raise(
            now,
            AlarmKind::RewardOverrideRefused {
                harvester,
                name,
                reason,
            },
        );
    }
}

/// Whether a fee is allowed, up to `limit` percent, and due for this proof.
fn check(
    proof: &ProofOfSpace,
    challenge_hash: &ChallengeHash,
    threshold: Option<u32>,
    limit: Option<f64>,
) -> Result<(), Refusal> {
    let limit = limit.ok_or(Refusal::NotAllowed)?;
    let threshold = threshold.ok_or(Refusal::WithoutRate)?;
    let percent = f64::from(threshold) / f64::from(u32::MAX) * 100.0;
    if percent > limit {
        return Err(Refusal::TooMuch { percent, limit });
    }
    let (ProofBody::V1 { proof, .. } | ProofBody::V2 { proof, .. }) = &proof.body;
    if ProofOfSpaceFeeInfo::fee_quality(proof, challenge_hash) > threshold {
        return Err(Refusal::NotDue { percent });
    }
    Ok(())
}

/// Why a harvester does not get the reward.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
enum Refusal {
    #[error("no fee is allowed for it")]
    NotAllowed,
    #[error("it named no fee rate")]
    WithoutRate,
    #[error("a fee of {percent:.2} % is more than the {limit} % allowed")]
    TooMuch { percent: f64, limit: f64 },
    #[error("by the rule of its fee of {percent:.2} % this proof is ours")]
    NotDue { percent: f64 },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::PosChallenge;
    use crate::wire::{G1Bytes, PlotPool};

    const CHALLENGE: ChallengeHash = ChallengeHash([1; 32]);

    fn proof() -> ProofOfSpace {
        ProofOfSpace {
            challenge: PosChallenge([3; 32]),
            pool: PlotPool::Contract(PuzzleHash([2; 32])),
            plot_public_key: G1Bytes([4; 48]),
            body: ProofBody::V1 {
                k: 32,
                proof: vec![1, 2, 3],
            },
        }
    }

    fn verdict(threshold: Option<u32>, max_percent: Option<f64>) -> Result<(), Refusal> {
        check(&proof(), &CHALLENGE, threshold, max_percent)
    }

    #[test]
    fn fee_is_due_from_its_threshold_on_and_up_to_the_limit() {
        let at = 2_258_306_570; // the fee quality of this proof
        assert!(verdict(Some(at), Some(52.6)).is_ok(), "52.58 %");
        assert!(matches!(verdict(Some(at - 1), Some(60.0)), Err(Refusal::NotDue { .. })));
        assert!(matches!(verdict(Some(at), Some(52.5)), Err(Refusal::TooMuch { .. })));
        assert_eq!(verdict(None, Some(100.0)), Err(Refusal::WithoutRate));
        assert_eq!(verdict(Some(u32::MAX), None), Err(Refusal::NotAllowed));
        assert_eq!(verdict(Some(u32::MAX), Some(100.0)), Ok(()));
    }
}
