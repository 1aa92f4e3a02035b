//! `farmconsole` without a command: the console on the farmer or harvester that runs on this root, or on a farmer started
//! in this window.

use std::io::{self, Write};
use std::time::Duration;

use farmconsole::config::Settings;
use farmconsole::control::{ControlClient, ControlError, Role};
use farmconsole::runtime::{RunningFarm, RunningHarvester};

use tokio_util::sync::CancellationToken;

use crate::console::{self, ConsoleOptions, LastLook, Left, Palette};
use crate::context::{Attached, Context, not_attached};
use crate::daemon;
use crate::exit::{Ended, Failure, Outcome};
use crate::feed::Feed;
use crate::out::Out;

/// How long the farm may take to say goodbye when its console ends: nobody likes to wait for a prompt, and a console
/// whose terminal is gone must not linger.
const GOODBYE: Duration = Duration::from_millis(800);

/// Runs the console.
pub(crate) async fn run(context: &Context) -> Outcome {
    let socket = context.root.control_socket();
    let client = if context.is_read_only {
        ControlClient::connect_read_only(&socket).await
    } else {
        ControlClient::connect(&socket).await
    };
    match client {
        Ok(client) if client.hello().role == Role::Harvester => watch_harvester(context, client).await,
        Ok(client) => watch(context, client).await,
        // Without a root there is nothing to farm here, and who has just begun is told what there is to begin with.
        Err(ControlError::NotRunning { source, .. })
            if !context.is_read_only
                && source.kind() != io::ErrorKind::PermissionDenied
                && context.root.config_file().exists() =>
        {
            farm_here(context).await
        }
        Err(error) => Err(not_attached(error)),
    }
}

/// The console on a farmer in another process; leaving it changes nothing there.
async fn watch(context: &Context, client: ControlClient) -> Outcome {
    let mut attached = Attached { client };
    let first = attached.snapshot().await?;
    let feed = Feed::attached(attached.client, first, context.root.control_socket());
    let (_, look) = console::run(feed, options(context)?).await?;
    remember(context, look);
    Ok(Ended::Fine)
}

/// The console on a harvester in another process; leaving it changes nothing there.
async fn watch_harvester(context: &Context, client: ControlClient) -> Outcome {
    let mut attached = Attached { client };
    let first = attached.machine().await?;
    let feed = Feed::attached(attached.client, first, context.root.control_socket());
    console::run_harvester(feed, options(context)?).await?;
    Ok(Ended::Fine)
}

/// The console on a harvester of this process.
pub(crate) async fn console_on_harvester(context: &Context, harvester: RunningHarvester) -> Outcome {
    let feed = Feed::embedded_harvester(harvester.handle.clone(), harvester.stop.clone());
    let left = match options(context) {
        Ok(options) => console::run_harvester(feed, options).await,
        Err(failure) => Err(failure),
    };
    tell_if_stopped(&harvester.stop);
    harvester.stop.cancel();
    harvester.ended(GOODBYE).await;
    match left? {
        Left::Detached | Left::Stop => Ok(Ended::Fine),
    }
}

/// Says why the window closed by itself, to whoever comes back to it.
fn tell_if_stopped(stop: &CancellationToken) {
    if stop.is_cancelled() {
        // It has ended all the same when nobody reads this.
        let _ = writeln!(Out::for_errors(), "farmconsole: ended by `farmconsole stop`");
    }
}

/// Farms in this window: the console is on top, and ending it ends the farm, after a question.
async fn farm_here(context: &Context) -> Outcome {
    console::require_terminal()?;
    let (farm, _log) = daemon::start(context)?;
    console_on(context, farm).await
}

/// The console on a farm of this process.
pub(crate) async fn console_on(context: &Context, farm: RunningFarm) -> Outcome {
    let left = match options(context) {
        Ok(options) => console::run(Feed::embedded(farm.handle.clone(), farm.stop.clone()), options).await,
        Err(failure) => Err(failure),
    };
    tell_if_stopped(&farm.stop);
    farm.stop.cancel();
    farm.ended(GOODBYE).await;
    let (Left::Detached | Left::Stop, look) = left?;
    remember(context, look);
    Ok(Ended::Fine)
}

/// How the console looks: the command line says it, else the settings, where they can be read. Whether they are right
/// is the farmer's business, and a console can be attached to it all the same.
pub(crate) fn options(context: &Context) -> Result<ConsoleOptions, Failure> {
    let of_settings = || Settings::load(&context.root).ok()?.own.theme;
    let theme = context.looks.theme.clone().or_else(of_settings);
    let palette = theme.map(|theme| Palette::named(&theme)).transpose()?;
    Ok(ConsoleOptions {
        color: context.looks.color,
        ascii: context.looks.ascii,
        palette,
        last_look: LastLook::load(&context.root.last_look_file()),
        commands: context.commands.clone(),
    })
}

/// What was seen is kept for the next console; if it cannot be, that one has nothing to compare with, and no more.
fn remember(context: &Context, look: LastLook) {
    if let Err(error) = look.store(&context.root.last_look_file()) {
        tracing::debug!(target: "console", "what was seen is not kept: {error}");
    }
}
