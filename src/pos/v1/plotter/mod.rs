//! A plotter for small v1 plots: the whole file is made in memory, for tests, demonstrations and simulated farms.
//!
//! Gives the bytes that the reference plotter (chiapos, Apache-2.0) gives for the same plot id, memo and k, apart from
//! the few entries that it writes so that nobody can read them (see `layout.rs`). Nothing here is meant for mainnet
//! sizes: memory grows with 2^k.

mod forward;
mod layout;

use crate::ids::PlotId;

use super::park::ParkError;

/// Makes the file of a classic (uncompressed) v1 plot of size `k` (18 to 25). Each step of k doubles time, memory and
/// file size; k 18 takes about a second and gives 4 MB. `progress` is called now and then with the share done, which
/// ascends to 1.
pub fn create_plot(
    k: u8,
    plot_id: &PlotId,
    memo: &[u8],
    progress: &mut dyn FnMut(f32),
) -> Result<Vec<u8>, PlotterError> {
    if !(super::MIN_K..=MAX_K).contains(&k) {
        return Err(PlotterError::SizeNotSupported { k });
    }
    let memo_len = u16::try_from(memo.len()).map_err(|_| PlotterError::MemoTooLong { got: memo.len() })?;
    let mut header = Vec::with_capacity(1 << (k + 5));
    header.extend(b"Proof of Space Plot");
    header.extend(plot_id.as_bytes());
    header.push(k);
    header.extend(4_u16.to_be_bytes());
    header.extend(b"v1.0");
    header.extend(memo_len.to_be_bytes());
    header.extend(memo);

    let tables = forward::compute_tables(k, plot_id, &mut |share| progress(share * FORWARD_SHARE));
    layout::write_tables(k, header, tables, &mut |share| {
        progress(FORWARD_SHARE + share * (1.0 - FORWARD_SHARE));
    })
}

/// Why there is no plot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlotterError {
    /// The caller asked for a size this plotter does not make.
    #[error("cannot make a plot of k {k}: only {min} to {MAX_K} are made in memory", min = super::MIN_K)]
    SizeNotSupported {
        /// The k asked for.
        k: u8,
    },
    /// The caller gave a memo whose length the header cannot state.
    #[error("memo of {got} bytes does not fit into a plot header, which takes {max}", max = u16::MAX)]
    MemoTooLong {
        /// Bytes given.
        got: usize,
    },
    /// The entries of this plot id happen to lie so far apart that the format cannot hold them. Another plot id will do.
    #[error("table {table} of the plot cannot be written, another plot id will do: {reason}")]
    Unlucky {
        /// 1 to 6, or 7 for the checkpoint tables that belong to it.
        table: u8,
        /// What did not fit.
        reason: ParkError,
    },
}

/// Largest k: positions and y values have to fit in 32 bits.
pub const MAX_K: u8 = 25;

/// Share of the time that computing the tables takes.
const FORWARD_SHARE: f32 = 0.8;

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::super::Prover;
    use super::*;
    use crate::ids::PosChallenge;

    fn plot_id(seed: &str) -> PlotId {
        PlotId(Sha256::digest(seed).into())
    }

    #[test]
    fn a_plot_has_the_bytes_that_chiapos_gives_it() {
        let memo: Vec<u8> = (0..128).collect();
        let mut shares = Vec::new();
        let plot = create_plot(18, &plot_id("a"), &memo, &mut |share| shares.push(share)).unwrap();
        // SHA-256 of the file that DiskPlotter of chiapos 2.0.12 writes for this plot id and memo.
        let expected = "ea3c813c63b64ba032c1683ebaa02b1f77110f102d450c1752731d2836f73fc4";
        assert_eq!(hex::encode(Sha256::digest(plot)), expected);
        assert!(shares.is_sorted() && shares.last() == Some(&1.0), "{shares:?}");
    }

    #[test]
    fn entries_of_a_park_too_small_for_the_entropy_code_can_be_proved() {
        // The last park of table 4 of this plot has three entries. All f7s whose proofs need one of them; in the plot
        // that chiapos makes, its own prover fails on them ("Invalid size for deltas").
        let f7s: [u64; 13] = [
            5_602, 37_757, 60_925, 66_152, 96_267, 125_923, 145_116, 147_702, 179_793, 190_231, 199_639, 226_843,
            258_773,
        ];
        let plot = create_plot(18, &plot_id("s42"), &[0; 128], &mut |_| ()).unwrap();
        let prover = Prover::open(&plot).unwrap();
        let proofs = f7s.map(|f7| {
            let mut challenge = PosChallenge([0; 32]);
            challenge.0[..8].copy_from_slice(&(f7 << 46).to_be_bytes());
            let qualities = prover.qualities(&plot, &challenge).unwrap();
            // A full proof is verified before it is handed out.
            qualities
                .iter()
                .filter(|quality| prover.full_proof(&plot, &challenge, quality).is_ok())
                .count()
        });
        // What the official prover and verifier find in the same file.
        assert_eq!(proofs, [2, 2, 3, 3, 4, 1, 2, 1, 2, 2, 2, 2, 2]);
    }

    #[test]
    fn sizes_out_of_range_are_refused() {
        for k in [0, 17, 26, 32, 255] {
            let refused = create_plot(k, &plot_id("a"), &[], &mut |_| ());
            assert_eq!(refused, Err(PlotterError::SizeNotSupported { k }));
        }
    }

    #[test]
    fn a_memo_too_long_for_the_header_is_refused() {
        let refused = create_plot(18, &plot_id("a"), &[0; 65_536], &mut |_| ());
        assert_eq!(refused, Err(PlotterError::MemoTooLong { got: 65_536 }));
    }
}
