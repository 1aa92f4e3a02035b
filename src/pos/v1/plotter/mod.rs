//! A plotter for small v1 plots: the whole file is made in memory, for tests, demonstrations and simulated farms.
//!
//! Gives the bytes that the reference plotter (chiapos, Apache-2.0) gives for the same plot id, memo and k, apart from
//! the few entries that it writes so that nobody can read them (see [`layout`]). Nothing here is meant for mainnet
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
        progress(FORWARD_SHARE + share * (1.0 - FORWARD_SHARE))
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
const MAX_K: u8 = 25;

/// Share of the time that computing the tables takes.
const FORWARD_SHARE: f32 = 0.8;
