//! What a person saw of the farm when they looked last, kept in the root from one console to the next.

use std::path::Path;

use farmconsole::config::files::{FileMode, PRIVATE_FILE, replace_file};
use farmconsole::snapshot::FarmSnapshot;
use serde::{Deserialize, Serialize};

/// The few numbers that a later look is compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LastLook {
    /// When, unix milliseconds.
    pub(crate) at_unix_ms: u64,
    /// When the farmer that was looked at had started; its counters began then.
    pub(crate) started_at_unix_ms: u64,
    /// Connected harvesters.
    pub(crate) connected: u64,
    /// Plots.
    pub(crate) plots: u64,
    /// Blocks signed since the farmer started.
    pub(crate) blocks: u64,
    /// Proofs since the farmer started.
    pub(crate) proofs: u64,
    /// Signage points missed since the farmer started.
    pub(crate) missed: u64,
}

impl LastLook {
    /// At this picture.
    pub(super) fn at(farm: &FarmSnapshot) -> Self {
        Self {
            at_unix_ms: farm.taken_at_unix_ms,
            started_at_unix_ms: farm.started_at_unix_ms,
            connected: farm.totals.connected,
            plots: farm.totals.plots,
            blocks: farm.wins.blocks_signed,
            proofs: farm.wins.proofs,
            missed: farm.signage_points.missed,
        }
    }

    /// What was kept, if anything was and can be read. Nothing depends on it.
    pub(crate) fn load(path: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(path).ok()?).ok()
    }

    /// Keeps it for the next console.
    ///
    /// # Errors
    /// Whatever the file system answers.
    pub(crate) fn store(self, path: &Path) -> std::io::Result<()> {
        let text = serde_json::to_vec(&self)?;
        replace_file(path, &text, FileMode::Exactly(PRIVATE_FILE))
    }

    /// Whether there is anything to tell to somebody who opens a console on `farm`.
    pub(super) fn is_news(&self, farm: &FarmSnapshot) -> bool {
        let later = |at: u64| at > self.at_unix_ms;
        farm.taken_at_unix_ms.saturating_sub(self.at_unix_ms) >= SHORT_MS
            && (later(farm.started_at_unix_ms)
                || farm.alarms.iter().any(|a| later(a.opened_at_unix_ms))
                || farm
                    .alarm_history
                    .iter()
                    .any(|a| a.closed_at_unix_ms.is_some_and(later))
                || farm.totals.plots < self.plots
                || farm.totals.connected < self.connected
                || farm.wins.last_block_unix_ms.is_some_and(later))
    }
}

/// Somebody who was gone that briefly remembers.
const SHORT_MS: u64 = 60_000;

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn what_was_seen_is_kept_and_is_no_news() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("last-look.json");
        assert_eq!(LastLook::load(&path), None);
        let farm = samples::many();
        let look = LastLook::at(&farm);
        look.store(&path).unwrap();
        assert_eq!(LastLook::load(&path), Some(look));

        let mut later = farm;
        later.taken_at_unix_ms += 3_600_000;
        later.wins.last_block_unix_ms = None;
        assert!(!look.is_news(&later));
        later.totals.plots -= 1;
        assert!(look.is_news(&later));
        later.taken_at_unix_ms = look.at_unix_ms + 5_000;
        assert!(!look.is_news(&later), "five seconds later");
    }
}
