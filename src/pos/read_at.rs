//! Reading at a place: all that proving needs of a plot file. Implemented for bytes in memory here, for files in the ring
//! that may touch them.

use std::io;

/// Something of a fixed size that can be read at any place, by several readers at once.
pub trait ReadAt {
    /// Fills `buf` with the bytes from `offset` on.
    ///
    /// # Errors
    /// Any of the medium; `UnexpectedEof` if there are fewer bytes.
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()>;

    /// Size in bytes.
    fn size(&self) -> u64;

    /// Fills all requests, which come in ascending order of offset and do not depend on each other: an implementation
    /// may serve them at the same time.
    ///
    /// # Errors
    /// As [`read_exact_at`](Self::read_exact_at), for the first request that fails.
    fn read_batch(&self, requests: &mut [ReadRequest<'_>]) -> io::Result<()> {
        requests
            .iter_mut()
            .try_for_each(|request| self.read_exact_at(request.buf, request.offset))
    }
}

/// One of several independent reads.
#[derive(Debug)]
pub struct ReadRequest<'a> {
    /// Where to read.
    pub offset: u64,
    /// What to fill.
    pub buf: &'a mut [u8],
}

impl ReadAt for [u8] {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let bytes = usize::try_from(offset)
            .ok()
            .and_then(|start| self.get(start..start.checked_add(buf.len())?))
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        buf.copy_from_slice(bytes);
        Ok(())
    }

    fn size(&self) -> u64 {
        self.len() as u64
    }
}

impl ReadAt for Vec<u8> {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.as_slice().read_exact_at(buf, offset)
    }

    fn size(&self) -> u64 {
        self.as_slice().size()
    }
}

impl<R: ReadAt + ?Sized> ReadAt for &R {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        (**self).read_exact_at(buf, offset)
    }

    fn size(&self) -> u64 {
        (**self).size()
    }

    fn read_batch(&self, requests: &mut [ReadRequest<'_>]) -> io::Result<()> {
        (**self).read_batch(requests)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_are_exact_or_fail() {
        let bytes: &[u8] = &[1, 2, 3, 4];
        let mut buf = [0; 2];
        bytes.read_exact_at(&mut buf, 2).unwrap();
        assert_eq!(buf, [3, 4]);
        for offset in [3, 5, u64::MAX] {
            assert_eq!(
                bytes.read_exact_at(&mut buf, offset).unwrap_err().kind(),
                io::ErrorKind::UnexpectedEof
            );
        }
        bytes.read_exact_at(&mut [], 4).unwrap();
        assert_eq!(bytes.to_vec().size(), 4);
    }

    #[test]
    fn a_batch_fills_every_request() {
        let bytes = vec![1, 2, 3, 4];
        let (mut first, mut second) = ([0; 1], [0; 2]);
        let mut requests = [
            ReadRequest {
                offset: 0,
                buf: &mut first,
            },
            ReadRequest {
                offset: 1,
                buf: &mut second,
            },
        ];
        bytes.read_batch(&mut requests).unwrap();
        assert_eq!((first, second), ([1], [2, 3]));
    }
}
