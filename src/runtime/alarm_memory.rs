//! What people have said about alarms, in a small file of its own: it must survive a restart whatever becomes of the
//! history.

use std::path::{Path, PathBuf};

use tokio::sync::watch;

use crate::config::files::{FileMode, PRIVATE_FILE, read_limited, replace_file};
use crate::snapshot::AlarmMemory;

/// A few silences and a few hundred incidents.
const LARGEST: u64 = 1 << 20;

/// What the file says; nothing if there is none. One that cannot be read is told of and replaced with the next change:
/// silence that nobody remembers is no reason not to farm.
pub(super) fn load(file: &Path) -> AlarmMemory {
    let read = match read_limited(file, LARGEST) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(std::io::Error::from),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(AlarmMemory::default()),
        Err(error) => Err(error),
    };
    read.unwrap_or_else(|error| {
        tracing::warn!(target: "farmer", "read {}: {error}; no alarm is silenced", file.display());
        AlarmMemory::default()
    })
}

/// Writes what is to be kept, the newest if several came at once, until nobody says anything any more.
pub(super) async fn keep(file: PathBuf, mut memory: watch::Receiver<Option<Box<AlarmMemory>>>) {
    while memory.changed().await.is_ok() {
        let Some(newest) = memory.borrow_and_update().clone() else {
            continue;
        };
        let file = file.clone();
        let written = tokio::task::spawn_blocking(move || write(&file, &newest)).await;
        if let Err(error) = written.unwrap_or(Ok(())) {
            tracing::warn!(target: "farmer", "keep what is known of alarms: {error}");
        }
    }
}

fn write(file: &Path, memory: &AlarmMemory) -> std::io::Result<()> {
    let bytes = serde_json::to_vec_pretty(memory).map_err(std::io::Error::from)?;
    replace_file(file, &bytes, FileMode::Exactly(PRIVATE_FILE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Silence;

    #[tokio::test]
    async fn what_is_kept_is_loaded_again_and_nonsense_is_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("alarm-memory.json");
        assert_eq!(load(&file), AlarmMemory::default());
        let memory = AlarmMemory {
            silences: vec![Silence {
                machine: Some("barn".to_owned()),
                ..Silence::default()
            }],
            ..AlarmMemory::default()
        };
        let (sender, receiver) = watch::channel(None);
        sender.send_replace(Some(Box::new(memory.clone())));
        let mut receiver = receiver;
        receiver.mark_changed();
        drop(sender);
        keep(file.clone(), receiver).await;
        assert_eq!(load(&file), memory);
        std::fs::write(&file, "nonsense").unwrap();
        assert_eq!(load(&file), AlarmMemory::default());
    }
}
