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

/// What of a header proving needs. It has no memo, so it can be kept: it holds no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableHeader {
    /// Format of the file.
    pub version: HeaderVersion,
    /// Id of the plot.
    pub plot_id: PlotId,
    /// Table entries are about 2^k; 18 to 50.
    pub k: u8,
    /// Offsets of the tables, see [`PlotHeader::table_pointers`].
    pub table_pointers: [u64; 10],
}

impl PlotHeader {
    /// The header without its memo.
    #[must_use]
    pub const fn tables(&self) -> TableHeader {
        TableHeader {
            version: self.version,
            plot_id: self.plot_id,
            k: self.k,
            table_pointers: self.table_pointers,
        }
    }

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

impl TableHeader {
    /// How much the plot is compressed; 0 is not at all.
    #[must_use]
    pub const fn compression_level(&self) -> u8 {
        match self.version {
            HeaderVersion::V2Compressed { level } => level,
            HeaderVersion::V1 | HeaderVersion::Pos2 { .. } => 0,
        }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Headers as the official plotters write them (chiapos 2.0.12 for a plotNFT, chia_rs 0.48 for a pool key), but for
    /// the secret, which is 0x11 everywhere. Of the pos2 header 8 more bytes follow.
    const CLASSIC: &str = "50726f6f66206f6620537061636520506c6f74d4437e97144868cc2b90c056c632a8485afb8cdcc3104c331fbac5cfa4cf22\
        b512000476312e3000706df666f559c31d185c1e0f046e5b819d8dc721b15b3bd7a5b1222c1c2063c4928c4237642213c27b\
        74ce8dfe98cf8c7807790eaba9d39dc8a7018f038df4aed82058ae6267bd155b84b9fb7bd189d94211111111111111111111\
        1111111111111111111111111111111111111111111100000000000000fc0000000000084c2700000000000fbf4300000000\
        0017325f00000000001eca83000000000026bf3b00000000002feeb70000000000395bb70000000000395c08000000000039\
        5c0e";
    const POS2: &str = "706f733201890126c9ed7053100b952e537d2b2f7c028c8f44c63299f730ea930d1c6aa24b1403000000809488510418c12b\
        854226f5cd7b79dad7d9aba7669885032c5b41ac404ba38fd6c28bde11a0e574090bfe311e4f9857088c4237642213c27b74\
        ce8dfe98cf8c7807790eaba9d39dc8a7018f038df4aed82058ae6267bd155b84b9fb7bd189d9421111111111111111111111\
        1111111111111111111111111111111111111111111000000000000000";

    const FARMER: &str =
        "8c4237642213c27b74ce8dfe98cf8c7807790eaba9d39dc8a7018f038df4aed82058ae6267bd155b84b9fb7bd189d942";
    const POOL: &str =
        "9488510418c12b854226f5cd7b79dad7d9aba7669885032c5b41ac404ba38fd6c28bde11a0e574090bfe311e4f985708";
    const CONTRACT: &str = "6df666f559c31d185c1e0f046e5b819d8dc721b15b3bd7a5b1222c1c2063c492";
    const POINTERS: [u64; 10] = [
        0xfc, 0x84c27, 0xfbf43, 0x17325f, 0x1eca83, 0x26bf3b, 0x2feeb7, 0x395bb7, 0x395c08, 0x395c0e,
    ];

    fn memo(pool: PlotPool) -> PlotMemo {
        PlotMemo {
            pool,
            farmer_public_key: FARMER.parse().unwrap(),
            local_master_sk: Zeroizing::new([0x11; 32]),
        }
    }

    fn classic() -> Vec<u8> {
        hex::decode(CLASSIC).unwrap()
    }

    /// The classic header in the format of bladebit 3, as the chiapos source reads it.
    fn compressed(flags: u32, level: &[u8]) -> Vec<u8> {
        let classic = classic();
        let mut bytes = b"PLOT\x02\x00\x00\x00".to_vec();
        bytes.extend_from_slice(&classic[19..52]);
        bytes.extend_from_slice(&classic[58..172]);
        bytes.extend_from_slice(&flags.to_le_bytes());
        bytes.extend_from_slice(level);
        bytes.extend_from_slice(&classic[172..]);
        bytes
    }

    #[test]
    fn official_headers_are_understood() {
        let classic = PlotHeader::parse(&classic()).unwrap();
        let expected = PlotHeader {
            version: HeaderVersion::V1,
            plot_id: "d4437e97144868cc2b90c056c632a8485afb8cdcc3104c331fbac5cfa4cf22b5"
                .parse()
                .unwrap(),
            k: 18,
            memo: memo(PlotPool::Contract(CONTRACT.parse().unwrap())),
            table_pointers: POINTERS,
        };
        assert_eq!(classic, expected);

        let pos2 = PlotHeader::parse(&hex::decode(POS2).unwrap()).unwrap();
        let expected = PlotHeader {
            version: HeaderVersion::Pos2 {
                strength: 3,
                plot_index: 0,
                meta_group: 0,
            },
            plot_id: "890126c9ed7053100b952e537d2b2f7c028c8f44c63299f730ea930d1c6aa24b"
                .parse()
                .unwrap(),
            k: 20,
            memo: memo(PlotPool::PublicKey(POOL.parse().unwrap())),
            table_pointers: [0; 10],
        };
        assert_eq!(pos2, expected);
    }

    #[test]
    fn compressed_header_is_a_classic_one_with_a_level() {
        let classic = PlotHeader::parse(&classic()).unwrap();
        for (flags, level, expected) in [(1, &[7][..], 7), (0, &[], 0), (0x8000_0001, &[0], 0)] {
            let header = PlotHeader::parse(&compressed(flags, level)).unwrap();
            assert_eq!(
                header,
                PlotHeader {
                    version: HeaderVersion::V2Compressed { level: expected },
                    ..classic.clone()
                }
            );
        }
    }

    #[test]
    fn every_missing_byte_is_noticed() {
        for header in [classic(), compressed(1, &[3]), hex::decode(&POS2[..342]).unwrap()] {
            assert!(PlotHeader::parse(&header).is_ok());
            for length in 19..header.len() {
                let failed = PlotHeader::parse(&header[..length]);
                assert!(
                    matches!(failed, Err(PlotError::CutOff { part: PlotPart::Header, size, .. }) if size == length as u64)
                );
            }
        }
    }

    #[test]
    fn other_formats_are_refused_by_name() {
        let altered = |header: &[u8], at: usize, byte: u8| {
            let mut header = header.to_vec();
            header[at] = byte;
            PlotHeader::parse(&header).unwrap_err().to_string()
        };
        assert_eq!(
            altered(&classic(), 57, b'1'),
            "plot format v1 \"v1.1\" is not supported"
        );
        assert_eq!(altered(&classic(), 53, 5), "plot format v1 \"v1.0\" is not supported");
        assert_eq!(
            altered(&compressed(0, &[]), 4, 3),
            "plot format PLOT 3 is not supported"
        );
        assert_eq!(
            altered(&hex::decode(POS2).unwrap(), 4, 2),
            "plot format pos2 2 is not supported"
        );
        assert_eq!(altered(&classic(), 51, 17), "plot header has k 17, outside of 18 to 50");
        assert!(altered(&classic(), 59, 0x80).starts_with("the plot's header needs"));
        assert!(altered(&classic(), 58, 1).starts_with("plot memo has 368 bytes"));
        assert_eq!(
            PlotHeader::parse(&b"pos"[..]).unwrap_err().to_string(),
            "not a plot file: it begins with 706f73"
        );
        assert!(matches!(PlotHeader::parse(&[][..]), Err(PlotError::NotAPlot { .. })));
    }

    #[test]
    fn memo_prints_without_its_secret() {
        let printed = format!("{:?}", memo(PlotPool::Contract(PuzzleHash([0xcc; 32]))));
        assert!(printed.contains(FARMER) && printed.contains("cccc"), "{printed}");
        assert!(
            !printed.contains("11, 17") && !printed.contains("17, 17") && !printed.contains("1111"),
            "{printed}"
        );
    }

    proptest! {
        #[test]
        fn memos_round_trip(bytes in prop_oneof![prop::collection::vec(any::<u8>(), 112), prop::collection::vec(any::<u8>(), 128)]) {
            prop_assert_eq!(&*PlotMemo::from_bytes(&bytes).unwrap().to_bytes(), &bytes);
        }

        #[test]
        fn memos_of_other_lengths_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assume!(bytes.len() != 112 && bytes.len() != 128);
            let refused = PlotMemo::from_bytes(&bytes);
            prop_assert!(matches!(refused, Err(PlotError::MemoLength { got }) if got == bytes.len()), "not refused");
        }

        #[test]
        fn no_bytes_panic(
            start in prop::sample::select(vec![vec![], classic(), compressed(1, &[5]), hex::decode(POS2).unwrap()]),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
            end in prop::collection::vec(any::<u8>(), 0..300),
            keep in any::<prop::sample::Index>(),
        ) {
            let mut bytes = start;
            bytes.truncate(keep.index(bytes.len() + 1));
            bytes.extend(end);
            for (at, byte) in changes {
                if !bytes.is_empty() {
                    let at = at.index(bytes.len());
                    bytes[at] = byte;
                }
            }
            if let Ok(header) = PlotHeader::parse(&bytes) {
                prop_assert!((MIN_K..=MAX_K).contains(&header.k));
            }
        }
    }
}
