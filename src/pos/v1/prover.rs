//! Looks up proofs in a v1 plot.
//!
//! A challenge asks for an f7; C1, C2 and C3 tell the places of table 7 that have it. Each is one proof, whose quality
//! needs one entry of each table from 7 down to 1, and which in full needs all 63 entries of the tree below it. What was
//! read for the quality is kept for the proof. Nothing here keeps a file open, caches or starts threads; independent
//! reads are handed over as one batch.

use super::bits::read_bits;
use super::checkpoints::Checkpoints;
use super::park::{ENTRIES_PER_PARK, ParkLayout, unfold_line_point};
use super::plot_reader::PlotReader;
use super::verify::{self, arrange, challenge_f7, pack, quality_path, quality_string};
use crate::ids::{PosChallenge, QualityString};
use crate::pos::header::{HeaderVersion, PlotHeader};
use crate::pos::plot_error::{PlotError, PlotPart};
use crate::pos::read_at::ReadAt;

/// An opened v1 plot: its header and table C2, no file. The same file is given to every call.
#[derive(Clone, Debug)]
pub struct Prover {
    header: PlotHeader,
    size: u64,
    checkpoints: Checkpoints,
}

/// A proof that a plot has for a challenge: what it is worth, and the way to its 64 x values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quality {
    /// Quality string of the proof.
    pub string: QualityString,
    /// Line points on the way down to the pair of x values that `string` was made of, of table 6 first.
    path: [u128; 6],
}

impl Prover {
    /// Opens a plot with two reads: header and C2.
    ///
    /// # Errors
    /// [`PlotError`]: not a v1 plot, compressed, cut off, damaged, or unreadable just now.
    pub fn open(reader: &(impl ReadAt + ?Sized)) -> Result<Self, PlotError> {
        let header = PlotHeader::parse(reader)?;
        match header.version {
            HeaderVersion::V1 | HeaderVersion::V2Compressed { level: 0 } => {}
            HeaderVersion::V2Compressed { level } => return Err(PlotError::CompressedNotSupported { level }),
            HeaderVersion::Pos2 { .. } => return Err(PlotError::NotV1),
        }
        let size = reader.size();
        // A table ends where the next one begins; plotters differ in the order of tables.
        let table_at = |start: u64| {
            let end = header
                .table_pointers
                .iter()
                .copied()
                .filter(|pointer| *pointer > start)
                .min();
            start..end.unwrap_or(size).max(start)
        };
        let [.., c1, c2, c3] = header.table_pointers;
        let plot = PlotReader::new(reader, size);
        let checkpoints = Checkpoints::open(&plot, header.k, table_at(c1), table_at(c2), c3)?;
        Ok(Self {
            header,
            size,
            checkpoints,
        })
    }

    /// Header of the plot.
    #[must_use]
    pub fn header(&self) -> &PlotHeader {
        &self.header
    }

    /// The qualities of all proofs that the plot has for `challenge`, one on average. Two reads if there are none, nine
    /// for the first and seven for each further one.
    ///
    /// # Errors
    /// [`PlotError`]: the plot is damaged, or unreadable just now.
    pub fn qualities(
        &self,
        reader: &(impl ReadAt + ?Sized),
        challenge: &PosChallenge,
    ) -> Result<Vec<Quality>, PlotError> {
        let plot = PlotReader::new(reader, self.size);
        let places = self.checkpoints.places(&plot, challenge_f7(challenge, self.header.k))?;
        if places.len() > MAX_PROOFS {
            return Err(PlotError::damaged(
                PlotPart::C3,
                format!("{} entries have the same f7", places.len()),
            ));
        }
        let mut positions = self.table_7(&plot, &places)?;
        let mut paths = vec![[0; 6]; positions.len()];
        for (step, table) in (1..=6).rev().enumerate() {
            let line_points = self.line_points(&plot, table, &positions)?;
            for ((path, position), line_point) in paths.iter_mut().zip(&mut positions).zip(line_points) {
                path[step] = line_point;
                let (larger, smaller) = unfold_line_point(line_point);
                // At table 1 there is no further table to choose an entry of.
                let choose_larger = table > 1 && quality_path(challenge) >> (table - 2) & 1 == 1;
                *position = if choose_larger { larger } else { smaller };
            }
        }
        paths.into_iter().map(|path| self.quality(challenge, path)).collect()
    }

    /// The full proof, 64 x values of k bits, of one of the qualities found for `challenge`. It has been verified. 57
    /// reads in five batches.
    ///
    /// # Errors
    /// [`PlotError`]: the plot is damaged, or unreadable just now.
    pub fn full_proof(
        &self,
        reader: &(impl ReadAt + ?Sized),
        challenge: &PosChallenge,
        quality: &Quality,
    ) -> Result<Vec<u8>, PlotError> {
        let plot = PlotReader::new(reader, self.size);
        let mut level = vec![quality.path[0]];
        for (table, known) in (1..=5).rev().zip(&quality.path[1..]) {
            let mut positions = back_pointers(&level);
            // The one entry of this table that the quality already knows is not read again.
            let known_at = quality_path(challenge) >> (table - 1);
            positions.remove(known_at);
            level = self.line_points(&plot, table, &positions)?;
            level.insert(known_at, *known);
        }
        let k = self.header.k;
        let mut xs = [0; 64];
        xs.copy_from_slice(&back_pointers(&level));
        if let Some(x) = xs.iter().find(|x| **x >> k != 0) {
            return Err(PlotError::damaged(
                PlotPart::Table(1),
                format!("x value {x} has more than {k} bits"),
            ));
        }
        arrange(&self.header.plot_id, k, &mut xs);
        let proof = pack(k, &xs);
        match verify::verify(&self.header.plot_id, k, challenge, &proof) {
            Ok(string) if string == quality.string => Ok(proof),
            Ok(_) => Err(PlotError::damaged(
                PlotPart::Proof,
                "it has another quality than was found before",
            )),
            Err(error) => Err(PlotError::damaged(PlotPart::Proof, error)),
        }
    }

    fn quality(&self, challenge: &PosChallenge, path: [u128; 6]) -> Result<Quality, PlotError> {
        let (larger, smaller) = unfold_line_point(path[5]);
        let k = self.header.k;
        if larger >> k != 0 {
            return Err(PlotError::damaged(
                PlotPart::Table(1),
                format!("x value {larger} has more than {k} bits"),
            ));
        }
        Ok(Quality {
            string: quality_string(challenge, k, smaller, larger),
            path,
        })
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
        let bytes = plot.read(PlotPart::Table(7), offset, length)?;
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
        let part = PlotPart::Table(table);
        let layout = ParkLayout::classic(self.header.k, table);
        let park_bytes = layout.park_bytes();
        let start = self.header.table_pointers[usize::from(table) - 1];
        let offset = |position: &u64| {
            (position / ENTRIES_PER_PARK as u64)
                .saturating_mul(park_bytes as u64)
                .saturating_add(start)
        };
        let offsets: Vec<u64> = positions.iter().map(offset).collect();
        let parks = plot.read_each(part, &offsets, park_bytes)?;
        let entries = positions.iter().zip(parks.chunks_exact(park_bytes));
        entries
            .map(|(position, park)| layout.line_point(park, (position % ENTRIES_PER_PARK as u64) as usize))
            .collect::<Result<_, _>>()
            .map_err(|error| PlotError::damaged(part, error))
    }
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

/// More proofs for one challenge than any plot has: their number is Poisson distributed about 1.
const MAX_PROOFS: usize = 64;
