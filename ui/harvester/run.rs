//! `farmconsole harvester run`: harvests alone, for a farmer on another machine; with a console in a terminal, else
//! headless.

use std::io::Write;
use std::time::Duration;

use farmconsole::config::{ConfigError, Settings, shell_word};
use farmconsole::control::{ControlError, LockError, Role};
use farmconsole::logging::{LogGuard, Service};
use farmconsole::runtime::{HarvesterOptions, HarvesterStartError, RunningHarvester, start_harvester};

use crate::args::HarvesterRun;
use crate::context::{Attached, Context};
use crate::daemon::{self, GOODBYE};
use crate::errors::{bad_settings, not_opened};
use crate::exit::{Failure, Outcome, Status};
use crate::out::Out;
use crate::signals::Signals;
use crate::stop;
use crate::systemd;

/// Runs the command.
pub(crate) async fn run(context: &Context, options: HarvesterRun) -> Outcome {
    let face = Face::choose(options)?;
    if options.replace {
        end_other(context).await?;
    }
    let (harvester, farmer, _log) = start(context)?;
    match face {
        Face::None(signals) => {
            // Harvesting goes on when nobody reads this.
            let _ = writeln!(
                Out::for_people(),
                "harvesting for farmer {farmer}; look at it with `farmconsole --root {}`",
                shell_word(context.root.dir())
            );
            systemd::tell_started();
            let (stop, settings) = (harvester.stop.clone(), harvester.settings.clone());
            daemon::wait_and_end(stop, Some(settings), harvester.ended(GOODBYE), signals).await
        }
        #[cfg(feature = "console")]
        Face::Console => crate::attach::console_on_harvester(context, harvester).await,
    }
}

/// What the harvester shows itself with.
enum Face {
    /// Nothing: a signal or `farmconsole stop` ends it. The signals are taken before it starts, so that none is lost.
    None(Signals),
    /// A console of its own.
    #[cfg(feature = "console")]
    Console,
}

impl Face {
    #[cfg_attr(
        not(feature = "console"),
        expect(unused_variables, reason = "without a console there is one way")
    )]
    fn choose(options: HarvesterRun) -> Result<Self, Failure> {
        #[cfg(feature = "console")]
        if !options.no_console && crate::console::require_terminal().is_ok() {
            return Ok(Self::Console);
        }
        Ok(Self::None(Signals::take()?))
    }
}

/// Reads the settings, opens the log and starts the harvester of this root; also the address of its farmer.
fn start(context: &Context) -> Result<(RunningHarvester, String, LogGuard), Failure> {
    let settings = Settings::load(&context.root).map_err(|error| match error {
        ConfigError::Missing { .. } => Failure::new(Status::Settings, error).hint(JOIN),
        error => bad_settings(error),
    })?;
    let log = daemon::open_log(context, &settings.harvester.logging, Service::Harvester)?;
    for warning in &settings.warnings {
        tracing::warn!(target: "config", "{warning}");
    }
    let options = HarvesterOptions {
        root: context.root.clone(),
        settings,
        log: log.handle(),
    };
    let harvester = start_harvester(options).map_err(not_started)?;
    let farmer = harvester.farmer.to_string();
    Ok((harvester, farmer, log))
}

fn not_started(error: HarvesterStartError) -> Failure {
    match error {
        HarvesterStartError::Lock(LockError::Held { .. }) => Failure::new(Status::TryAgain, error)
            .hint("`farmconsole harvester run --replace` takes over from a harvester; `farmconsole` looks at it"),
        HarvesterStartError::Tls(ref tls) => {
            let hint = tls.hint().unwrap_or_else(|| JOIN.to_owned());
            Failure::new(Status::Settings, error).hint(hint)
        }
        HarvesterStartError::NoFarmer => {
            Failure::new(Status::Settings, error).hint("`farmconsole configure --set-farmer-peer HOST:8447`")
        }
        HarvesterStartError::Lock(lock) => not_opened(&lock, lock.hint()),
        HarvesterStartError::Control(socket) => not_opened(&socket, socket.hint()),
    }
}

/// Asks the harvester that runs on this root to end, if there is one, and waits until it has.
async fn end_other(context: &Context) -> Result<(), Failure> {
    let client = match context.connect().await {
        Ok(client) => client,
        // Nobody there, or nobody who answers: the lock says more.
        Err(ControlError::NotRunning { .. } | ControlError::Gone { .. }) => return Ok(()),
        Err(error) => return Err(crate::context::not_attached(error)),
    };
    let hello = client.hello();
    if hello.role == Role::Farmer {
        return Err(Failure::new(
            Status::TryAgain,
            format!(
                "a farmer runs on this root (process {}), and only a harvester is replaced",
                hello.pid
            ),
        )
        .hint("end it with `farmconsole stop`, or let it harvest: `farmconsole plots add -d DIR`"));
    }
    stop::end(context, Attached { client }, Duration::from_secs(10)).await
}

/// What to do where certificates or settings are missing.
const JOIN: &str = "`farmconsole harvester invite NAME` on the farmer's machine prints the command that joins this one";

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use farmconsole::tls::TlsError;

    use std::io;

    use super::*;

    #[test]
    fn a_certificate_that_others_can_read_is_mended_by_chmod_and_one_that_is_missing_by_joining() {
        let hint = |tls: TlsError| format!("{:?}", not_started(HarvesterStartError::Tls(tls)));
        let path = PathBuf::from("/srv/farm/membership.json");
        let open = hint(TlsError::TooOpen {
            path: path.clone(),
            mode: 0o644,
        });
        assert!(open.contains("chmod 600 /srv/farm/membership.json"), "{open}");
        let missing = hint(TlsError::Unreadable {
            path,
            source: io::ErrorKind::NotFound.into(),
        });
        assert!(missing.contains("harvester invite NAME"), "{missing}");
    }
}
