//! Plots for tests that contain one known proof at the places of choice, and holes elsewhere: any k, any shape of the
//! checkpoint tables, in a moment.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;

use serde::Deserialize;

use super::decompress::Compression;
use super::park::{
    CHECKPOINT_1_INTERVAL, CHECKPOINT_2_INTERVAL, ENTRIES_PER_PARK, ParkLayout, c3_park_bytes, encode_c3_park,
    line_point,
};
use super::verify::{challenge_f7, pack, plot_order, unpack};
use crate::ids::{PlotId, PosChallenge, QualityString};
use crate::pos::read_at::{ReadAt, ReadRequest};

/// A proof which the official verifier accepted with this quality: from chiapos plots of k 18 to 22, and of real
/// mainnet blocks (k 32).
#[derive(Deserialize)]
pub(super) struct GoldenProof {
    pub(super) k: u8,
    pub(super) plot_id: PlotId,
    pub(super) challenge: PosChallenge,
    proof: String,
    pub(super) quality: QualityString,
}

impl GoldenProof {
    pub(super) fn proof(&self) -> Vec<u8> {
        hex::decode(&self.proof).unwrap()
    }

    /// Makes it one of x values that need not prove anything.
    pub(super) fn set_xs(&mut self, xs: &[u64]) {
        self.proof = hex::encode(pack(self.k, xs.try_into().unwrap()));
    }

    pub(super) fn f7(&self) -> u64 {
        challenge_f7(&self.challenge, self.k)
    }
}

pub(super) fn golden_proofs() -> Vec<GoldenProof> {
    serde_json::from_str(include_str!("../../../tests/vectors/pos_v1.json")).unwrap()
}

/// One proof of this k whose f7 is not near the ends of the range.
pub(super) fn golden_proof(k: u8) -> GoldenProof {
    let middle = |f7: u64| (1 << (k - 2)..3 << (k - 2)).contains(&f7);
    golden_proofs()
        .into_iter()
        .find(|golden| golden.k == k && middle(golden.f7()))
        .unwrap()
}

/// Shape of table 7 and its checkpoints.
pub(super) struct Shape {
    /// All entries of C1.
    pub(super) c1: Vec<u64>,
    /// Contents of some of the C3 parks.
    pub(super) c3: BTreeMap<u64, Vec<u8>>,
    /// Where in table 7 the proof is.
    pub(super) places: Range<u64>,
    /// Zero bytes after C1 and after C2, besides the entry 0 that ends them.
    pub(super) padding: u64,
    /// Number of the first park of each table that is there.
    pub(super) first_park: u64,
}

impl Shape {
    /// `entries` entries of table 7, those at `places` with `f7` and all others one more than the one before.
    pub(super) fn of_entries(f7: u64, entries: u64, places: Range<u64>) -> Self {
        let f7s: Vec<u64> = (0..entries)
            .map(|place| f7 + place.saturating_sub(places.end - 1) - places.start.saturating_sub(place))
            .collect();
        let mut shape = Self {
            c1: Vec::new(),
            c3: BTreeMap::new(),
            places,
            padding: 0,
            first_park: 0,
        };
        for (index, run) in (0..).zip(f7s.chunks(CHECKPOINT_1_INTERVAL)) {
            shape.c1.push(run[0]);
            shape
                .c3
                .insert(index, run.windows(2).map(|pair| (pair[1] - pair[0]) as u8).collect());
        }
        shape
    }
}

/// A plot file with holes, which counts what is read of it.
pub(super) struct TestPlot {
    extents: BTreeMap<u64, Vec<u8>>,
    size: u64,
    /// Offset of every read since the plot was made or the list taken.
    pub(super) reads: RefCell<Vec<u64>>,
    /// Number of requests in every batch.
    pub(super) batches: RefCell<Vec<usize>>,
    /// Reads that touch these bytes fail.
    pub(super) broken: Option<Range<u64>>,
}

impl TestPlot {
    /// A classic plot that contains `golden` once, but in table 7 at all places of `shape`.
    pub(super) fn new(golden: &GoldenProof, shape: &Shape) -> Self {
        Self::of_level(golden, shape, 0)
    }

    /// Such a plot compressed with `level`, or a classic one if that is 0.
    pub(super) fn of_level(golden: &GoldenProof, shape: &Shape, level: u8) -> Self {
        let k = golden.k;
        let compression = Compression::new(level);
        let mut plot = Self {
            extents: BTreeMap::new(),
            size: 0,
            reads: RefCell::default(),
            batches: RefCell::default(),
            broken: None,
        };
        let mut pointers = Vec::new();
        let mut at = 4096;

        // Each line point has a park of its own, and there the sixth place.
        let mut children = unpack(k, &golden.proof()).unwrap().to_vec();
        plot_order(&mut children);
        let lowest = compression.map_or(1, |compression| compression.lowest_table());
        if let Some(compression) = compression {
            compression.plot_order(&mut children);
            children = compression.leave_out(&children);
            pointers.resize(usize::from(lowest) - 1, at);
        }
        for table in lowest..=6 {
            pointers.push(at);
            let layout = match compression {
                Some(compression) if table == lowest => compression.layout(),
                _ => ParkLayout::classic(k, table),
            };
            at += shape.first_park * layout.park_bytes() as u64;
            for pair in children.chunks_exact(2) {
                let line_point = line_point(pair[0], pair[1]);
                let entries: Vec<u128> = (line_point - 5..=line_point).collect();
                plot.extents.insert(at, layout.encode(&entries).unwrap());
                at += layout.park_bytes() as u64;
            }
            children = (0..children.len() as u64 / 2)
                .map(|park| (shape.first_park + park) * ENTRIES_PER_PARK as u64 + 5)
                .collect();
        }

        pointers.push(at);
        let bit = |place: u64| place * (u64::from(k) + 1);
        let mut table_7 = vec![0; (bit(shape.places.end) / 8 - bit(shape.places.start) / 8 + 1) as usize];
        for place in shape.places.clone() {
            for i in (0..u64::from(k) + 1).filter(|i| children[0] >> (u64::from(k) - i) & 1 == 1) {
                let position = bit(place) + i - bit(shape.places.start) / 8 * 8;
                table_7[(position / 8) as usize] |= 0x80 >> (position % 8);
            }
        }
        plot.extents.insert(at + bit(shape.places.start) / 8, table_7);
        at += bit(shape.c1.len() as u64 * CHECKPOINT_1_INTERVAL as u64).div_ceil(8) + 64;

        let c2 = shape.c1.iter().step_by(CHECKPOINT_2_INTERVAL);
        for checkpoints in [shape.c1.iter().collect::<Vec<_>>(), c2.collect()] {
            pointers.push(at);
            let entry = |f7: &u64| (f7 << (64 - u32::from(k))).to_be_bytes()[..usize::from(k).div_ceil(8)].to_vec();
            let mut bytes: Vec<u8> = checkpoints.into_iter().flat_map(entry).collect();
            bytes.extend(entry(&0));
            bytes.resize(bytes.len() + shape.padding as usize, 0);
            let length = bytes.len() as u64;
            plot.extents.insert(at, bytes);
            at += length;
        }

        pointers.push(at);
        plot.size = at;
        for (index, deltas) in shape.c3.iter().filter(|(_, deltas)| deltas.len() >= 3) {
            let park = encode_c3_park(k, deltas).unwrap();
            let offset = at + index * c3_park_bytes(k) as u64;
            plot.size = offset + park.len() as u64;
            plot.extents.insert(offset, park);
        }

        let mut header = Vec::new();
        if level == 0 {
            header.extend(b"Proof of Space Plot");
            header.extend(golden.plot_id.0);
            header.extend([k, 0, 4]);
            header.extend(b"v1.0\x00\x70");
            header.extend([7; 112]);
        } else {
            header.extend(b"PLOT\x02\x00\x00\x00");
            header.extend(golden.plot_id.0);
            header.extend([k, 0, 112]);
            header.extend([7; 112]);
            header.extend([1, 0, 0, 0, level]);
        }
        header.extend(pointers.iter().flat_map(|pointer: &u64| pointer.to_be_bytes()));
        plot.extents.insert(0, header);
        plot
    }

    /// The plot with its holes as zeros.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.size as usize];
        for (offset, extent) in &self.extents {
            bytes[*offset as usize..][..extent.len()].copy_from_slice(extent);
        }
        bytes
    }

    pub(super) fn take_reads(&self) -> usize {
        self.reads.take().len()
    }
}

impl ReadAt for TestPlot {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.reads.borrow_mut().push(offset);
        let end = offset + buf.len() as u64;
        if end > self.size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if self
            .broken
            .as_ref()
            .is_some_and(|broken| offset < broken.end && broken.start < end)
        {
            return Err(io::Error::other("medium error"));
        }
        buf.fill(0);
        for (start, extent) in &self.extents {
            let (from, to) = (offset.max(*start), end.min(start + extent.len() as u64));
            if from < to {
                let piece = &extent[(from - start) as usize..(to - start) as usize];
                buf[(from - offset) as usize..(to - offset) as usize].copy_from_slice(piece);
            }
        }
        Ok(())
    }

    fn size(&self) -> u64 {
        self.size
    }

    fn read_batch(&self, requests: &mut [ReadRequest<'_>]) -> io::Result<()> {
        self.batches.borrow_mut().push(requests.len());
        requests
            .iter_mut()
            .try_for_each(|request| self.read_exact_at(request.buf, request.offset))
    }
}
