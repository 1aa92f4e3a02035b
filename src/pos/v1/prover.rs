//! Looks up proofs in a v1 plot.
//!
//! A challenge asks for an f7; C1, C2 and C3 tell the places of table 7 that have it. Each is one proof, whose quality
//! needs one entry of each table from 7 down to 1, and which in full needs all 63 entries of the tree below it. Compressed
//! plots lack the lowest tables; what those would tell is computed. What was read for the quality is kept for the proof.
//! Nothing here keeps a file open, caches or starts threads; independent reads are handed over as one batch.

use std::ops::Range;

use super::bits::read_bits;
use super::checkpoints::Checkpoints;
use super::decompress::{COMPRESSED_K, Compression, Decompressor, Entry, keep_matching};
use super::fx::EXTRA_BITS;
use super::park::{ENTRIES_PER_PARK, ParkLayout, unfold_line_point};
use super::plot_reader::{PlotReader, check_pointers};
use super::verify::{self, arrange, challenge_f7, pack, plot_order, quality_path, quality_string};
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
        let plot = PlotReader::new(reader);
        let places = self.checkpoints.places(&plot, challenge_f7(challenge, self.header.k))?;
        if places.len() > MAX_PROOFS {
            return Err(PlotError::damaged(
                PlotPart::C3,
                format!("{} entries have the same f7", places.len()),
            ));
        }
        let positions = self.table_7(&plot, &places)?;
        let mut ways: Vec<Way> = positions.into_iter().map(Way::at).collect();
        let mut decompressor = self
            .compression
            .map(|compression| Decompressor::new(compression, &self.header.plot_id));
        for table in (self.lowest_table()..=6).rev() {
            let positions: Vec<u64> = ways.iter().map(|way| way.position).collect();
            let line_points = self.line_points(&plot, table, &positions)?;
            for (way, line_point) in ways.iter_mut().zip(line_points) {
                way.path.push(line_point);
                if table == self.lowest_table() {
                    continue;
                }
                let file_order = match &mut decompressor {
                    Some(decompressor) => self.is_in_plot_order(&plot, decompressor, table, line_point)?,
                    None => true,
                };
                way.go_on(challenge, table, line_point, file_order);
            }
        }
        let Some(decompressor) = &mut decompressor else {
            return ways.into_iter().map(|way| self.quality(challenge, way)).collect();
        };
        ways.into_iter()
            .map(|way| self.compressed_quality(&plot, decompressor, challenge, way))
            .collect()
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

    fn quality(&self, challenge: &PosChallenge, way: Way) -> Result<Quality, PlotError> {
        let (larger, smaller) = unfold_line_point(way.path.last().copied().unwrap_or_default());
        self.check_x(larger)?;
        Ok(way.to(quality_string(challenge, self.header.k, smaller, larger)))
    }

    fn compressed_quality<R: ReadAt + ?Sized>(
        &self,
        plot: &PlotReader<'_, R>,
        decompressor: &mut Decompressor,
        challenge: &PosChallenge,
        way: Way,
    ) -> Result<Quality, PlotError> {
        let lowest = self.lowest_table();
        let mut entries = decompressor.entries(&way.path[way.path.len() - 1..]);
        if entries.len() > 1 {
            // The right one matches with the entry beside it.
            let beside = self.line_points(plot, lowest, &[way.beside])?;
            keep_matching(lowest + 1, &mut entries, &decompressor.entries(&beside));
        }
        let mut strings: Vec<_> = entries.iter().map(|entry| self.string_of(challenge, entry)).collect();
        strings.dedup();
        if strings.len() > 1 {
            // All there is to know about it.
            let line_points = self.lowest_line_points(plot, &way.path, way.turns)?;
            let proofs = self.compressed_proofs(decompressor, challenge, &line_points);
            strings = proofs.iter().map(|proof| self.string_of(challenge, proof)).collect();
        }
        match strings.first() {
            Some(string) => Ok(way.to(*string)),
            None => Err(PlotError::damaged(
                PlotPart::Table(lowest),
                "no x values fit what is left of them",
            )),
        }
    }

    /// Whether the numbers of a line point of `table` are in the order that the way to the quality goes by: that of the largest
    /// x values below them. A compressed plot is sorted by the beginnings of x values, so entries near each other may
    /// not be. Reads the way to those x values, and finds them if they begin alike.
    fn is_in_plot_order<R: ReadAt + ?Sized>(
        &self,
        plot: &PlotReader<'_, R>,
        decompressor: &mut Decompressor,
        table: u8,
        line_point: u128,
    ) -> Result<bool, PlotError> {
        let (larger, smaller) = unfold_line_point(line_point);
        if !decompressor.may_begin_alike(table - 1, larger, smaller) {
            return Ok(true);
        }
        let mut line_points = vec![line_point];
        let mut positions = vec![larger, smaller];
        for table in (self.lowest_table()..table).rev() {
            line_points = self.line_points(plot, table, &positions)?;
            positions = line_points.iter().map(|point| unfold_line_point(*point).0).collect();
        }
        Ok(decompressor.is_first_larger(&line_points))
    }

    /// The quality string that an entry makes, given that the way down leads to it.
    fn string_of(&self, challenge: &PosChallenge, entry: &Entry) -> QualityString {
        let mut xs = entry.xs.clone();
        plot_order(&mut xs);
        let selected = quality_path(challenge) * 2 % xs.len();
        quality_string(challenge, self.header.k, xs[selected], xs[selected + 1])
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
        let parks = plot.read_each(part, &offsets, park_bytes)?;
        let indices = positions
            .iter()
            .map(|position| (position % ENTRIES_PER_PARK as u64) as usize);
        let entries: Vec<_> = parks.chunks_exact(park_bytes).zip(indices).collect();
        let mut line_points = Vec::with_capacity(entries.len());
        for some in entries.chunks(2) {
            let decoded = match *some {
                [one, other] => layout
                    .line_point_of_each([one, other])
                    .map(|both| line_points.extend(both)),
                [(park, index)] => layout
                    .line_point(park, index)
                    .map(|line_point| line_points.push(line_point)),
                // Chunks of two are nothing else.
                _ => Ok(()),
            };
            decoded.map_err(|error| PlotError::damaged(part, error))?;
        }
        Ok(line_points)
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

/// The way from an entry of table 7 down to a quality.
struct Way {
    /// Where it goes on in the next table.
    position: u64,
    /// The other entry that it might have gone on with.
    beside: u64,
    path: Vec<u128>,
    turns: usize,
}

impl Way {
    fn at(position: u64) -> Self {
        Self {
            position,
            beside: position,
            path: Vec::with_capacity(6),
            turns: 0,
        }
    }

    /// Goes on to the table before `table`, an entry of which has this line point, with its larger number as the larger
    /// in plot order if `file_order`.
    fn go_on(&mut self, challenge: &PosChallenge, table: u8, line_point: u128, file_order: bool) {
        let (larger, smaller) = unfold_line_point(line_point);
        let wants_larger = quality_path(challenge) >> (table - 2) & 1 == 1;
        let takes_larger = wants_larger == file_order;
        self.turns |= usize::from(takes_larger) << (table - 2);
        (self.position, self.beside) = if takes_larger {
            (larger, smaller)
        } else {
            (smaller, larger)
        };
    }

    fn to(self, string: QualityString) -> Quality {
        Quality {
            string,
            path: self.path,
            turns: self.turns,
        }
    }
}

/// More proofs for one challenge than any plot has: their number is Poisson distributed about 1.
const MAX_PROOFS: usize = 64;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::super::plotter::create_plot;
    use super::super::test_plot::{GoldenProof, Shape, TestPlot, golden_proof, golden_proofs};
    use super::*;
    use crate::ids::PlotId;

    const ID: &str = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb";

    /// The plot that some of the golden proofs are from, made by our own plotter.
    static REAL_PLOT: LazyLock<Vec<u8>> =
        LazyLock::new(|| create_plot(18, &ID.parse().unwrap(), &[7; 128], &mut |_| ()).unwrap());

    /// All proofs there are for the challenge, each of which `full_proof` has verified.
    fn prove(plot: &impl ReadAt, challenge: &PosChallenge) -> Vec<(QualityString, Vec<u8>)> {
        let prover = Prover::open(plot).unwrap();
        let qualities = prover.qualities(plot, challenge).unwrap();
        qualities
            .iter()
            .map(|q| (q.string, prover.full_proof(plot, challenge, q).unwrap()))
            .collect()
    }

    #[test]
    fn proofs_of_a_real_plot_are_those_of_chiapos() {
        let plot_id: PlotId = ID.parse().unwrap();
        let mut golden = golden_proofs();
        golden.retain(|golden| golden.plot_id == plot_id && golden.k == 18);
        assert!(golden.len() >= 8);
        for proof in &golden {
            let same_challenge = golden.iter().filter(|other| other.challenge == proof.challenge);
            let expected: Vec<_> = same_challenge.map(|golden| (golden.quality, golden.proof())).collect();
            assert_eq!(prove(&*REAL_PLOT, &proof.challenge), expected);
        }
    }

    #[test]
    fn no_entry_of_a_real_plot_is_missed_around_checkpoints() {
        let plot = &*REAL_PLOT;
        let prover = Prover::open(plot).unwrap();
        let reader = PlotReader::new(plot);
        // An f7 has about one entry, so the first two checkpoints and the end of the table are among these.
        let mut checkpoints = Vec::new();
        for f7s in [9_000..11_000, 19_000..21_000, (1 << 18) - 500..1 << 18] {
            let mut expected = None;
            for f7 in f7s {
                for place in prover.checkpoints.places(&reader, f7).unwrap() {
                    assert!(
                        expected.is_none_or(|expected| place == expected),
                        "gap before place {place}, f7 {f7}"
                    );
                    expected = Some(place + 1);
                    if place % 10_000 == 0 {
                        checkpoints.push(place);
                        let mut challenge = PosChallenge([0; 32]);
                        challenge.0[..8].copy_from_slice(&(f7 << 46).to_be_bytes());
                        assert!(!prove(plot, &challenge).is_empty());
                    }
                }
            }
            let [.., table_7, c1, _, _] = prover.header().table_pointers;
            let room = (c1 - table_7) * 8 / 19;
            assert!(
                expected.is_some_and(|end| end <= room && (end < 100_000 || room - end < 2048)),
                "{expected:?}"
            );
        }
        assert_eq!(checkpoints[..2], [10_000, 20_000]);
    }

    #[test]
    fn proof_is_found_wherever_in_table_7_it_is() {
        for k in [18, 22, 32] {
            let golden = golden_proof(k);
            for (entries, places) in [
                (20_001, 0..1),
                (20_001, 9_999..10_000),
                (20_001, 10_000..10_001),
                (20_001, 20_000..20_001),
                (10_000, 9_999..10_000),
                (10_004, 10_003..10_004),
                (20_001, 9_997..10_004),
                (20_001, 19_937..20_001),
                (30_000, 10_001..10_002),
            ] {
                for padding in [0, 4096] {
                    let mut shape = Shape::of_entries(golden.f7(), entries, places.clone());
                    shape.padding = padding;
                    let plot = TestPlot::new(&golden, &shape);
                    let expected = vec![(golden.quality, golden.proof()); places.clone().count()];
                    assert_eq!(
                        prove(&plot, &golden.challenge),
                        expected,
                        "k {k} entries {entries} places {places:?}"
                    );
                }
            }
        }
    }

    /// A plot of mainnet size: C1 has 22,000 entries, C2 three, and the proof is at one place after checkpoint `index`.
    fn large_plot(golden: &GoldenProof, index: u64, after: u64) -> TestPlot {
        let step = |other: u64| other.abs_diff(index) * 170_000;
        let checkpoint = golden.f7() - after;
        let c1 = (0..22_000)
            .map(|i| {
                if i < index {
                    checkpoint - step(i)
                } else {
                    checkpoint + step(i)
                }
            })
            .collect();
        let place = index * 10_000 + after;
        let c3 = BTreeMap::from([(index, vec![1; 9_999]), (index.saturating_sub(1), vec![0; 9_999])]);
        TestPlot::new(
            golden,
            &Shape {
                c1,
                c3,
                places: place..place + 1,
                padding: 0,
                first_park: 0,
            },
        )
    }

    #[test]
    fn look_up_takes_nine_reads_and_the_proof_five_batches() {
        let golden = golden_proof(32);
        // At the beginning, in the middle and at the end of the groups that C2 makes.
        for index in [9_999, 10_000, 10_001, 11_234, 12_000] {
            for after in [1, 5_000, 9_999] {
                let plot = large_plot(&golden, index, after);
                let prover = Prover::open(&plot).unwrap();
                assert_eq!(plot.take_reads(), 2);
                let qualities = prover.qualities(&plot, &golden.challenge).unwrap();
                assert_eq!(plot.take_reads(), 9, "index {index} after {after}");
                plot.batches.take();
                let proof = prover.full_proof(&plot, &golden.challenge, &qualities[0]).unwrap();
                assert_eq!(proof, golden.proof());
                assert_eq!(plot.take_reads(), 57);
                assert_eq!(plot.batches.take(), [1, 3, 7, 15, 31]);
            }
            // At the checkpoint itself; one more read if the one before is in another group.
            let plot = large_plot(&golden, index, 0);
            assert_eq!(prove(&plot, &golden.challenge), [(golden.quality, golden.proof())]);
            assert!(plot.take_reads() <= 2 + 10 + 57);
        }
    }

    #[test]
    fn kept_checkpoints_save_a_read() {
        let golden = golden_proof(32);
        for index in [9_999, 10_000, 11_234] {
            for after in [20, 5_000, 9_999] {
                let plot = large_plot(&golden, index, after);
                let mut prover = Prover::open(&plot).unwrap();
                let expected = prover.qualities(&plot, &golden.challenge).unwrap();
                // 22,000 entries of four bytes each.
                assert_eq!(prover.keep_checkpoints(&plot, 87_999).unwrap(), 0);
                plot.take_reads();
                prover.qualities(&plot, &golden.challenge).unwrap();
                assert!(plot.take_reads() >= 9);
                assert_eq!(prover.keep_checkpoints(&plot, 88_000).unwrap(), 88_000);
                plot.take_reads();
                assert_eq!(prover.qualities(&plot, &golden.challenge).unwrap(), expected);
                assert_eq!(plot.take_reads(), 8, "index {index} after {after}");
                let mut challenge = golden.challenge;
                challenge.0[..4].copy_from_slice(&(golden.f7() as u32 - 170_000).to_be_bytes());
                assert_eq!(prover.qualities(&plot, &challenge).unwrap(), []);
                assert_eq!(plot.take_reads(), 1);
            }
        }
    }

    #[test]
    fn challenge_without_proof_takes_two_reads() {
        let golden = golden_proof(32);
        let plot = large_plot(&golden, 11_234, 20);
        let prover = Prover::open(&plot).unwrap();
        plot.take_reads();
        // After the checkpoint before, where only that checkpoint's f7 is.
        let mut challenge = golden.challenge;
        challenge.0[..4].copy_from_slice(&(golden.f7() as u32 - 170_000).to_be_bytes());
        assert_eq!(prover.qualities(&plot, &challenge).unwrap(), []);
        assert_eq!(plot.take_reads(), 2);
        assert_eq!(prover.qualities(&plot, &PosChallenge([0; 32])).unwrap(), []);
        assert_eq!(plot.take_reads(), 0, "below the first f7 of the plot");
    }

    #[test]
    fn failing_medium_is_told_from_damage() {
        let golden = golden_proof(18);
        let mut plot = TestPlot::new(&golden, &Shape::of_entries(golden.f7(), 20_001, 500..501));
        let prover = Prover::open(&plot).unwrap();
        let quality = prover.qualities(&plot, &golden.challenge).unwrap().remove(0);
        let [t1, _, t3, .., t7, c1, c2, c3] = prover.header().table_pointers;
        for (start, part) in [(c1, PlotPart::C1), (c3, PlotPart::C3), (t7 + 1180, PlotPart::Table(7))] {
            plot.broken = Some(start..start + 100);
            let failed = prover.qualities(&plot, &golden.challenge).unwrap_err();
            assert!(
                matches!(failed, PlotError::Unreadable { part: at, .. } if at == part),
                "{failed}"
            );
        }
        for (start, part) in [(t1, PlotPart::Table(1)), (t3, PlotPart::Table(3))] {
            plot.broken = Some(start..t7);
            let failed = prover.full_proof(&plot, &golden.challenge, &quality).unwrap_err();
            assert!(
                matches!(
                    failed,
                    PlotError::Unreadable {
                        part: PlotPart::Table(_),
                        ..
                    }
                ),
                "{part} {failed}"
            );
        }
        plot.broken = Some(c2..c2 + 1);
        assert!(matches!(
            Prover::open(&plot),
            Err(PlotError::Unreadable { part: PlotPart::C2, .. })
        ));
        plot.broken = Some(0..1);
        assert!(matches!(
            Prover::open(&plot),
            Err(PlotError::Unreadable {
                part: PlotPart::Header,
                ..
            })
        ));
    }

    #[test]
    fn damaged_tables_are_named() {
        let golden = golden_proof(18);
        let plot = TestPlot::new(&golden, &Shape::of_entries(golden.f7(), 20_001, 500..501)).to_bytes();
        let prover = Prover::open(&plot).unwrap();
        let quality = prover.qualities(&plot, &golden.challenge).unwrap().remove(0);
        let [t1, .., c3] = prover.header().table_pointers;

        let mut emptied = plot.clone();
        emptied[c3 as usize..][..10_000].fill(0);
        let failed = prover.qualities(&emptied, &golden.challenge).unwrap_err();
        assert!(
            matches!(failed, PlotError::Damaged { part: PlotPart::C3, .. }),
            "{failed}"
        );

        // A bit in the first line point of the first park: another x value, so another f7 or none.
        let mut altered = plot.clone();
        altered[t1 as usize + 4] ^= 0x80;
        let failed = prover.full_proof(&altered, &golden.challenge, &quality).unwrap_err();
        assert!(matches!(failed, PlotError::Damaged { .. }), "{failed}");

        let failed = prover
            .qualities(&plot[..t1 as usize].to_vec(), &golden.challenge)
            .unwrap_err();
        assert!(
            matches!(failed, PlotError::CutOff { part: PlotPart::C1, .. }),
            "{failed}"
        );
        let failed = Prover::open(&plot[..t1 as usize].to_vec()).unwrap_err();
        assert!(
            matches!(
                failed,
                PlotError::CutOff {
                    part: PlotPart::Table(1),
                    ..
                }
            ),
            "{failed}"
        );
    }

    #[test]
    fn file_cut_off_is_told_from_one_that_ends_early() {
        let golden = golden_proof(18);
        // chiapos does not write the park of a last checkpoint that no entry follows, nor the unused rest of any park.
        let shape = Shape::of_entries(golden.f7(), 20_001, 19_999..20_001);
        let plot = TestPlot::new(&golden, &shape).to_bytes();
        let used = plot.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        let expected = vec![(golden.quality, golden.proof()); 2];
        assert_eq!(prove(&plot[..used].to_vec(), &golden.challenge), expected);

        let cut = plot[..used - 1].to_vec();
        let failed = Prover::open(&cut)
            .unwrap()
            .qualities(&cut, &golden.challenge)
            .unwrap_err();
        assert!(
            matches!(failed, PlotError::CutOff { part: PlotPart::C3, .. }),
            "{failed}"
        );
        let cut = plot[..used - 11_000].to_vec();
        let failed = Prover::open(&cut)
            .unwrap()
            .qualities(&cut, &golden.challenge)
            .unwrap_err();
        assert!(
            matches!(failed, PlotError::CutOff { part: PlotPart::C3, .. }),
            "{failed}"
        );
    }

    #[test]
    fn more_entries_of_an_f7_than_there_can_be_are_damage() {
        let golden = golden_proof(18);
        let plot = TestPlot::new(&golden, &Shape::of_entries(golden.f7(), 20_001, 500..565));
        let failed = Prover::open(&plot)
            .unwrap()
            .qualities(&plot, &golden.challenge)
            .unwrap_err();
        assert!(
            matches!(failed, PlotError::Damaged { part: PlotPart::C3, .. }),
            "{failed}"
        );
    }

    #[test]
    fn quality_of_another_challenge_gives_no_proof() {
        let golden = golden_proof(18);
        let plot = TestPlot::new(&golden, &Shape::of_entries(golden.f7(), 20_001, 500..501));
        let prover = Prover::open(&plot).unwrap();
        let quality = prover.qualities(&plot, &golden.challenge).unwrap().remove(0);
        for bit in 0..6 {
            let mut other = golden.challenge;
            other.0[31] ^= 1 << bit;
            assert!(prover.full_proof(&plot, &other, &quality).is_err());
        }
    }

    static SMALL_PLOT: LazyLock<(GoldenProof, Vec<u8>)> = LazyLock::new(|| {
        let golden = golden_proof(18);
        let plot = TestPlot::new(&golden, &Shape::of_entries(golden.f7(), 20_001, 9_998..10_002)).to_bytes();
        (golden, plot)
    });

    proptest! {
        /// Whatever the bytes: no panic, and what is called a proof is one.
        #[test]
        fn damaged_bytes_do_no_harm(
            header in prop::collection::vec((0_usize..260, any::<u8>()), 0..4),
            anywhere in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..200),
            cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
        ) {
            let (golden, plot) = &*SMALL_PLOT;
            let mut plot = plot.clone();
            for (at, byte) in header {
                plot[at] = byte;
            }
            for (at, byte) in anywhere {
                let at = at.index(plot.len());
                plot[at] = byte;
            }
            if let Some(cut) = cut {
                plot.truncate(cut.index(plot.len()));
            }
            let Ok(prover) = Prover::open(&plot) else { return Ok(()) };
            let Ok(qualities) = prover.qualities(&plot, &golden.challenge) else { return Ok(()) };
            for quality in qualities {
                if let Ok(proof) = prover.full_proof(&plot, &golden.challenge, &quality) {
                    let header = prover.header();
                    let verified = verify::verify(&header.plot_id, header.k, &golden.challenge, &proof);
                    prop_assert_eq!(verified, Ok(quality.string));
                }
            }
        }
    }
}
