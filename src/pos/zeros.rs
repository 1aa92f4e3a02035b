//! Sectors of zeros, which drives that die and copies that were cut short leave in files.

/// Whether there is one in bytes that otherwise are as good as random: zeros over a length that chance never makes. Shorter
/// runs are found from 95 bytes on. Takes next to no time.
pub(super) fn has_zeroed_sector(bytes: &[u8]) -> bool {
    let is_zeroed = |piece: &[u8]| piece.iter().fold(0, |bits, byte| bits | byte) == 0;
    bytes
        .chunks(2 * PIECE_BYTES)
        .filter_map(|pieces| pieces.get(..PIECE_BYTES))
        .any(is_zeroed)
}

/// By chance so many bytes are zero once in 2^256.
const PIECE_BYTES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_are_found_wherever_they_begin() {
        let random: Vec<u8> = (0..2048_u32)
            .map(|place| (place.wrapping_mul(2_654_435_761) >> 13) as u8)
            .collect();
        assert!(!has_zeroed_sector(&random));
        for start in 0..2048 - 95 {
            let mut bytes = random.clone();
            bytes[start..start + 95].fill(0);
            assert!(has_zeroed_sector(&bytes), "{start}");
        }
        assert!(!has_zeroed_sector(&[0; 31]), "nothing that can be told");
    }
}
