//! Commands that ask drives which may hang do so in a process of their own, which is left behind when it has said what
//! there is to say: one thread that waits in the kernel for a drive keeps its process from ending, killed or not, and the
//! shell with it.

use std::env;
use std::io::{self, PipeReader, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use farmconsole::config::patience::DRIVE_PATIENCE;
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;
use tokio::time::sleep;

use crate::commands::Commands;
use crate::exit::{Failure, Status};
use crate::signals::Signals;

/// Runs this command line once more in a process that may be left behind; its exit status. `None` where the command is to
/// be run in this process: it is that one, or none can be started.
pub(crate) fn run() -> Option<u8> {
    if is_the_one() {
        return None;
    }
    let (report, told) = io::pipe().ok()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .ok()?;
    let child = Command::new(env::current_exe().ok()?)
        .args(env::args_os().skip(1))
        .env(MARK, "1")
        // It is not asked anything: its end of the pipe is where its input would be.
        .stdin(told)
        .spawn()
        .ok()?;
    let status = runtime.block_on(wait(child, report));
    Some(status.unwrap_or_else(|error| {
        let sentence = format!("wait for the process that asks the drives: {error}; what it found is not known");
        Failure::new(Status::Failed, sentence).report(&Commands::default())
    }))
}

/// Tells the process that waits for this one how the command has ended.
pub(crate) fn tell(status: u8) {
    if is_the_one() {
        let report = io::stdin().as_fd().try_clone_to_owned();
        // Whoever waits is told by the end of this process otherwise.
        let _ = report.and_then(|report| std::fs::File::from(report).write_all(&[status]));
    }
}

fn is_the_one() -> bool {
    env::var_os(MARK).is_some()
}

/// Waits for what the process tells, or for its end; after a signal not for long.
async fn wait(mut child: Child, report: PipeReader) -> io::Result<u8> {
    let mut signals = Signals::take()?;
    let mut report = Receiver::from_owned_fd(OwnedFd::from(report))?;
    let mut status = [0];
    tokio::select! {
        told = report.read(&mut status) => return ended(told?, status, &mut child),
        () = signals.next() => {}
    }
    if let Ok(pid) = i32::try_from(child.id())
        && let Some(pid) = rustix::process::Pid::from_raw(pid)
    {
        // One that has ended meanwhile needs none.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
    tokio::select! {
        told = report.read(&mut status) => ended(told?, status, &mut child),
        () = signals.next() => Ok(INTERRUPTED),
        () = sleep(DRIVE_PATIENCE + Duration::from_secs(1)) => Ok(INTERRUPTED),
    }
}

/// What it told, or how it ended without a word: all its threads have then.
fn ended(told: usize, [status]: [u8; 1], child: &mut Child) -> io::Result<u8> {
    if told == 1 { Ok(status) } else { child.wait().map(code) }
}

fn code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

/// Set for the process that may be left behind.
const MARK: &str = "FARMCONSOLE_LEFT_BEHIND";

/// As of a process that Ctrl-C has ended.
const INTERRUPTED: u8 = 130;
