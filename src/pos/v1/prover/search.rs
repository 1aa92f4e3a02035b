//! Looking qualities up: of one plot, or of several together.
//!
//! What is read is decoded symbol after symbol, each of which a processor waits for. So several plots go hand in hand: all
//! are read, then what was read of all is decoded at the same time, table by table.

use super::super::checkpoints::{Near, Scan};
use super::super::decompress::{Decompressor, Entry, keep_matching};
use super::super::fse::Skip;
use super::super::park::{ParkEntry, unfold_line_point};
use super::super::plot_reader::PlotReader;
use super::super::verify::{challenge_f7, plot_order, quality_path, quality_string};
use super::{Parks, Prover, Quality};
use crate::ids::{PosChallenge, QualityString};
use crate::pos::plot_error::{PlotError, PlotPart};
use crate::pos::read_at::ReadAt;

/// A plot that is asked for its qualities.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// The plot.
    pub prover: &'a Prover,
    /// Its file.
    pub file: &'a dyn ReadAt,
    /// What it is asked.
    pub challenge: &'a PosChallenge,
}

/// As [`Prover::qualities`], of several plots at the same time, in their order: less than half as much computing as one
/// after the other if they are not compressed, and no other reads. For files that are read fast; a slow one keeps the
/// others waiting.
#[must_use]
pub fn qualities_of_each(asked: &[Asked<'_>]) -> Vec<Result<Vec<Quality>, PlotError>> {
    let mut searches: Vec<Search<'_>> = asked.iter().map(Search::new).collect();
    for search in &mut searches {
        search.attempt(Search::read_checkpoints);
    }
    let mut scans: Vec<Vec<Scan<'_>>> = searches.iter().map(|search| search.near.scans()).collect();
    Skip::all(scans.iter_mut().flatten().filter_map(Scan::skip));
    let places = searches.iter().zip(scans).map(|(search, scans)| search.places(scans));
    let places: Vec<Result<Vec<u64>, PlotError>> = places.collect();
    for (search, places) in searches.iter_mut().zip(places) {
        search.attempt(|search| search.enter(&places?));
    }
    for table in (1..=6).rev() {
        for search in &mut searches {
            search.attempt(|search| search.read(table));
        }
        let mut entries: Vec<Result<Vec<ParkEntry<'_>>, PlotError>> = searches.iter().map(Search::entries).collect();
        Skip::all(entries.iter_mut().flatten().flatten().filter_map(ParkEntry::skip));
        let line_points = searches.iter().zip(entries);
        let line_points = line_points.map(|(search, entries)| search.line_points(entries?));
        let line_points: Vec<Result<Vec<u128>, PlotError>> = line_points.collect();
        for (search, line_points) in searches.iter_mut().zip(line_points) {
            search.attempt(|search| search.descend(table, &line_points?));
        }
    }
    searches.into_iter().map(Search::end).collect()
}

/// The search for the qualities of one plot.
struct Search<'a> {
    prover: &'a Prover,
    plot: PlotReader<'a, dyn ReadAt + 'a>,
    challenge: &'a PosChallenge,
    decompressor: Option<Decompressor>,
    near: Near,
    ways: Vec<Way>,
    /// Those of the table that the ways have come to.
    parks: Option<Parks>,
    /// Nothing more is done once something has gone wrong.
    result: Result<(), PlotError>,
}

impl<'a> Search<'a> {
    fn new(asked: &Asked<'a>) -> Self {
        let Asked {
            prover,
            file,
            challenge,
        } = *asked;
        let decompressor = |compression| Decompressor::new(compression, &prover.header.plot_id);
        Self {
            prover,
            plot: PlotReader::new(file),
            challenge,
            decompressor: prover.compression.map(decompressor),
            near: Near::default(),
            ways: Vec::new(),
            parks: None,
            result: Ok(()),
        }
    }

    fn attempt(&mut self, step: impl FnOnce(&mut Self) -> Result<(), PlotError>) {
        if self.result.is_ok() {
            self.result = step(self);
        }
    }

    fn read_checkpoints(&mut self) -> Result<(), PlotError> {
        let f7 = challenge_f7(self.challenge, self.prover.header.k);
        self.near = self.prover.checkpoints.near(&self.plot, f7)?;
        Ok(())
    }

    fn places(&self, scans: Vec<Scan<'_>>) -> Result<Vec<u64>, PlotError> {
        self.prover.checkpoints.places(&self.plot, scans)
    }

    /// Reads the entries of table 7 where the ways begin.
    fn enter(&mut self, places: &[u64]) -> Result<(), PlotError> {
        if places.len() > MAX_PROOFS {
            return Err(PlotError::damaged(
                PlotPart::C3,
                format!("{} entries have the same f7", places.len()),
            ));
        }
        let positions = self.prover.table_7(&self.plot, places)?;
        self.ways = positions.into_iter().map(Way::at).collect();
        Ok(())
    }

    /// Reads the parks that the ways come to in `table`, if the plot has it.
    fn read(&mut self, table: u8) -> Result<(), PlotError> {
        // What was read before is decoded; to take memory for each read takes a while.
        let buffer = match self.parks.take() {
            Some(parks) => parks.bytes,
            None => self.near.take_parks(),
        };
        if table >= self.prover.lowest_table() && !self.ways.is_empty() {
            let positions: Vec<u64> = self.ways.iter().map(|way| way.position).collect();
            self.parks = Some(self.prover.read_parks(&self.plot, table, &positions, buffer)?);
        }
        Ok(())
    }

    fn entries(&self) -> Result<Vec<ParkEntry<'_>>, PlotError> {
        match &self.parks {
            Some(parks) if self.result.is_ok() => parks.entries(),
            _ => Ok(Vec::new()),
        }
    }

    fn line_points(&self, entries: Vec<ParkEntry<'_>>) -> Result<Vec<u128>, PlotError> {
        let parks = self.parks.as_ref();
        parks.map_or_else(|| Ok(Vec::new()), |parks| parks.line_points(entries))
    }

    /// Goes on from the entries of `table` with these line points.
    fn descend(&mut self, table: u8, line_points: &[u128]) -> Result<(), PlotError> {
        for (way, line_point) in self.ways.iter_mut().zip(line_points) {
            way.path.push(*line_point);
            if table == self.prover.lowest_table() {
                continue;
            }
            let file_order = match &mut self.decompressor {
                Some(decompressor) => self
                    .prover
                    .is_in_plot_order(&self.plot, decompressor, table, *line_point)?,
                None => true,
            };
            way.go_on(self.challenge, table, *line_point, file_order);
        }
        Ok(())
    }

    /// The qualities at the ends of all ways.
    fn end(self) -> Result<Vec<Quality>, PlotError> {
        self.result?;
        let (prover, challenge) = (self.prover, self.challenge);
        let Some(mut decompressor) = self.decompressor else {
            return self
                .ways
                .into_iter()
                .map(|way| prover.quality(challenge, way))
                .collect();
        };
        self.ways
            .into_iter()
            .map(|way| prover.compressed_quality(&self.plot, &mut decompressor, challenge, way))
            .collect()
    }
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

impl Prover {
    /// The quality at the end of a way in a plot that is not compressed.
    fn quality(&self, challenge: &PosChallenge, way: Way) -> Result<Quality, PlotError> {
        let (larger, smaller) = unfold_line_point(way.path.last().copied().unwrap_or_default());
        self.check_x(larger)?;
        Ok(way.to(quality_string(challenge, self.header.k, smaller, larger)))
    }

    /// The quality at the end of a way in a compressed plot.
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
}

/// More proofs for one challenge than any plot has: their number is Poisson distributed about 1.
const MAX_PROOFS: usize = 64;
