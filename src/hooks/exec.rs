//! The program that is run for each alarm: one at a time, the JSON on its standard input, and ended when it takes too long.

use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

use super::{Call, tell};
use crate::farmer::Input;

/// A program and how long it may take.
#[derive(Debug)]
pub(super) struct Exec {
    pub(super) program: String,
    pub(super) arguments: Vec<String>,
    pub(super) timeout: Duration,
    pub(super) farmer: mpsc::Sender<Input>,
}

impl Exec {
    /// Runs the program for each call.
    pub(super) async fn run(self, mut calls: mpsc::Receiver<Arc<Call>>) {
        while let Some(call) = calls.recv().await {
            let failure = self.call(&call).await.err();
            tell(&self.farmer, "exec", failure).await;
        }
    }

    async fn call(&self, call: &Call) -> Result<(), String> {
        let failed = |why: &dyn std::fmt::Display| format!("{}: {why}", self.program);
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .env("FARMCONSOLE_EVENT", call.event)
            .env("FARMCONSOLE_RULE", &call.rule)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            // What it starts ends with it.
            .process_group(0)
            .spawn()
            .map_err(|error| failed(&error))?;
        let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let json = serde_json::to_vec(call).map_err(|error| failed(&error))?;
        let ended = tokio::time::timeout(self.timeout, feed(&mut child, &json)).await;
        if ended.is_err()
            && let Some(group) = group
        {
            // It may have ended at this very moment.
            let _ = kill_process_group(group, Signal::KILL);
        }
        match ended {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(failed(&status)),
            Ok(Err(error)) => Err(failed(&error)),
            Err(_) => Err(failed(&format!("not done after {} s, ended", self.timeout.as_secs()))),
        }
    }
}

async fn feed(child: &mut Child, json: &[u8]) -> std::io::Result<ExitStatus> {
    if let Some(mut stdin) = child.stdin.take() {
        match stdin.write_all(json).await {
            Ok(()) => {}
            // It does not want to know.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
            Err(error) => return Err(error),
        }
    }
    child.wait().await
}
