//! Looks up proofs in a v1 plot.
//!
//! A challenge asks for an f7; C1, C2 and C3 tell the places of table 7 that have it. Each is one proof, whose quality
//! needs one entry of each table from 7 down to 1, and which in full needs all 63 entries of the tree below it. Compressed
//! plots lack the lowest tables; what those would tell is computed. What was read for the quality is kept for the proof.
//! Nothing here keeps a file open, caches or starts threads; independent reads are handed over as one batch.

#[cfg(test)]
mod damage_tests;
mod search;
#[cfg(test)]
mod tests;

use std::ops::Range;

pub use search::{Asked, qualities_of_each};

use super::bits::read_bits;
use super::checkpoints::Checkpoints;
use super::decompress::{COMPRESSED_K, Compression, Decompressor, Entry};
use super::fse::Skip;
use super::fx::EXTRA_BITS;
use super::park::{ENTRIES_PER_PARK, ParkEntry, ParkLayout, unfold_line_point};
use super::plot_reader::{PlotReader, check_pointers};
use super::verify::{self, arrange, challenge_f7, pack};
use crate::ids::{PosChallenge, QualityString};
use crate::pos::header::{HeaderVersion, PlotHeader, TableHeader};
use crate::pos::plot_error::{PlotError, PlotPart};
use crate::pos::read_at::ReadAt;

/// An opened v1 plot: its header without the memo and table C2, no file. The same file is given to every call.
#[derive(Clone, Debug)]
pub struct Prover {
    header: TableHeader,
    compression: Option<Compression>,
    checkpoints: Checkpoints,
}

/// A proof that a plot has for a challenge: what it is worth, and the way to its 64 x values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quality {
    /// Quality string of the proof.
    pub string: QualityString,
    /// Line points on the way down to the pair of x values that `string` was made of, of table 6 first, as far as the plot
    /// has them.
    path: Vec<u128>,
    /// Whether `path` went on with the larger of the two numbers of a line point: bit `table - 2`, of the tables above the
    /// lowest one.
    turns: usize,
}

impl Prover {
    /// Opens a plot with two reads: header and C2.
    ///
    /// # Errors
    /// [`PlotError`]: not a v1 plot, compressed in an unknown way, cut off, damaged, or unreadable just now.
    pub fn open(reader: &(impl ReadAt + ?Sized)) -> Result<Self, PlotError> {
        Self::open_with(reader, &PlotHeader::parse(reader)?)
    }

    /// Opens a plot whose header has been read: one read, of C2.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_with(reader: &(impl ReadAt + ?Sized), header: &PlotHeader) -> Result<Self, PlotError> {
        let plot = PlotReader::new(reader);
        let tables = header.tables();
        let compression = check_header(&tables, reader.size())?;
        let [.., c1, c2, c3] = tables.table_pointers;
        let table_at = |start| table_at(&tables, start, reader.size());
        let checkpoints = Checkpoints::open(&plot, header.k, table_at(c1), table_at(c2), c3)?;
        Ok(Self {
            header: tables,
            compression,
            checkpoints,
        })
    }

    /// A plot of a file of `size` bytes whose header and C2 are known: the [`Self::header`] and [`Self::c2`] of the prover that
    /// was made of the same file. Reads nothing.
    ///
    /// # Errors
    /// As [`Self::open`], for what can be told from the header and the size of the file.
    pub fn with_c2(size: u64, header: TableHeader, c2: impl Into<Box<[u64]>>) -> Result<Self, PlotError> {
        let compression = check_header(&header, size)?;
        let [.., c1, _, c3] = header.table_pointers;
        let checkpoints = Checkpoints::new(header.k, table_at(&header, c1, size), c2.into(), c3)?;
        Ok(Self {
            header,
            compression,
            checkpoints,
        })
    }

    /// The table C2: the f7 of every 100,000,000th entry of table 7, ascending. All that was read besides the header.
    #[must_use]
    pub fn c2(&self) -> &[u64] {
        self.checkpoints.c2()
    }

    /// Keeps table C1 in memory if it takes at most `max_bytes`: each look-up then takes one read less, a seek saved. Reads
    /// C1, 1.7 MB at k 32, as far as that goes. Returns how many bytes it takes now; 0 if it is not kept.
    ///
    /// # Errors
    /// [`PlotError`]: the plot is cut off or unreadable just now. Nothing is kept then.
    pub fn keep_checkpoints(&mut self, reader: &(impl ReadAt + ?Sized), max_bytes: usize) -> Result<usize, PlotError> {
        self.checkpoints.keep_c1(&PlotReader::new(reader), max_bytes)
    }

    /// Header of the plot.
    #[must_use]
    pub const fn header(&self) -> &TableHeader {
        &self.header
    }

    /// 1 to 9, or 0 if the plot is not compressed.
    #[must_use]
    pub fn compression_level(&self) -> u8 {
        self.compression.map_or(0, |compression| compression.level())
    }

    /// Memory, in bytes, that a quality or a proof of this plot takes while it is looked up: next to none if the plot
    /// is not compressed, 1 MiB for level 1 to 300 MiB for level 9.
    #[must_use]
    pub fn scratch_bytes(&self) -> usize {
        self.compression.map_or(0, |compression| compression.scratch_bytes())
    }

    /// The qualities of all proofs that the plot has for `challenge`, one on average. Two reads if there are none, nine
    /// for the first and seven for each further one. If the plot is compressed: one less each and at level 9 two, but some
    /// more, up to eight, where entries are so near each other that their order has to be looked up (one of ten at level 7, one of
    /// 700 at level 1), and one more where an entry alone does not tell its x values (one of 30 at level 7).
    ///
    /// # Errors
    /// [`PlotError`]: the plot is damaged, or unreadable just now.
    pub fn qualities(
        &self,
        reader: &(impl ReadAt + ?Sized),
        challenge: &PosChallenge,
    ) -> Result<Vec<Quality>, PlotError> {
        let file: &dyn ReadAt = &reader;
        let asked = [Asked {
            prover: self,
            file,
            challenge,
        }];
        // One answer to one question.
        qualities_of_each(&asked).pop().unwrap_or_else(|| Ok(Vec::new()))
    }

    /// The full proof, 64 x values of k bits, of one of the qualities found for `challenge`. It has been verified. 57
    /// reads in five batches; 26 in four if the plot is compressed, at level 9 11 in three.
    ///
    /// # Errors
    /// [`PlotError`]: the plot is damaged, or unreadable just now.
    pub fn full_proof(
        &self,
        reader: &(impl ReadAt + ?Sized),
        challenge: &PosChallenge,
        quality: &Quality,
    ) -> Result<Vec<u8>, PlotError> {
        let plot = PlotReader::new(reader);
        let line_points = self.lowest_line_points(&plot, &quality.path, quality.turns)?;
        let Some(compression) = self.compression else {
            return self.checked_proof(challenge, quality.string, &self.proof_xs(&line_points)?);
        };
        let mut decompressor = Decompressor::new(compression, &self.header.plot_id);
        let entries = self.compressed_proofs(&mut decompressor, challenge, &line_points);
        let mut found = Err(PlotError::damaged(
            PlotPart::Proof,
            "no x values fit what is left of them",
        ));
        for entry in &entries {
            let mut xs = [0; 64];
            xs.copy_from_slice(&entry.xs);
            found = self.checked_proof(challenge, quality.string, &xs);
            if found.is_ok() {
                break;
            }
        }
        found
    }

    fn lowest_table(&self) -> u8 {
        self.compression.map_or(1, |compression| compression.lowest_table())
    }

    /// What entries of the last table there may be above all `line_points` of the lowest one: one, if nothing is damaged.
    fn compressed_proofs(
        &self,
        decompressor: &mut Decompressor,
        challenge: &PosChallenge,
        line_points: &[u128],
    ) -> Vec<Entry> {
        let mut proofs = decompressor.entries(line_points);
        proofs.retain(|proof| proof.y >> EXTRA_BITS == challenge_f7(challenge, self.header.k));
        proofs
    }

    /// The line points of the lowest table there is that a proof consists of, in the file's order, given those on the `path` of
    /// its quality.
    fn lowest_line_points<R: ReadAt + ?Sized>(
        &self,
        plot: &PlotReader<'_, R>,
        path: &[u128],
        turns: usize,
    ) -> Result<Vec<u128>, PlotError> {
        let lowest = self.lowest_table();
        let (mut level, rest) = match path {
            [first, rest @ ..] if rest.len() == 6 - usize::from(lowest) => (vec![*first], rest),
            _ => return Err(PlotError::damaged(PlotPart::Proof, "its quality is of another plot")),
        };
        for (table, known) in (lowest..=5).rev().zip(rest) {
            let mut positions = back_pointers(&level);
            // The one entry of this table that the quality already knows is not read again.
            let known_at = turns >> (table - 1);
            positions.remove(known_at);
            level = self.line_points(plot, table, &positions)?;
            level.insert(known_at, *known);
        }
        Ok(level)
    }

    /// The x values of a proof, in proof order, that the line points of table 1 hold.
    fn proof_xs(&self, line_points: &[u128]) -> Result<[u64; 64], PlotError> {
        let mut xs = [0; 64];
        xs.copy_from_slice(&back_pointers(line_points));
        xs.iter().try_for_each(|x| self.check_x(*x))?;
        arrange(&self.header.plot_id, self.header.k, &mut xs);
        Ok(xs)
    }

    fn check_x(&self, x: u64) -> Result<(), PlotError> {
        let k = self.header.k;
        match x >> k {
            0 => Ok(()),
            _ => Err(PlotError::damaged(
                PlotPart::Table(1),
                format!("x value {x} has more than {k} bits"),
            )),
        }
    }

    fn checked_proof(
        &self,
        challenge: &PosChallenge,
        expected: QualityString,
        xs: &[u64; 64],
    ) -> Result<Vec<u8>, PlotError> {
        let k = self.header.k;
        let proof = pack(k, xs);
        match verify::verify(&self.header.plot_id, k, challenge, &proof) {
            Ok(string) if string == expected => Ok(proof),
            Ok(_) => Err(PlotError::damaged(
                PlotPart::Proof,
                "it has another quality than was found before",
            )),
            Err(error) => Err(PlotError::damaged(PlotPart::Proof, error)),
        }
    }

    /// The entries at consecutive `places` of table 7: positions in table 6.
    fn table_7<R: ReadAt + ?Sized>(&self, plot: &PlotReader<'_, R>, places: &[u64]) -> Result<Vec<u64>, PlotError> {
        let Some(first) = places.first() else {
            return Ok(Vec::new());
        };
        // Parks of table 7 have no gaps between them: the table is one row of numbers of k + 1 bits.
        let entry_bits = usize::from(self.header.k) + 1;
        let first_bit = first * entry_bits as u64;
        let offset = self.header.table_pointers[6].saturating_add(first_bit / 8);
        let start = (first_bit % 8) as usize;
        let length = (start + places.len() * entry_bits).div_ceil(8);
        let bytes = plot.read_up_to(PlotPart::Table(7), offset, length.max(TABLE_7_READ_BYTES))?;
        if bytes.len() < length {
            return Err(plot.cut_off(PlotPart::Table(7)));
        }
        if bytes.iter().all(|byte| *byte == 0) {
            return Err(PlotError::damaged(
                PlotPart::Table(7),
                "it holds nothing but zeros there",
            ));
        }
        Ok((0..places.len())
            .map_while(|i| read_bits(&bytes, start + i * entry_bits, entry_bits as u32))
            .collect())
    }

    /// The line points at `positions` of `table`, 1 to 6, read in one batch.
    fn line_points<R: ReadAt + ?Sized>(
        &self,
        plot: &PlotReader<'_, R>,
        table: u8,
        positions: &[u64],
    ) -> Result<Vec<u128>, PlotError> {
        let parks = self.read_parks(plot, table, positions, Vec::new())?;
        let mut entries = parks.entries()?;
        Skip::all(entries.iter_mut().filter_map(ParkEntry::skip));
        parks.line_points(entries)
    }

    /// The parks with the entries at `positions` of `table`, 1 to 6, read in one batch into the memory of `buffer`.
    fn read_parks<R: ReadAt + ?Sized>(
        &self,
        plot: &PlotReader<'_, R>,
        table: u8,
        positions: &[u64],
        buffer: Vec<u8>,
    ) -> Result<Parks, PlotError> {
        let part = PlotPart::Table(table);
        let layout = match &self.compression {
            Some(compression) if table == compression.lowest_table() => compression.layout(),
            _ => ParkLayout::classic(self.header.k, table),
        };
        let park_bytes = layout.park_bytes();
        let start = self.header.table_pointers[usize::from(table) - 1];
        let offset = |position: &u64| {
            (position / ENTRIES_PER_PARK as u64)
                .saturating_mul(park_bytes as u64)
                .saturating_add(start)
        };
        let offsets: Vec<u64> = positions.iter().map(offset).collect();
        let index = |position: &u64| (position % ENTRIES_PER_PARK as u64) as usize;
        Ok(Parks {
            part,
            layout,
            bytes: plot.read_each(part, &offsets, park_bytes, buffer)?,
            indices: positions.iter().map(index).collect(),
        })
    }
}

/// Parks of one table, each with an entry that is wanted.
struct Parks {
    part: PlotPart,
    layout: ParkLayout,
    /// One after the other.
    bytes: Vec<u8>,
    /// The entry wanted of each.
    indices: Vec<usize>,
}

impl Parks {
    /// The entries that are wanted, not decoded.
    fn entries(&self) -> Result<Vec<ParkEntry<'_>>, PlotError> {
        let parks = self.bytes.chunks_exact(self.layout.park_bytes());
        parks
            .zip(&self.indices)
            .map(|(park, index)| self.layout.entry(park, *index))
            .collect::<Result<_, _>>()
            .map_err(|error| PlotError::damaged(self.part, error))
    }

    /// The line points of [`Self::entries`].
    fn line_points(&self, entries: Vec<ParkEntry<'_>>) -> Result<Vec<u128>, PlotError> {
        let line_points = entries.into_iter().map(ParkEntry::line_point);
        line_points
            .collect::<Result<_, _>>()
            .map_err(|error| PlotError::damaged(self.part, error))
    }
}

/// That this is a plot the prover can read, and that its tables begin within the file.
fn check_header(header: &TableHeader, size: u64) -> Result<Option<Compression>, PlotError> {
    let k = header.k;
    let compression = match header.version {
        HeaderVersion::V1 | HeaderVersion::V2Compressed { level: 0 } => None,
        HeaderVersion::V2Compressed { level } => {
            let known = Compression::new(level).filter(|_| k == COMPRESSED_K);
            Some(known.ok_or(PlotError::CompressionNotSupported { level, k })?)
        }
        HeaderVersion::Pos2 { .. } => return Err(PlotError::NotV1),
    };
    check_pointers(&header.table_pointers, size)?;
    Ok(compression)
}

/// The bytes that the table that begins at `start` may occupy: it ends where the next one begins, and plotters differ in
/// the order of tables.
fn table_at(header: &TableHeader, start: u64, size: u64) -> Range<u64> {
    let later = header.table_pointers.iter().copied().filter(|pointer| *pointer > start);
    start..later.min().unwrap_or(size)
}

/// What the entries of one table point at in the table below, in plot order: the smaller of each pair first.
fn back_pointers(line_points: &[u128]) -> Vec<u64> {
    line_points
        .iter()
        .flat_map(|line_point| {
            let (larger, smaller) = unfold_line_point(*line_point);
            [smaller, larger]
        })
        .collect()
}

/// At least so much is read of table 7: one entry may be 0, but not three.
const TABLE_7_READ_BYTES: usize = 16;
