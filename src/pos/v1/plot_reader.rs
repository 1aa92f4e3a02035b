//! Reads of one plot, each checked against the size of the file and labelled with the part it belongs to.

use crate::pos::plot_error::{PlotError, PlotPart};
use crate::pos::read_at::{ReadAt, ReadRequest};

/// A plot being read. Cheap to make: one for each look-up.
pub(super) struct PlotReader<'a, R: ?Sized> {
    reader: &'a R,
    size: u64,
}

impl<'a, R: ReadAt + ?Sized> PlotReader<'a, R> {
    pub(super) fn new(reader: &'a R) -> Self {
        Self {
            reader,
            size: reader.size(),
        }
    }

    /// The error for a part that goes on after the end of the file.
    pub(super) fn cut_off(&self, part: PlotPart) -> PlotError {
        PlotError::CutOff {
            part,
            end: self.size.saturating_add(1),
            size: self.size,
        }
    }

    /// The `length` bytes from `offset` on.
    pub(super) fn read(&self, part: PlotPart, offset: u64, length: usize) -> Result<Vec<u8>, PlotError> {
        self.check(part, offset, length)?;
        let mut bytes = vec![0; length];
        self.reader
            .read_exact_at(&mut bytes, offset)
            .map_err(|error| PlotError::Unreadable { part, error })?;
        Ok(bytes)
    }

    /// The bytes from `offset` on, `length` of them or as many as the file has.
    pub(super) fn read_up_to(&self, part: PlotPart, offset: u64, length: usize) -> Result<Vec<u8>, PlotError> {
        let available = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        self.read(part, offset.min(self.size), length.min(available))
    }

    /// `length` bytes from each of the offsets on, one after the other, all read in one batch. Uses the memory of `buffer`.
    pub(super) fn read_each(
        &self,
        part: PlotPart,
        offsets: &[u64],
        length: usize,
        buffer: Vec<u8>,
    ) -> Result<Vec<u8>, PlotError> {
        if let Some(last) = offsets.iter().max() {
            self.check(part, *last, length)?;
        }
        let needed = offsets.len() * length;
        // A buffer that had to grow would be copied.
        let mut bytes = if buffer.capacity() < needed { Vec::new() } else { buffer };
        bytes.resize(needed, 0);
        let read = match offsets {
            [offset] => {
                let (offset, buf) = (*offset, &mut bytes[..]);
                self.reader.read_batch(&mut [ReadRequest { offset, buf }])
            }
            _ => {
                let mut requests: Vec<_> = offsets
                    .iter()
                    .zip(bytes.chunks_exact_mut(length))
                    .map(|(offset, buf)| ReadRequest { offset: *offset, buf })
                    .collect();
                requests.sort_unstable_by_key(|request| request.offset);
                self.reader.read_batch(&mut requests)
            }
        };
        read.map_err(|error| PlotError::Unreadable { part, error })?;
        Ok(bytes)
    }

    fn check(&self, part: PlotPart, offset: u64, length: usize) -> Result<(), PlotError> {
        check(part, offset, length, self.size)
    }
}

/// That all tables begin within the file of `size` bytes.
pub(super) fn check_pointers(table_pointers: &[u64; 10], size: u64) -> Result<(), PlotError> {
    let tables = (1..=7)
        .map(PlotPart::Table)
        .chain([PlotPart::C1, PlotPart::C2, PlotPart::C3]);
    tables
        .zip(table_pointers)
        .try_for_each(|(part, pointer)| check(part, *pointer, 1, size))
}

fn check(part: PlotPart, offset: u64, length: usize, size: u64) -> Result<(), PlotError> {
    let end = offset.saturating_add(length as u64);
    if end > size {
        return Err(PlotError::CutOff { part, end, size });
    }
    Ok(())
}
