//! Alarm hooks: telling people who do not look. A program, a webhook, and a ping that stops when farming does.
//!
//! `plan` decides what is told (pure: severity, silences, incidents that come and go); `exec` and `web` tell it, each
//! at its own pace behind a bounded queue; `dead_man` pings while the farm farms. The engine only ever does a
//! `try_send`. What is told is one JSON object (`Call`); a hook that fails is an alarm itself, which is shown and not
//! told.

mod dead_man;
mod exec;
mod plan;
#[cfg(test)]
mod tests;
mod web;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::AlarmSettings;
use crate::farmer::Input;
use crate::handle::FarmHandle;
use crate::snapshot::{AlarmView, Notice, Severity};
use crate::system_clock::Clock;
use plan::Plan;
pub use web::WebError;

/// Alarms that may wait to be thought about, and calls of each hook that may wait to be made.
const QUEUE: usize = 256;

/// The engine's end: alarms that open and close.
#[derive(Clone, Debug)]
pub struct Hooks {
    events: mpsc::Sender<Event>,
    dropped: Dropped,
}

/// Calls that were not made because too many waited.
#[derive(Clone, Debug, Default)]
pub struct Dropped(Arc<AtomicU64>);

impl Dropped {
    /// How many since start.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// What happened to an alarm.
#[derive(Clone, Debug, PartialEq)]
enum Event {
    Opened(Box<AlarmView>),
    Closed(Box<AlarmView>),
}

/// What a hook is given, as JSON. Fields are only added; a changed meaning raises `version`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Call {
    version: u32,
    /// `opened` or `closed`.
    event: &'static str,
    network: String,
    /// The sentence, under the names that chat services look for.
    text: String,
    content: String,
    rule: String,
    severity: &'static str,
    machine: Option<String>,
    remedy: String,
    opened_at_unix_ms: u64,
    closed_at_unix_ms: Option<u64>,
    /// How often it opened between `opened` and `closed`.
    times: u32,
}

impl Call {
    fn new(event: &'static str, network: &str, alarm: &AlarmView, times: u32) -> Self {
        let what = if event == "closed" {
            "over"
        } else {
            alarm.severity.word()
        };
        let text = format!("farmconsole {network}: {what}: {}", alarm.text);
        Self {
            version: 1,
            event,
            network: network.to_owned(),
            content: text.clone(),
            text,
            rule: alarm.kind.rule(),
            severity: alarm.severity.word(),
            machine: alarm.kind.machine(),
            remedy: alarm.remedy.clone(),
            opened_at_unix_ms: alarm.opened_at_unix_ms,
            closed_at_unix_ms: alarm.closed_at_unix_ms,
            times,
        }
    }
}

/// What the hooks need of the farm.
#[derive(Clone, Debug)]
pub struct HookContext {
    /// Network id, told with every alarm.
    pub network: String,
    /// Time.
    pub clock: Clock,
    /// Where a hook that fails is told.
    pub farmer: mpsc::Sender<Input>,
    /// Whose status keeps the dead man's switch alive.
    pub handle: FarmHandle,
    /// Ends everything.
    pub stop: CancellationToken,
}

/// Starts the hooks that the settings name; `None` if no alarm is to be told.
///
/// # Errors
/// No HTTPS client can be made.
pub fn start(settings: &AlarmSettings, context: &HookContext, tasks: &TaskTracker) -> Result<Option<Hooks>, WebError> {
    let dropped = Dropped::default();
    if let Some(url) = &settings.dead_man_url {
        let ping = dead_man::DeadMan {
            url: url.clone(),
            interval: settings.dead_man_interval,
            client: web::client()?,
            handle: context.handle.clone(),
            farmer: context.farmer.clone(),
        };
        tasks.spawn(stopped_by(context.stop.clone(), ping.run()));
    }
    let mut hooks = Vec::new();
    if let Some((program, arguments)) = settings.exec.split_first() {
        let (calls, queue) = mpsc::channel(QUEUE);
        hooks.push(calls);
        let exec = exec::Exec {
            program: program.clone(),
            arguments: arguments.to_vec(),
            timeout: settings.exec_timeout,
            farmer: context.farmer.clone(),
        };
        tasks.spawn(stopped_by(context.stop.clone(), exec.run(queue)));
    }
    if let Some(url) = &settings.webhook {
        let (calls, queue) = mpsc::channel(QUEUE);
        hooks.push(calls);
        let webhook = web::Webhook {
            url: url.clone(),
            client: web::client()?,
            farmer: context.farmer.clone(),
        };
        tasks.spawn(stopped_by(context.stop.clone(), webhook.run(queue)));
    }
    if hooks.is_empty() {
        return Ok(None);
    }
    let (events, queue) = mpsc::channel(QUEUE);
    let plan = Plan::new(&context.network, settings.minimum_severity);
    tasks.spawn(stopped_by(
        context.stop.clone(),
        carry_out(plan, context.clock, queue, hooks, dropped.clone()),
    ));
    Ok(Some(Hooks { events, dropped }))
}

impl Hooks {
    /// Takes a notice, if it is about an alarm. Never waits.
    pub fn note(&self, notice: &Notice) {
        let event = match notice {
            Notice::AlarmOpened { alarm } => Event::Opened(Box::new(alarm.clone())),
            Notice::AlarmClosed { alarm } => Event::Closed(Box::new(alarm.clone())),
            _ => return,
        };
        if self.events.try_send(event).is_err() {
            self.dropped.add();
        }
    }

    /// Calls that were not made because too many waited.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.count()
    }
}

/// Feeds the plan and hands its calls to every hook.
async fn carry_out(
    mut plan: Plan,
    clock: Clock,
    mut events: mpsc::Receiver<Event>,
    hooks: Vec<mpsc::Sender<Arc<Call>>>,
    dropped: Dropped,
) {
    loop {
        let due = plan.poll_timeout().map(|at| clock.instant(at));
        tokio::select! {
            event = events.recv() => match event {
                Some(event) => plan.handle(clock.mono(), event),
                None => return,
            },
            () = async { match due {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }} => plan.handle_timeout(clock.mono()),
        }
        while let Some(call) = plan.poll_call() {
            let call = Arc::new(call);
            for hook in &hooks {
                if hook.try_send(Arc::clone(&call)).is_err() {
                    dropped.add();
                    tracing::warn!(target: "alarms", "a hook is too slow: not told: {}", call.text);
                }
            }
        }
    }
}

async fn stopped_by(stop: CancellationToken, work: impl Future<Output = ()>) {
    stop.run_until_cancelled(work).await;
}

/// Says how a hook fares, which becomes an alarm or ends it.
async fn tell(farmer: &mpsc::Sender<Input>, hook: &'static str, failure: Option<String>) {
    if let Some(why) = &failure {
        tracing::warn!(target: "alarms", "{hook} failed: {why}");
    }
    // The farmer may be gone already.
    let _ = farmer
        .send(Input::AlarmHook {
            hook: hook.to_owned(),
            failure,
        })
        .await;
}

/// Whether alarms of this severity are told when this is the least that is.
const fn is_told(severity: Severity, minimum: Severity) -> bool {
    matches!(
        (severity, minimum),
        (Severity::Critical, _) | (Severity::Warning, Severity::Warning)
    )
}
