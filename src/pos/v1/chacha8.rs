//! ChaCha8 keystream, of which f1 is made: one block at a time, or several side by side in a form that compilers turn
//! into vector instructions. Knows nothing of plots but how their id becomes a key.

use fearless_simd::prelude::*;
use fearless_simd::{Level, dispatch};

use crate::ids::PlotId;

/// Bytes of a block.
pub(super) const BLOCK_BYTES: usize = 64;
/// Words of 32 bits of a block.
pub(super) const BLOCK_WORDS: usize = BLOCK_BYTES / 4;
/// Blocks that are computed side by side.
pub(super) const LANES: usize = 16;

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

    /// Blocks number `counters`, transposed: the same word (read big-endian) of all blocks, then the next.
    pub(super) fn transposed_blocks(
        &self,
        level: Level,
        counters: &[u64; LANES],
        out: &mut [[u32; LANES]; BLOCK_WORDS],
    ) {
        dispatch!(level, simd => self.transposed_blocks_with(simd, counters, out));
    }

    #[inline(always)]
    fn transposed_blocks_with<S: Simd>(&self, simd: S, counters: &[u64; LANES], out: &mut [[u32; LANES]; BLOCK_WORDS]) {
        // No closures but such as are always inlined: others would have no vectors.
        let (mut low, mut high) = ([0; LANES], [0; LANES]);
        for (lane, counter) in counters.iter().enumerate() {
            low[lane] = *counter as u32;
            high[lane] = (counter >> 32) as u32;
        }
        let [odd, even] = [S::u32s::splat(simd, 0x00ff_00ff), S::u32s::splat(simd, 0xff00_ff00)];
        for lanes in (0..LANES).step_by(S::u32s::LEN) {
            let lanes = lanes..lanes + S::u32s::LEN;
            let mut start = [odd; BLOCK_WORDS];
            for (start, word) in start.iter_mut().zip(self.state) {
                *start = S::u32s::splat(simd, word);
            }
            start[12] = S::u32s::from_slice(simd, &low[lanes.clone()]);
            start[13] = S::u32s::from_slice(simd, &high[lanes.clone()]);
            let words = rounds(
                start,
                #[inline(always)]
                |a, b| a + b,
                #[inline(always)]
                |a, b, bits| rotate_left::<S>(a ^ b, bits),
            );
            for (row, word) in out.iter_mut().zip(words) {
                // Bytes the other way round.
                let word = (rotate_left::<S>(word, 8) & odd) | (rotate_left::<S>(word, 24) & even);
                word.store_slice(&mut row[lanes.clone()]);
            }
        }
    }

    /// The words of block number `counter`.
    fn words(&self, counter: u64) -> [u32; BLOCK_WORDS] {
        let mut start = self.state;
        start[12] = counter as u32;
        start[13] = (counter >> 32) as u32;
        rounds(start, u32::wrapping_add, |a, b, bits| (a ^ b).rotate_left(bits))
    }
}

#[inline(always)]
fn rotate_left<S: Simd>(words: S::u32s, bits: u32) -> S::u32s {
    (words << bits) | (words >> (32 - bits))
}

/// A block, or several side by side, from the state before the first round.
#[inline(always)]
fn rounds<W: Copy>(
    start: [W; BLOCK_WORDS],
    add: impl Fn(W, W) -> W,
    xor_rotated: impl Fn(W, W, u32) -> W,
) -> [W; BLOCK_WORDS] {
    let mut state = start;
    for _ in 0..DOUBLE_ROUNDS {
        quarter_round(&mut state, [0, 4, 8, 12], &add, &xor_rotated);
        quarter_round(&mut state, [1, 5, 9, 13], &add, &xor_rotated);
        quarter_round(&mut state, [2, 6, 10, 14], &add, &xor_rotated);
        quarter_round(&mut state, [3, 7, 11, 15], &add, &xor_rotated);
        quarter_round(&mut state, [0, 5, 10, 15], &add, &xor_rotated);
        quarter_round(&mut state, [1, 6, 11, 12], &add, &xor_rotated);
        quarter_round(&mut state, [2, 7, 8, 13], &add, &xor_rotated);
        quarter_round(&mut state, [3, 4, 9, 14], &add, &xor_rotated);
    }
    for (word, start) in state.iter_mut().zip(start) {
        *word = add(*word, start);
    }
    state
}

#[inline(always)]
fn quarter_round<W: Copy>(
    state: &mut [W; BLOCK_WORDS],
    [a, b, c, d]: [usize; 4],
    add: &impl Fn(W, W) -> W,
    xor_rotated: &impl Fn(W, W, u32) -> W,
) {
    state[a] = add(state[a], state[b]);
    state[d] = xor_rotated(state[d], state[a], 16);
    state[c] = add(state[c], state[d]);
    state[b] = xor_rotated(state[b], state[c], 12);
    state[a] = add(state[a], state[b]);
    state[d] = xor_rotated(state[d], state[a], 8);
    state[c] = add(state[c], state[d]);
    state[b] = xor_rotated(state[b], state[c], 7);
}

const DOUBLE_ROUNDS: usize = 4;

/// "expand 32-byte k".
const CONSTANTS: [u32; 4] = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574];

/// All that this processor has of what is computed with.
#[cfg(test)]
pub(super) fn levels() -> Vec<Level> {
    let best = Level::new();
    let levels = [best, Level::baseline()].into_iter();
    #[cfg(target_arch = "x86_64")]
    let levels = levels
        .chain(best.as_sse4_2().map(Simd::level))
        .chain(best.as_avx2().map(Simd::level));
    levels.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_side_by_side_are_the_single_blocks() {
        let keystream = Keystream::new(&PlotId([0xa5; 32]));
        let mut rows = [[0; LANES]; BLOCK_WORDS];
        // Across the end of the counter's low word, too.
        for (level, first) in levels()
            .into_iter()
            .flat_map(|level| [0, 77, (1 << 32) - 3].map(|first| (level, first)))
        {
            let counters = std::array::from_fn(|lane| first + 5 * lane as u64);
            keystream.transposed_blocks(level, &counters, &mut rows);
            for (lane, counter) in counters.into_iter().enumerate() {
                let block: Vec<u8> = rows.iter().flat_map(|row| row[lane].to_be_bytes()).collect();
                assert_eq!(block, keystream.block(counter), "{level:?}");
            }
        }
    }
}
