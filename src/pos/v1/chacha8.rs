//! ChaCha8 keystream, of which f1 is made: one block at a time, or several side by side in a form that compilers turn
//! into vector instructions. Knows nothing of plots but how their id becomes a key.

use crate::ids::PlotId;

/// Bytes of a block.
pub(super) const BLOCK_BYTES: usize = 64;
/// Words of 32 bits of a block.
pub(super) const BLOCK_WORDS: usize = BLOCK_BYTES / 4;
/// Blocks that are computed side by side.
pub(super) const LANES: usize = 64;

/// The keystream of one plot.
#[derive(Clone, Debug)]
pub(super) struct Keystream {
    /// State before the first round, with block counter 0.
    state: [u32; BLOCK_WORDS],
}

impl Keystream {
    /// The key is a 1 followed by the plot id without its last byte.
    pub(super) fn new(plot_id: &PlotId) -> Self {
        let mut key = [0; 32];
        key[0] = 1;
        key[1..].copy_from_slice(&plot_id.0[..31]);
        let mut state = [0; BLOCK_WORDS];
        state[..4].copy_from_slice(&CONSTANTS);
        for (word, bytes) in state[4..12].iter_mut().zip(key.as_chunks().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        Self { state }
    }

    /// Block number `counter`.
    pub(super) fn block(&self, counter: u64) -> [u8; BLOCK_BYTES] {
        let mut bytes = [0; BLOCK_BYTES];
        for (out, word) in bytes.as_chunks_mut().0.iter_mut().zip(self.words(counter)) {
            *out = word.to_le_bytes();
        }
        bytes
    }

    /// Blocks from number `counter` on, transposed: the same word (little-endian) of all blocks, then the next.
    pub(super) fn transposed_blocks(&self, counter: u64, out: &mut [[u32; LANES]; BLOCK_WORDS]) {
        // A loop over independent lanes without branches: compilers make vectors of the lanes.
        for lane in 0..LANES {
            let words = self.words(counter.wrapping_add(lane as u64));
            for (row, word) in out.iter_mut().zip(words) {
                row[lane] = word;
            }
        }
    }

    #[inline(always)]
    fn words(&self, counter: u64) -> [u32; BLOCK_WORDS] {
        let mut start = self.state;
        start[12] = counter as u32;
        start[13] = (counter >> 32) as u32;
        let mut state = start;
        double_round(&mut state);
        double_round(&mut state);
        double_round(&mut state);
        double_round(&mut state);
        for (word, start) in state.iter_mut().zip(start) {
            *word = word.wrapping_add(start);
        }
        state
    }
}

#[inline(always)]
fn double_round(state: &mut [u32; BLOCK_WORDS]) {
    quarter_round(state, 0, 4, 8, 12);
    quarter_round(state, 1, 5, 9, 13);
    quarter_round(state, 2, 6, 10, 14);
    quarter_round(state, 3, 7, 11, 15);
    quarter_round(state, 0, 5, 10, 15);
    quarter_round(state, 1, 6, 11, 12);
    quarter_round(state, 2, 7, 8, 13);
    quarter_round(state, 3, 4, 9, 14);
}

#[inline(always)]
fn quarter_round(state: &mut [u32; BLOCK_WORDS], a: usize, b: usize, c: usize, d: usize) {
    state[a] = state[a].wrapping_add(state[b]);
    state[d] = (state[d] ^ state[a]).rotate_left(16);
    state[c] = state[c].wrapping_add(state[d]);
    state[b] = (state[b] ^ state[c]).rotate_left(12);
    state[a] = state[a].wrapping_add(state[b]);
    state[d] = (state[d] ^ state[a]).rotate_left(8);
    state[c] = state[c].wrapping_add(state[d]);
    state[b] = (state[b] ^ state[c]).rotate_left(7);
}

/// "expand 32-byte k".
const CONSTANTS: [u32; 4] = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_side_by_side_are_the_single_blocks() {
        let keystream = Keystream::new(&PlotId([0xa5; 32]));
        let mut rows = [[0; LANES]; BLOCK_WORDS];
        // Across the end of the counter's low word, too.
        for first in [0, 77, (1 << 32) - 3] {
            keystream.transposed_blocks(first, &mut rows);
            for (lane, counter) in (first..first + LANES as u64).enumerate() {
                let block: Vec<u8> = rows.iter().flat_map(|row| row[lane].to_le_bytes()).collect();
                assert_eq!(block, keystream.block(counter));
            }
        }
    }
}
