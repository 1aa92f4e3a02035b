//! The signals that ask a command or a farm without a console to end, or a farm to read its settings again.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals, taken over.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// A terminal that is closed, a connection by ssh that breaks; not under `nohup`.
    hangup: Option<Signal>,
    /// Whether there is a terminal that could hang up. Without one somebody has sent that signal on purpose.
    has_terminal: bool,
}

/// What somebody wants of a farm that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// To end in good order.
    End,
    /// To follow its settings as they are now.
    ReadSettings,
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
            has_terminal: std::fs::File::open("/dev/tty").is_ok(),
        })
    }

    /// Waits for one of them, each of which ends a command.
    pub(crate) async fn next(&mut self) {
        self.wish().await;
    }

    /// Waits for what is wanted of a farm.
    pub(crate) async fn wish(&mut self) -> Wish {
        let hangup = async {
            match &mut self.hangup {
                Some(signal) => signal.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => Wish::End,
            _ = self.interrupt.recv() => Wish::End,
            _ = hangup => if self.has_terminal { Wish::End } else { Wish::ReadSettings },
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
