//! Looking up a v2 plot: the partial proofs it has for a challenge, by the library of the official software.
//!
//! The library opens the file itself, by its path, and calls everything that goes wrong "no proof". So the file is looked
//! at before (the chunks that will be read are read and checked) and after (it is still the same file).

use std::path::Path;

use chia_pos2::Prover;

use crate::ids::{PlotGroupId, PlotId, PosChallenge};
use crate::pos::header::{HeaderVersion, PlotHeader};
use crate::pos::v2::PlotFileV2;
use crate::pos::{PlotError, PlotPart, ReadAt};
use crate::units::PlotSize;
use crate::wire::{G1Bytes, PartialProof, plot_group_id_v2, plot_id_v2};

/// A v2 plot that is farmed. Holds no secret and no file.
#[derive(Clone, Debug)]
pub struct ProverV2 {
    file: PlotFileV2,
    strength: u8,
    plot_index: u16,
    meta_group: u8,
    group_id: PlotGroupId,
}

impl ProverV2 {
    /// The prover of a plot with this header and plot public key; neither the id nor the rest of the file is checked.
    ///
    /// # Errors
    /// Not a v2 plot, or one that cannot exist.
    pub fn new(header: &PlotHeader, plot_public_key: &G1Bytes) -> Result<Self, PlotError> {
        let HeaderVersion::Pos2 {
            strength,
            plot_index,
            meta_group,
        } = header.version
        else {
            return Err(PlotError::NotV2);
        };
        Ok(Self {
            file: PlotFileV2::of(header)?,
            strength,
            plot_index,
            meta_group,
            group_id: plot_group_id_v2(strength, plot_public_key, &header.memo.pool),
        })
    }

    /// Id of the plot by its keys.
    #[must_use]
    pub fn plot_id(&self) -> PlotId {
        plot_id_v2(&self.group_id, self.plot_index, self.meta_group)
    }

    /// Group of the plot: plots of one group pass the filter together.
    #[must_use]
    pub const fn group_id(&self) -> &PlotGroupId {
        &self.group_id
    }

    /// Its k.
    #[must_use]
    pub const fn k(&self) -> u8 {
        self.file.k()
    }

    /// Its strength.
    #[must_use]
    pub const fn strength(&self) -> u8 {
        self.strength
    }

    /// Its size: a v2 plot's is its strength.
    #[must_use]
    pub const fn size(&self) -> PlotSize {
        PlotSize::V2 {
            strength: self.strength,
        }
    }

    /// Its number within its group.
    #[must_use]
    pub const fn plot_index(&self) -> u16 {
        self.plot_index
    }

    /// Its meta group within its group.
    #[must_use]
    pub const fn meta_group(&self) -> u8 {
        self.meta_group
    }

    /// Looks up all partial proofs for a challenge, each once. `reader` is the file at `path`, open; whether it is still
    /// the same file is for the caller to ask, after this. Takes some milliseconds.
    ///
    /// # Errors
    /// The file cannot be read, or is damaged.
    pub fn partial_proofs(
        &self,
        path: &Path,
        reader: &dyn ReadAt,
        challenge: &PosChallenge,
    ) -> Result<Vec<PartialProof>, PlotError> {
        self.file.check_chunks_for(reader, challenge)?;
        let failed = |reason| PlotError::damaged(PlotPart::Proof, reason);
        let prover = self.library_prover(path).map_err(|error| failed(error.to_string()))?;
        let chains = prover
            .get_qualities_for_challenge(challenge.as_bytes())
            .map_err(|error| failed(error.to_string()))?;
        let mut partials = Vec::with_capacity(chains.len());
        for chain in chains {
            let partial = PartialProof {
                fragments: chain.chain_links,
            };
            if !partials.contains(&partial) {
                partials.push(partial);
            }
        }
        Ok(partials)
    }

    /// The library's prover, made of its parts: its own way to open a plot would keep the memo, which holds a secret key.
    fn library_prover(&self, path: &Path) -> serde_json::Result<Prover> {
        serde_json::from_value(serde_json::json!({
            "path": path,
            "plot_id": self.file.plot_id().as_bytes(),
            "memo": [],
            "strength": self.strength,
            "index": self.plot_index,
            "meta_group": self.meta_group,
            "size": self.k(),
        }))
    }
}
