//! Whether what people say about alarms is written down: whoever said it is told if it will be forgotten.

use std::time::Duration;

use tokio::sync::watch;

use crate::snapshot::AlarmMemory;

/// What people have said so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    /// Goes up with everything that is said.
    pub(crate) number: u64,
    /// What is to be kept; `None` until somebody says something.
    pub(crate) memory: Option<Box<AlarmMemory>>,
}

/// How writing it down went.
#[derive(Clone, Debug, Default)]
pub(crate) struct Written {
    /// What was said up to this number.
    pub(crate) number: u64,
    /// Why it is not in the file.
    pub(crate) trouble: Option<String>,
}

/// Looks at both ends.
#[derive(Clone, Debug)]
pub(crate) struct AlarmsKept {
    pub(crate) said: watch::Receiver<Said>,
    pub(crate) written: watch::Receiver<Written>,
}

impl AlarmsKept {
    /// Waits until everything that was said is in the file.
    ///
    /// # Errors
    /// A sentence when it is not, or not soon.
    pub(crate) async fn wait(mut self) -> Result<(), String> {
        let said = self.said.borrow().number;
        let all = self.written.wait_for(|written| written.number >= said);
        let trouble = match tokio::time::timeout(PATIENCE, all).await {
            Ok(Ok(written)) => written.trouble.clone(),
            Ok(Err(_)) => Some("the farmer is shutting down".to_owned()),
            Err(_) => Some("the disk is slow".to_owned()),
        };
        trouble.map_or(Ok(()), |why| {
            Err(format!(
                "this holds only until the farmer is started again, because it cannot be written down: {why}"
            ))
        })
    }
}

/// Longer than a disk needs to wake up, shorter than a client waits for its answer.
const PATIENCE: Duration = Duration::from_secs(3);
