//! What a plot to be made needs of the machine, and what the machine has.

use std::path::Path;
use std::{fs, io};

use super::PlotFormat;
use crate::pos::v1::{MIN_K, plotter};
use crate::pos::v2;
use crate::units::ByteSize;

impl PlotFormat {
    /// Bytes that the file has at most.
    #[must_use]
    pub fn file_size(self) -> ByteSize {
        match self {
            // k18 to k22 have 78 to 82 % of (2k + 1) · 2^(k − 1).
            Self::V1 { k } => ByteSize((2 * u64::from(k) + 1) * (entries(k) / 2) / 100 * 90),
            // 19.5 bits an entry at k18, 29.5 at k28.
            Self::V2(v2) => ByteSize((u64::from(v2.k) + 2) * (entries(v2.k) / 8)),
        }
    }

    /// Memory that making it takes, measured up to k21 (v1) and k28 (v2), beyond that reckoned.
    #[must_use]
    pub fn memory(self) -> ByteSize {
        let for_each_entry = match self {
            Self::V1 { .. } => 170,
            Self::V2(_) => 50,
        };
        ByteSize(for_each_entry * entries(self.k()) + PROGRAM_BYTES)
    }

    /// The processor's feature that making it needs and this one lacks.
    #[must_use]
    pub fn missing_cpu_feature(self) -> Option<&'static str> {
        match self {
            Self::V1 { .. } => None,
            Self::V2(_) => (!has_aes()).then_some("AES instructions"),
        }
    }
}

/// Sizes of v1 plots that are made here.
pub const V1_SIZES: std::ops::RangeInclusive<u8> = MIN_K..=plotter::MAX_K;

/// Sizes of v2 plots that are made here, even ones only.
pub const V2_SIZES: std::ops::RangeInclusive<u8> = v2::LIBRARY_K;

/// Memory that programs can have without harm to others, as the system says; `None` where it does not say.
#[must_use]
pub fn available_memory() -> Option<ByteSize> {
    let said = fs::read_to_string("/proc/meminfo").ok()?;
    let line = said.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(ByteSize(kibibytes.saturating_mul(1024)))
}

/// Bytes that the file system of a directory, or of the nearest one above it that exists, has room for.
///
/// # Errors
/// The file system's.
pub fn free_space(directory: &Path) -> io::Result<ByteSize> {
    let exists = directory.ancestors().find(|path| path.exists());
    let there = exists
        .filter(|path| !path.as_os_str().is_empty())
        .unwrap_or_else(|| Path::new("."));
    let space = rustix::fs::statvfs(there)?;
    Ok(ByteSize(space.f_bavail.saturating_mul(space.f_frsize)))
}

/// About 2^k.
fn entries(k: u8) -> u64 {
    1_u64.checked_shl(k.into()).unwrap_or(u64::MAX / 1024)
}

#[cfg(target_arch = "x86_64")]
fn has_aes() -> bool {
    std::arch::is_x86_feature_detected!("aes")
}

#[cfg(target_arch = "aarch64")]
fn has_aes() -> bool {
    std::arch::is_aarch64_feature_detected!("aes")
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn has_aes() -> bool {
    true
}

/// Memory of the program itself.
const PROGRAM_BYTES: u64 = 16 << 20;
