//! The structure of a v2 plot file (pos2 format 1): header, index, and chunks that the index says the places of.
//!
//! The library reads plots by itself and takes whatever goes wrong for "no proof". So what it is going to read is read
//! here first: a file that is cut off, a disk that fails, and a chunk that makes no sense or has a sector of zeros are told
//! from a plot that has no answer. What this cannot see is a chunk of the right structure with wrong contents.

use crate::ids::{PlotId, PosChallenge};
use crate::pos::header::{HeaderVersion, PlotHeader};
use crate::pos::plot_error::{PlotError, PlotPart};
use crate::pos::read_at::ReadAt;
use crate::pos::zeros::has_zeroed_sector;

/// Where things are in one plot file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlotFileV2 {
    plot_id: PlotId,
    k: u8,
    /// Where the number of chunks stands, before the index.
    count_at: u64,
}

impl PlotFileV2 {
    /// The structure that a header promises. The file itself is to be [checked](Self::check).
    ///
    /// # Errors
    /// Not the header of a v2 plot, or of one that cannot exist.
    pub fn of(header: &PlotHeader) -> Result<Self, PlotError> {
        let HeaderVersion::Pos2 { strength, .. } = header.version else {
            return Err(PlotError::NotV2);
        };
        let k = header.k;
        if !super::is_k(k) || !super::is_strength(k, strength) {
            return Err(PlotError::UnsupportedFormat {
                format: format!("pos2 with k{k} and strength {strength}"),
            });
        }
        let memo_bytes = header.memo.to_bytes().len();
        Ok(Self {
            plot_id: header.plot_id,
            k,
            count_at: HEADER_BYTES + memo_bytes as u64,
        })
    }

    /// Id of the plot.
    #[must_use]
    pub const fn plot_id(&self) -> &PlotId {
        &self.plot_id
    }

    /// Its k, even, 18 to 32.
    #[must_use]
    pub const fn k(&self) -> u8 {
        self.k
    }

    /// Checks the index against the file: every chunk begins where the one before it may end, and the file holds the
    /// last one. One read of 2^(k − 13) bytes, 32 KiB at k28, and a small one at the end.
    ///
    /// # Errors
    /// [`PlotError::CutOff`], a damaged index, or the medium's.
    pub fn check(&self, reader: &(impl ReadAt + ?Sized)) -> Result<(), PlotError> {
        let chunks = self.chunks();
        if u64::from_le_bytes(read(reader, PlotPart::Index, self.count_at)?) != chunks {
            let reason = format!("it should have {chunks} chunks");
            return Err(PlotError::damaged(PlotPart::Index, reason));
        }
        let index_bytes = usize::try_from(chunks * OFFSET_BYTES).unwrap_or(usize::MAX);
        let index = read_vec(reader, PlotPart::Index, self.index_at(), index_bytes)?;
        let offsets = index.chunks_exact(8).map(|bytes| {
            let mut offset = [0; 8];
            offset.copy_from_slice(bytes);
            u64::from_le_bytes(offset)
        });
        let mut earliest = self.index_at() + chunks * OFFSET_BYTES;
        for (number, offset) in (0..).zip(offsets) {
            if offset < earliest {
                let reason = format!("chunk {number} begins too early");
                return Err(PlotError::damaged(PlotPart::Index, reason));
            }
            earliest = offset.saturating_add(LENGTH_BYTES + CHUNK_HEADER_BYTES);
        }
        self.chunk_at(reader, chunks - 1).map(|_| ())
    }

    /// Reads what the library is going to read for a challenge, and checks that it makes sense: four chunks, about 0.9 MB
    /// at k28.
    ///
    /// # Errors
    /// A damaged or cut off chunk, or the medium's.
    pub fn check_chunks_for(&self, reader: &(impl ReadAt + ?Sized), challenge: &PosChallenge) -> Result<(), PlotError> {
        for number in self.chunks_for(challenge) {
            let (offset, length) = self.chunk_at(reader, number)?;
            let chunk = read_vec(reader, PlotPart::Chunk(number), offset, length)?;
            self.check_chunk(number, &chunk)?;
        }
        Ok(())
    }

    /// Chunks that hold the answer to a challenge. The library takes the four sets of fragments that the first words of a
    /// BLAKE3 hash name; a chunk has 2^10 sets.
    fn chunks_for(&self, challenge: &PosChallenge) -> [u64; 4] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.plot_id.as_bytes());
        hasher.update(challenge.as_bytes());
        let hash = hasher.finalize();
        let sets_mask = (1_u32 << (self.k - SET_BITS)) - 1;
        let mut chunks = [0; 4];
        for (chunk, word) in chunks.iter_mut().zip(hash.as_bytes().chunks_exact(4)) {
            let mut bytes = [0; 4];
            bytes.copy_from_slice(word);
            *chunk = u64::from((u32::from_le_bytes(bytes) & sets_mask) >> (CHUNK_BITS - SET_BITS));
        }
        chunks
    }

    /// Where a chunk begins, after its length, and its length.
    fn chunk_at(&self, reader: &(impl ReadAt + ?Sized), number: u64) -> Result<(u64, usize), PlotError> {
        let part = PlotPart::Chunk(number);
        let place = self.index_at() + number * OFFSET_BYTES;
        let offset = u64::from_le_bytes(read(reader, PlotPart::Index, place)?);
        let length = u64::from_le_bytes(read(reader, part, offset)?);
        if !(CHUNK_HEADER_BYTES..=MAX_CHUNK_BYTES).contains(&length) {
            return Err(PlotError::damaged(part, format!("it cannot have {length} bytes")));
        }
        let begin = offset.saturating_add(LENGTH_BYTES);
        let end = begin.saturating_add(length);
        if end > reader.size() {
            return Err(PlotError::CutOff {
                part,
                end,
                size: reader.size(),
            });
        }
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        Ok((begin, length))
    }

    /// A chunk begins with the number of its values and the lengths of its two halves; there are values in every chunk.
    fn check_chunk(&self, number: u64, chunk: &[u8]) -> Result<(), PlotError> {
        let mut words = chunk.chunks_exact(4).map(|word| {
            let mut bytes = [0; 4];
            bytes.copy_from_slice(word);
            u64::from(u32::from_le_bytes(bytes))
        });
        let mut word = || words.next().unwrap_or(0);
        let (values, compressed, stubs) = (word(), word(), word());
        let stub_bits = u64::from(self.k - MINUS_STUB_BITS);
        if values == 0
            || stubs != (values * stub_bits).div_ceil(8)
            || CHUNK_HEADER_BYTES + compressed + stubs != chunk.len() as u64
        {
            let reason = "its length is not that of its contents";
            return Err(PlotError::damaged(PlotPart::Chunk(number), reason));
        }
        if has_zeroed_sector(chunk) {
            let reason = "it has too many zero bytes in a row";
            return Err(PlotError::damaged(PlotPart::Chunk(number), reason));
        }
        Ok(())
    }

    const fn index_at(&self) -> u64 {
        self.count_at + LENGTH_BYTES
    }

    const fn chunks(&self) -> u64 {
        1 << (self.k - CHUNK_BITS)
    }
}

fn read<const N: usize>(reader: &(impl ReadAt + ?Sized), part: PlotPart, offset: u64) -> Result<[u8; N], PlotError> {
    let mut bytes = [0; N];
    read_into(reader, part, offset, &mut bytes)?;
    Ok(bytes)
}

fn read_vec(reader: &(impl ReadAt + ?Sized), part: PlotPart, offset: u64, length: usize) -> Result<Vec<u8>, PlotError> {
    let mut bytes = vec![0; length];
    read_into(reader, part, offset, &mut bytes)?;
    Ok(bytes)
}

fn read_into(reader: &(impl ReadAt + ?Sized), part: PlotPart, offset: u64, bytes: &mut [u8]) -> Result<(), PlotError> {
    let (end, size) = (offset.saturating_add(bytes.len() as u64), reader.size());
    if end > size {
        return Err(PlotError::CutOff { part, end, size });
    }
    reader
        .read_exact_at(bytes, offset)
        .map_err(|error| PlotError::Unreadable { part, error })
}

/// Bytes of a header before its memo.
const HEADER_BYTES: u64 = 43;

/// Bytes of the number of chunks, and of the length in front of each.
const LENGTH_BYTES: u64 = 8;

/// Bytes of a place in the index.
const OFFSET_BYTES: u64 = 8;

/// Bytes of the three numbers that a chunk begins with.
const CHUNK_HEADER_BYTES: u64 = 12;

/// Far more than a chunk of about 65,536 values has at k32.
const MAX_CHUNK_BYTES: u64 = 1 << 20;

/// A chunk spans 2^(k + 16) of the 2^2k possible fragments.
const CHUNK_BITS: u8 = 16;

/// A set spans 2^(k + 6).
const SET_BITS: u8 = 6;

/// Bits of a fragment that are not in its stub, of k.
const MINUS_STUB_BITS: u8 = 2;

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::io;

    use super::*;
    use crate::ids::PuzzleHash;
    use crate::wire::PlotPool;

    /// A real k18 plot file with a memo of either length.
    fn plot(memo: &[u8]) -> Vec<u8> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.plot2");
        chia_pos2::create_v2_plot(&path, 18, 2, &[0x5a; 32], 3, 1, memo, true).unwrap();
        std::fs::read(path).unwrap()
    }

    fn open(bytes: &[u8]) -> Result<PlotFileV2, PlotError> {
        let plot = PlotFileV2::of(&PlotHeader::parse(bytes)?)?;
        plot.check(bytes)?;
        Ok(plot)
    }

    /// Records where is read.
    struct Spy<'a>(&'a [u8], RefCell<Vec<u64>>);

    impl ReadAt for Spy<'_> {
        fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
            self.1.borrow_mut().push(offset);
            self.0.read_exact_at(buf, offset)
        }

        fn size(&self) -> u64 {
            self.0.size()
        }
    }

    #[test]
    fn official_files_are_in_order_and_every_cut_is_noticed() {
        for memo in [&[1; 112][..], &[1; 128]] {
            let bytes = plot(memo);
            let plot = open(&bytes).unwrap();
            for challenge in 0..=255 {
                plot.check_chunks_for(bytes.as_slice(), &PosChallenge([challenge; 32]))
                    .unwrap();
            }
            for length in [171, 180, 200, bytes.len() / 2, bytes.len() - 1] {
                let cut = open(&bytes[..length]);
                assert!(matches!(cut, Err(PlotError::CutOff { .. })), "{length}: {cut:?}");
            }
        }
    }

    #[test]
    fn the_chunks_that_are_read_are_those_the_library_needs() {
        // With any chunk but those emptied, the library still gives the same answer; with one of those it does not.
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.plot2");
        let bytes = plot(&[1; 112]);
        let file = open(&bytes).unwrap();
        let qualities = |bytes: &[u8], challenge: &PosChallenge| {
            std::fs::write(&path, bytes).unwrap();
            let prover = chia_pos2::Prover::new(&path).unwrap();
            let chains = prover.get_qualities_for_challenge(challenge.as_bytes()).unwrap();
            chains.into_iter().map(|chain| chain.chain_links).collect::<Vec<_>>()
        };
        let mut spared = 0;
        for challenge in (0..32).map(|i| PosChallenge([i; 32])) {
            let whole = qualities(&bytes, &challenge);
            if whole.is_empty() {
                continue;
            }
            let needed = file.chunks_for(&challenge);
            for number in 0..file.chunks() {
                let (offset, _) = file.chunk_at(bytes.as_slice(), number).unwrap();
                let mut emptied = bytes.clone();
                let at = usize::try_from(offset).unwrap();
                emptied[at..at + 4].fill(0);
                let is_needed = needed.contains(&number);
                assert_eq!(qualities(&emptied, &challenge) == whole, !is_needed, "chunk {number}");
                let checked = file.check_chunks_for(emptied.as_slice(), &challenge);
                assert_eq!(checked.is_ok(), !is_needed, "chunk {number}");
                spared += usize::from(!is_needed);
            }
        }
        assert!(spared > 0, "every challenge needed every chunk");
    }

    #[test]
    fn damaged_structure_is_an_error_and_reads_stay_bounded() {
        let bytes = plot(&[1; 112]);
        let file = open(&bytes).unwrap();
        let count_at = usize::try_from(file.count_at).unwrap();
        let with = |at: usize, value: u64| {
            let mut bytes = bytes.clone();
            bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
            bytes
        };
        for (at, value) in [
            (count_at, 5),
            (count_at, u64::MAX),
            (count_at + 8, 0),
            (count_at + 8 + 24, u64::MAX),
            (count_at + 8 + 24, 1 << 40),
        ] {
            assert!(open(&with(at, value)).is_err(), "{value} at {at}");
        }
        let (first, _) = file.chunk_at(bytes.as_slice(), 0).unwrap();
        let length_at = usize::try_from(first).unwrap() - 8;
        for value in [0, 11, 1 << 36, u64::MAX] {
            let damaged = with(length_at, value);
            let spy = Spy(&damaged, RefCell::default());
            let challenges = (0..=255).map(|i| PosChallenge([i; 32]));
            let failed = challenges.filter(|it| file.check_chunks_for(&spy, it).is_err()).count();
            assert!(failed > 0, "{value}");
            assert!(spy.1.borrow().iter().all(|offset| *offset < damaged.size()));
        }
    }

    #[test]
    fn a_sector_of_zeros_in_a_chunk_is_damage() {
        let bytes = plot(&[1; 112]);
        let file = open(&bytes).unwrap();
        let challenge = PosChallenge([7; 32]);
        file.check_chunks_for(bytes.as_slice(), &challenge).unwrap();
        let number = file.chunks_for(&challenge)[0];
        let (begin, length) = file.chunk_at(bytes.as_slice(), number).unwrap();
        let begin = usize::try_from(begin).unwrap();
        for sector in (begin.next_multiple_of(512)..begin + length - 512).step_by(512) {
            let mut damaged = bytes.clone();
            damaged[sector..sector + 512].fill(0);
            let failed = file.check_chunks_for(damaged.as_slice(), &challenge).unwrap_err();
            let is_of_chunk = matches!(failed, PlotError::Damaged { part: PlotPart::Chunk(at), .. } if at == number);
            assert!(is_of_chunk, "{failed}");
        }
    }

    #[test]
    fn other_plots_are_refused() {
        let mut header = PlotHeader::parse(plot(&[1; 112]).as_slice()).unwrap();
        header.memo.pool = PlotPool::Contract(PuzzleHash([1; 32]));
        assert!(PlotFileV2::of(&header).is_ok());
        for k in [19, 33, 34, 50] {
            let refused = PlotFileV2::of(&PlotHeader { k, ..header.clone() });
            assert!(matches!(refused, Err(PlotError::UnsupportedFormat { .. })), "k{k}");
        }
        let v1 = PlotHeader {
            version: HeaderVersion::V1,
            ..header
        };
        assert!(matches!(PlotFileV2::of(&v1), Err(PlotError::NotV2)));
    }
}
