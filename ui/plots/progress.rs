//! How far a long command is: a bar on a terminal, now and then a line elsewhere. It goes to stderr, so that what the
//! command found can be read by programs.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use tokio::time::Instant;

use crate::format::span;
use crate::out::Out;

/// One line that says how far a command is.
pub(super) struct Progress {
    is_terminal: bool,
    is_drawn: bool,
    began: Instant,
    said: Instant,
}

impl Progress {
    /// Nothing is drawn yet.
    pub(super) fn begin() -> Self {
        let now = Instant::now();
        Self {
            is_terminal: io::stderr().is_terminal(),
            is_drawn: false,
            began: now,
            said: now,
        }
    }

    /// Shows the share done, if it is known, and what is being done.
    pub(super) fn show(&mut self, share: Option<f32>, what: &str) {
        let elapsed = self.began.elapsed();
        let line = line(share, what, elapsed);
        // Nobody is harmed by progress that cannot be shown.
        if self.is_terminal {
            let _ = write!(Out::for_errors(), "\r\x1b[K{line}");
            self.is_drawn = true;
        } else if self.said.elapsed() >= SAY_EVERY {
            self.said = Instant::now();
            let _ = writeln!(Out::for_errors(), "{line}");
        }
    }

    /// Makes room for other output.
    pub(super) fn clear(&mut self) {
        if std::mem::take(&mut self.is_drawn) {
            let _ = write!(Out::for_errors(), "\r\x1b[K");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

fn line(share: Option<f32>, what: &str, elapsed: Duration) -> String {
    let elapsed = span(elapsed.as_secs());
    let Some(share) = share else {
        return format!("{what}, {elapsed}");
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is from 0 to 100"
    )]
    let percent = (share.clamp(0.0, 1.0) * 100.0) as usize;
    let full = percent * CELLS / 100;
    let (done, left) = ("#".repeat(full), "-".repeat(CELLS - full));
    format!("[{done}{left}] {percent:3} %  {what}, {elapsed}")
}

/// Length of the bar.
const CELLS: usize = 20;

/// Between two lines where there is no terminal.
const SAY_EVERY: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_full_as_the_work_is_done() {
        let at = |share| line(share, "plot 1 of 2", Duration::from_secs(75));
        assert_eq!(at(Some(0.0)), "[--------------------]   0 %  plot 1 of 2, 1 min");
        assert_eq!(at(Some(0.5)), "[##########----------]  50 %  plot 1 of 2, 1 min");
        assert_eq!(at(Some(1.0)), "[####################] 100 %  plot 1 of 2, 1 min");
        assert_eq!(at(None), "plot 1 of 2, 1 min");
    }
}
