//! What people have said about alarms, in a small file of its own: it must survive a restart whatever becomes of the
//! history.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use crate::config::files::{FileMode, PRIVATE_FILE, read_limited, replace_file};
use crate::handle::{Said, Written};
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

/// Writes what is to be kept, the newest if several came at once, until nobody says anything any more. What a disk did
/// not take is tried again.
pub(super) async fn keep(file: PathBuf, mut said: watch::Receiver<Said>, written: watch::Sender<Written>) {
    let mut trouble: Option<String> = None;
    while is_more(&mut said, trouble.is_some()).await {
        let Said { number, memory } = said.borrow_and_update().clone();
        let Some(newest) = memory else { continue };
        let to = file.clone();
        let result = tokio::task::spawn_blocking(move || write(&to, &newest)).await;
        let error = result.unwrap_or(Ok(())).err();
        let before = std::mem::replace(&mut trouble, error.map(|it| format!("write {}: {it}", file.display())));
        if let Some(why) = &trouble
            && before != trouble
        {
            tracing::warn!(target: "farmer", "keep what is known of alarms: {why}; trying again");
        }
        let trouble = trouble.clone();
        written.send_replace(Written { number, trouble });
    }
}

/// Waits until there is something to write; not if nothing will come any more.
async fn is_more(said: &mut watch::Receiver<Said>, again: bool) -> bool {
    if again {
        timeout(RETRY, said.changed()).await.unwrap_or(Ok(())).is_ok()
    } else {
        said.changed().await.is_ok()
    }
}

/// A full disk is given room by a person, who takes minutes.
const RETRY: Duration = Duration::from_secs(60);

fn write(file: &Path, memory: &AlarmMemory) -> std::io::Result<()> {
    let bytes = serde_json::to_vec_pretty(memory).map_err(std::io::Error::from)?;
    replace_file(file, &bytes, FileMode::Exactly(PRIVATE_FILE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handle::AlarmsKept;
    use crate::snapshot::Silence;

    #[tokio::test]
    async fn what_is_kept_is_loaded_again_and_nonsense_is_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("alarm-memory.json");
        assert_eq!(load(&file), AlarmMemory::default());
        let (sender, said) = watch::channel(Said::default());
        let (written, _) = watch::channel(Written::default());
        sender.send_replace(barn());
        drop(sender);
        keep(file.clone(), said, written).await;
        assert_eq!(Some(load(&file)), barn().memory.map(|it| *it));
        std::fs::write(&file, "nonsense").unwrap();
        assert_eq!(load(&file), AlarmMemory::default());
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_what_cannot_be_written_is_told_so_and_it_is_tried_again() {
        let dir = tempfile::tempdir().unwrap();
        let full = dir.path().join("full");
        let file = full.join("alarm-memory.json");
        let (sender, said) = watch::channel(Said::default());
        let (written, kept) = watch::channel(Written::default());
        let kept = AlarmsKept {
            said: said.clone(),
            written: kept,
        };
        kept.clone().wait().await.unwrap();
        let keeping = tokio::spawn(keep(file.clone(), said, written));
        sender.send_replace(barn());
        let why = kept.clone().wait().await.unwrap_err();
        assert!(
            why.contains("until the farmer is started again") && why.contains("alarm-memory.json"),
            "{why}"
        );
        std::fs::create_dir(&full).unwrap();
        tokio::time::sleep(RETRY * 2).await;
        kept.wait().await.unwrap();
        assert_eq!(Some(load(&file)), barn().memory.map(|it| *it));
        drop(sender);
        keeping.await.unwrap();
    }

    fn barn() -> Said {
        let silence = Silence {
            machine: Some("barn".to_owned()),
            ..Silence::default()
        };
        let memory = AlarmMemory {
            silences: vec![silence],
            ..AlarmMemory::default()
        };
        Said {
            number: 1,
            memory: Some(Box::new(memory)),
        }
    }
}
