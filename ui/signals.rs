//! The signals that ask a command or a farm without a console to end.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals, taken over.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// A terminal that is closed, a connection by ssh that breaks; not under `nohup`.
    hangup: Option<Signal>,
}

impl Signals {
    /// Takes the signals over. To be done before what they end is started, so that none of them can come too early.
    pub(crate) fn take() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: match hangup_ends(&std::fs::read_to_string("/proc/self/status").unwrap_or_default()) {
                true => Some(signal(SignalKind::hangup())?),
                false => None,
            },
        })
    }

    /// Waits for one of them.
    pub(crate) async fn next(&mut self) {
        let hangup = async {
            match &mut self.hangup {
                Some(signal) => signal.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = hangup => {}
        }
    }

    /// Waits for Ctrl-C.
    pub(crate) async fn interrupted(&mut self) {
        // `None` is said by no signal that was taken over.
        let _ = self.interrupt.recv().await;
    }
}

/// Whether this process would end when its terminal hangs up, by what `/proc` says of it. Where it would not, as under
/// `nohup`, listening to the signal would end it.
fn hangup_ends(status: &str) -> bool {
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & 1 == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hangup_ends_what_runs_unless_nohup_has_it_ignored() {
        assert!(hangup_ends("Name:\tfarmconsole\nSigIgn:\t0000000000001000\n"));
        assert!(!hangup_ends("SigIgn:\t0000000000000001\n"));
        assert!(!hangup_ends(""));
    }
}
