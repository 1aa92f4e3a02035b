//! Headers of plot files: which format, whose plot, where its tables are.
//!
//! Three formats are known: classic v1 plots (chiapos), compressed v1 plots (bladebit 3) and v2 plots (pos2). Every byte
//! may be hostile; what is parsed here has a usable k and memo, but the table pointers are as the file has them.

use std::fmt;

use zeroize::Zeroizing;

use super::plot_error::{PlotError, PlotPart};
use super::read_at::ReadAt;
use super::v1::{MAX_K, MIN_K};
use crate::ids::{PlotId, PuzzleHash};
use crate::wire::{G1Bytes, PlotPool};

/// Header of a plot file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlotHeader {
    /// Format of the file.
    pub version: HeaderVersion,
    /// Id of the plot.
    pub plot_id: PlotId,
    /// Table entries are about 2^k; 18 to 50.
    pub k: u8,
    /// Whose plot it is.
    pub memo: PlotMemo,
    /// Offsets of the tables 1 to 7, C1, C2 and C3 of a v1 plot, in this order, not checked; all 0 for pos2.
    pub table_pointers: [u64; 10],
}

/// Format of a plot file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderVersion {
    /// Classic v1 plot.
    V1,
    /// v1 plot as bladebit 3 writes it.
    V2Compressed {
        /// Compression level; 0 is a plot without compression in this format.
        level: u8,
    },
    /// v2 plot, pos2 file format 1.
    Pos2 {
        /// Plot strength.
        strength: u8,
        /// Number of the plot in its group.
        plot_index: u16,
        /// Number of the plot's group among those that share a meta plot.
        meta_group: u8,
    },
}

impl PlotHeader {
    /// Reads and parses the header of `reader`, with one read of at most 268 bytes.
    ///
    /// # Errors
    /// [`PlotError`] says what in the header is wrong, or that it could not be read.
    pub fn parse(reader: &(impl ReadAt + ?Sized)) -> Result<Self, PlotError> {
        let size = reader.size();
        // It holds the secret key of the memo.
        let mut bytes = Zeroizing::new(vec![
            0;
            MAX_HEADER_BYTES.min(usize::try_from(size).unwrap_or(usize::MAX))
        ]);
        let unreadable = |error| PlotError::Unreadable {
            part: PlotPart::Header,
            error,
        };
        reader.read_exact_at(&mut bytes, 0).map_err(unreadable)?;
        Self::from_bytes(&bytes, size)
    }

    /// `begin`: the first bytes of a file of `size` bytes.
    fn from_bytes(begin: &[u8], size: u64) -> Result<Self, PlotError> {
        let mut fields = Fields {
            rest: begin,
            taken: 0,
            size,
        };
        if begin.starts_with(CLASSIC_MAGIC) {
            fields.take(CLASSIC_MAGIC.len())?;
            Self::parse_classic(fields)
        } else if begin.starts_with(COMPRESSED_MAGIC) {
            fields.take(COMPRESSED_MAGIC.len())?;
            Self::parse_compressed(fields)
        } else if begin.starts_with(POS2_MAGIC) {
            fields.take(POS2_MAGIC.len())?;
            Self::parse_pos2(fields)
        } else {
            Err(PlotError::NotAPlot {
                begin: begin.iter().take(CLASSIC_MAGIC.len()).copied().collect(),
            })
        }
    }

    fn parse_classic(mut fields: Fields<'_>) -> Result<Self, PlotError> {
        let plot_id = PlotId(fields.array()?);
        let k = fields.k()?;
        let length = u16::from_be_bytes(fields.array()?);
        let format = fields.take(usize::from(length).min(CLASSIC_FORMAT.len()))?;
        if usize::from(length) != CLASSIC_FORMAT.len() || format != CLASSIC_FORMAT {
            return Err(PlotError::UnsupportedFormat {
                format: format!("v1 {:?}", String::from_utf8_lossy(format)),
            });
        }
        let memo = u16::from_be_bytes(fields.array()?);
        let memo = fields.memo(usize::from(memo))?;
        let table_pointers = fields.table_pointers()?;
        Ok(Self {
            version: HeaderVersion::V1,
            plot_id,
            k,
            memo,
            table_pointers,
        })
    }

    fn parse_compressed(mut fields: Fields<'_>) -> Result<Self, PlotError> {
        let version = u32::from_le_bytes(fields.array()?);
        if version != COMPRESSED_VERSION {
            return Err(PlotError::UnsupportedFormat {
                format: format!("PLOT {version}"),
            });
        }
        let plot_id = PlotId(fields.array()?);
        let k = fields.k()?;
        let memo = u16::from_be_bytes(fields.array()?);
        let memo = fields.memo(usize::from(memo))?;
        let flags = u32::from_le_bytes(fields.array()?);
        let level = if flags & COMPRESSED_FLAG == 0 {
            0
        } else {
            fields.byte()?
        };
        let table_pointers = fields.table_pointers()?;
        Ok(Self {
            version: HeaderVersion::V2Compressed { level },
            plot_id,
            k,
            memo,
            table_pointers,
        })
    }

    fn parse_pos2(mut fields: Fields<'_>) -> Result<Self, PlotError> {
        let version = fields.byte()?;
        if version != POS2_VERSION {
            return Err(PlotError::UnsupportedFormat {
                format: format!("pos2 {version}"),
            });
        }
        let plot_id = PlotId(fields.array()?);
        let k = fields.k()?;
        let strength = fields.byte()?;
        let plot_index = u16::from_le_bytes(fields.array()?);
        let meta_group = fields.byte()?;
        let memo = fields.byte()?;
        let memo = fields.memo(usize::from(memo))?;
        let version = HeaderVersion::Pos2 {
            strength,
            plot_index,
            meta_group,
        };
        Ok(Self {
            version,
            plot_id,
            k,
            memo,
            table_pointers: [0; 10],
        })
    }
}

/// What the owner of a plot wrote into it: who farms it, who is paid, and the plot's own secret. Prints without the secret.
#[derive(Clone, PartialEq, Eq)]
pub struct PlotMemo {
    /// Pool public key, or puzzle hash of the pool contract.
    pub pool: PlotPool,
    /// Key of the farmer.
    pub farmer_public_key: G1Bytes,
    /// Master secret key of the plot, from which its local key is derived.
    pub local_master_sk: Zeroizing<[u8; 32]>,
}

impl PlotMemo {
    /// Parses a memo of 128 bytes (pool public key) or 112 bytes (pool contract). Keys are not checked.
    ///
    /// # Errors
    /// [`PlotError::MemoLength`] for any other number of bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PlotError> {
        let got = bytes.len();
        let wrong_length = || PlotError::MemoLength { got };
        let (pool, rest) = match got {
            PUBLIC_KEY_MEMO_BYTES => {
                let (key, rest) = bytes.split_first_chunk().ok_or_else(wrong_length)?;
                (PlotPool::PublicKey(G1Bytes(*key)), rest)
            }
            CONTRACT_MEMO_BYTES => {
                let (puzzle_hash, rest) = bytes.split_first_chunk().ok_or_else(wrong_length)?;
                (PlotPool::Contract(PuzzleHash(*puzzle_hash)), rest)
            }
            _ => return Err(wrong_length()),
        };
        let (farmer_public_key, rest) = rest.split_first_chunk().ok_or_else(wrong_length)?;
        let local_master_sk = rest.first_chunk().ok_or_else(wrong_length)?;
        Ok(Self {
            pool,
            farmer_public_key: G1Bytes(*farmer_public_key),
            local_master_sk: Zeroizing::new(*local_master_sk),
        })
    }

    /// The memo as it is in a plot file. Contains the secret.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(PUBLIC_KEY_MEMO_BYTES));
        match &self.pool {
            PlotPool::PublicKey(key) => bytes.extend_from_slice(&key.0),
            PlotPool::Contract(puzzle_hash) => bytes.extend_from_slice(&puzzle_hash.0),
        }
        bytes.extend_from_slice(&self.farmer_public_key.0);
        bytes.extend_from_slice(&*self.local_master_sk);
        bytes
    }
}

impl fmt::Debug for PlotMemo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlotMemo")
            .field("pool", &self.pool)
            .field("farmer_public_key", &self.farmer_public_key)
            .finish_non_exhaustive()
    }
}

/// The fields of a header, taken one after the other.
struct Fields<'a> {
    rest: &'a [u8],
    taken: u64,
    size: u64,
}

impl<'a> Fields<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], PlotError> {
        let end = self.taken + length as u64;
        let cut_off = PlotError::CutOff {
            part: PlotPart::Header,
            end,
            size: self.size,
        };
        let (field, rest) = self.rest.split_at_checked(length).ok_or(cut_off)?;
        (self.rest, self.taken) = (rest, end);
        Ok(field)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], PlotError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn byte(&mut self) -> Result<u8, PlotError> {
        self.array().map(|[byte]| byte)
    }

    fn k(&mut self) -> Result<u8, PlotError> {
        let k = self.byte()?;
        if (MIN_K..=MAX_K).contains(&k) {
            Ok(k)
        } else {
            Err(PlotError::KOutOfRange { k })
        }
    }

    fn memo(&mut self, length: usize) -> Result<PlotMemo, PlotError> {
        // Before taking: a wrong length may well be longer than the file.
        if length != PUBLIC_KEY_MEMO_BYTES && length != CONTRACT_MEMO_BYTES {
            return Err(PlotError::MemoLength { got: length });
        }
        PlotMemo::from_bytes(self.take(length)?)
    }

    fn table_pointers(&mut self) -> Result<[u64; 10], PlotError> {
        let mut pointers = [0; 10];
        for pointer in &mut pointers {
            *pointer = u64::from_be_bytes(self.array()?);
        }
        Ok(pointers)
    }
}

const CLASSIC_MAGIC: &[u8] = b"Proof of Space Plot";
const CLASSIC_FORMAT: &[u8] = b"v1.0";
const COMPRESSED_MAGIC: &[u8] = b"PLOT";
const COMPRESSED_VERSION: u32 = 2;
/// Flag in a compressed plot's header: the compression level follows.
const COMPRESSED_FLAG: u32 = 1;
const POS2_MAGIC: &[u8] = b"pos2";
/// The file format that chia-pos2 0.6.0 reads; that of 1.0.0 is another.
const POS2_VERSION: u8 = 1;

const PUBLIC_KEY_MEMO_BYTES: usize = 48 + 48 + 32;
const CONTRACT_MEMO_BYTES: usize = 32 + 48 + 32;

/// A classic header with the longer memo: magic, id, k, format, memo, pointers.
const MAX_HEADER_BYTES: usize = 19 + 32 + 1 + (2 + 4) + (2 + PUBLIC_KEY_MEMO_BYTES) + 80;
