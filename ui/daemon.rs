//! Farming itself: headless (`--daemon`), or in this window with the console on top.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use farmconsole::config::{LoggingSettings, Root, shell_word};
use farmconsole::control::{LockError, Waiting};
use farmconsole::logging::{self, LogGuard, LogOptions, Service};
use farmconsole::runtime::{FarmOptions, LiveSettings, RunningFarm, StartError};
use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::errors::{not_logged, not_opened};
use crate::exit::{Ended, Failure, Outcome, Status};
use crate::out::Out;
use crate::signals::{Signals, Wish};
use crate::{program_text, systemd};

/// How long the tasks may take to say goodbye; SIGTERM promises five seconds in all.
pub(crate) const GOODBYE: Duration = Duration::from_secs(4);

/// How long a farm without a console waits for a port that another program has: as long as it may take to stop that one.
const PORT_PATIENCE: Duration = Duration::from_secs(30);

/// How long between two tries.
const PORT_RETRY: Duration = Duration::from_secs(1);

/// `farmconsole --daemon`: farms in the foreground until a signal or `farmconsole stop`.
pub(crate) async fn run(context: &Context) -> Outcome {
    let mut signals = Signals::take()?;
    let (options, _log) = prepare(context)?;
    let starting = when_the_port_is_free(&context.root, || farmconsole::runtime::start(options.clone()));
    tokio::pin!(starting);
    let mut have_changed = false;
    let farm = loop {
        tokio::select! {
            farm = &mut starting => break farm.map_err(not_started)?,
            wish = signals.wish() => match wish {
                Wish::End => return Ok(Ended::Fine),
                Wish::ReadSettings => have_changed = true,
            },
        }
    };
    announce(context, &farm, "farm");
    systemd::tell_started();
    tokio::spawn(systemd::feed_watchdog(farm.handle.clone()));
    if have_changed {
        read_again(&farm.settings).await;
    }
    let (stop, settings) = (farm.stop.clone(), farm.settings.clone());
    wait_and_end(stop, Some(settings), farm.ended(GOODBYE), signals).await
}

/// Starts until it starts, fails for good, or has found the port taken for too long. Whoever asks for the farmer of this
/// root meanwhile can know what it waits for.
async fn when_the_port_is_free<T>(root: &Root, start: impl Fn() -> Result<T, StartError>) -> Result<T, StartError> {
    let mut waited = Duration::ZERO;
    let mut told = None;
    loop {
        match start() {
            Err(StartError::Listen(taken)) if taken.may_pass() && waited < PORT_PATIENCE => {
                // Whoever reads it just now keeps it from being written, for that moment.
                told = told.or_else(|| Waiting::tell(&root.waiting_file(), &taken.to_string()).ok());
                if waited.is_zero() {
                    let patience = PORT_PATIENCE.as_secs();
                    // Waiting goes on when nobody reads this.
                    let _ = writeln!(Out::for_errors(), "farmconsole: {taken}; trying again for {patience} s");
                    tracing::warn!(target: "farmer", "{taken}; trying again for {patience} s");
                }
                tokio::time::sleep(PORT_RETRY).await;
                waited += PORT_RETRY;
            }
            started => return started,
        }
    }
}

/// Says where harvesters connect and how to look at the farm.
pub(crate) fn announce(context: &Context, farm: &RunningFarm, what: &str) {
    let root = shell_word(context.root.dir());
    // Farming goes on when nobody reads this.
    let _ = writeln!(
        Out::for_people(),
        "{what} on port {}; look at it with `farmconsole --root {root}`",
        farm.port
    );
}

/// Goes on until a signal or `farmconsole stop`, then ends in good order. Reads `settings` again when asked to; without
/// them a hang-up ends it, too.
pub(crate) async fn wait_and_end(
    stop: CancellationToken,
    settings: Option<LiveSettings>,
    ended: impl Future<Output = ()>,
    mut signals: Signals,
) -> Outcome {
    tokio::spawn(program_text::hand_back_start());
    loop {
        let wish = tokio::select! {
            () = stop.cancelled() => Wish::End,
            wish = signals.wish() => wish,
        };
        match (wish, &settings) {
            (Wish::ReadSettings, Some(settings)) => read_again(settings).await,
            _ => break,
        }
    }
    tracing::info!(target: "server", "shutting down");
    systemd::tell_stopping();
    stop.cancel();
    tokio::select! {
        () = ended => {}
        // A second Ctrl-C means now.
        () = signals.interrupted() => {}
    }
    Ok(Ended::Fine)
}

async fn read_again(settings: &LiveSettings) {
    match settings.read_again().await {
        Ok(changes) => tracing::info!(target: "config", "settings read again: {changes}"),
        Err(error) => tracing::error!(target: "config", "settings read again, and not followed: {error}"),
    }
}

/// Reads the settings, opens the log and starts the farm of this root, for a console in this process.
#[cfg(feature = "console")]
pub(crate) fn start(context: &Context) -> Result<(RunningFarm, LogGuard), Failure> {
    let (options, log) = prepare(context)?;
    let farm = farmconsole::runtime::start(options).map_err(not_started)?;
    Ok((farm, log))
}

/// Reads the settings, asks for the passphrase if there is one, and opens the log.
fn prepare(context: &Context) -> Result<(FarmOptions, LogGuard), Failure> {
    let settings = context.settings()?;
    context.farmers_only(
        "farm",
        Status::Settings,
        "`farmconsole harvester run` harvests for that farm; a farmer needs a root of its own: `--root DIR`",
    )?;
    let passphrase = crate::secrets::to_unlock(context)?.map(Arc::new);
    let log = open_log(context, &settings.logging, Service::Farmer)?;
    for warning in &settings.warnings {
        tracing::warn!(target: "config", "{warning}");
    }
    let options = FarmOptions {
        root: context.root.clone(),
        settings,
        log: log.handle(),
        passphrase,
        ca_passphrase: crate::secrets::ca_passphrase_source(context),
        names: BTreeMap::new(),
    };
    Ok((options, log))
}

/// Opens the log of this root and makes it the log of the process.
pub(crate) fn open_log(context: &Context, logging: &LoggingSettings, service: Service) -> Result<LogGuard, Failure> {
    logging::start(&LogOptions {
        file: logging.log_file(&context.root),
        level: logging.log_level,
        max_bytes: logging.log_maxbytesrotation,
        max_files: logging.log_maxfilesrotation,
        service,
    })
    .map_err(not_logged)
}

pub(crate) fn not_started(error: StartError) -> Failure {
    match error {
        StartError::Lock(LockError::Held { .. }) => Failure::new(Status::TryAgain, error)
            .hint("stop it with `farmconsole stop`, or look at it with `farmconsole`"),
        StartError::Listen(listen) => {
            let status = if listen.may_pass() {
                Status::TryAgain
            } else {
                Status::Failed
            };
            let hint = listen.hint();
            Failure::new(status, listen).hint(hint)
        }
        StartError::Keys(keys) => {
            let hint = keys.hint();
            Failure::new(Status::Settings, keys).hint_if_any(hint)
        }
        StartError::Tls(tls) => {
            let hint = tls.hint();
            Failure::new(Status::Settings, tls)
                .hint(hint.unwrap_or_else(|| "make certificates with `farmconsole init`".to_owned()))
        }
        StartError::Fleet(fleet) => {
            let hint = fleet.hint();
            Failure::new(Status::Settings, fleet).hint_if_any(hint)
        }
        StartError::Address { setting, .. } => {
            Failure::new(Status::Settings, error).hint(format!("set {setting} to an address of this network"))
        }
        StartError::Simulator(_) => Failure::new(Status::Settings, error),
        StartError::Lock(lock) => not_opened(&lock, lock.hint()),
        StartError::Control(socket) => not_opened(&socket, socket.hint()),
        StartError::Threads(_) | StartError::Hooks(_) | StartError::Pools(_) | StartError::Rpc(_) => {
            Failure::new(Status::Failed, error)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use farmconsole::net::ListenError;

    use std::io;

    use super::*;

    fn taken() -> StartError {
        StartError::Listen(ListenError::InUse {
            address: ([127, 0, 0, 1], 8447).into(),
            holder: None,
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_port_in_use_is_waited_for() {
        let tries = Cell::new(0);
        let start = || {
            tries.set(tries.get() + 1);
            if tries.get() < 5 { Err(taken()) } else { Ok(tries.get()) }
        };
        let root = Root::new("/no-such-root");
        assert_eq!(when_the_port_is_free(&root, start).await.ok(), Some(5));
    }

    #[tokio::test(start_paused = true)]
    async fn a_port_that_stays_in_use_is_given_up_after_thirty_seconds() {
        let started = tokio::time::Instant::now();
        let never = || Err::<(), _>(taken());
        let root = Root::new("/no-such-root");
        let given_up = when_the_port_is_free(&root, never).await;
        assert!(matches!(given_up, Err(StartError::Listen(_))));
        assert_eq!(started.elapsed(), PORT_PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_asks_while_a_port_is_waited_for_is_told_so() {
        use crate::context::not_attached;
        use farmconsole::control::ControlError;

        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        root.create_state_dir().unwrap();
        let asked = || {
            let not_running = ControlError::NotRunning {
                path: root.control_socket(),
                source: io::ErrorKind::ConnectionRefused.into(),
            };
            format!("{:?}", not_attached(not_running))
        };
        let tries = Cell::new(0);
        let start = || {
            tries.set(tries.get() + 1);
            if tries.get() < 3 {
                return Err(taken());
            }
            let (told, pid) = (asked(), std::process::id());
            assert!(told.contains(&format!("process {pid} is starting one")), "{told}");
            assert!(told.contains("8447") && told.contains("status: NotRunning"), "{told}");
            Ok(())
        };
        assert!(when_the_port_is_free(&root, start).await.is_ok());
        assert!(!asked().contains("is starting one"), "{}", asked());
    }

    #[tokio::test(start_paused = true)]
    async fn what_waiting_does_not_mend_ends_at_once() {
        let tries = Cell::new(0);
        let start = || {
            tries.set(tries.get() + 1);
            Err::<(), _>(StartError::Threads(io::Error::other("none")))
        };
        let root = Root::new("/no-such-root");
        assert!(when_the_port_is_free(&root, start).await.is_err());
        assert_eq!(tries.get(), 1);
    }
}
