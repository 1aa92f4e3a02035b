//! A harvester in the farmer's own process: the same messages as over the network, without frames or TLS.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::config::{Root, Settings};
use crate::farmer::{HarvesterOrigin, Input};
use crate::harvester::{FarmerChannels, Service, ServiceOptions};
use crate::ids::PeerId;
use crate::net::{Credits, Outgoing, SOFTWARE_VERSION, SessionEvent, SessionIds, outbox};
use crate::snapshot::{ConnectedPeer, DisconnectCause};
use crate::system_clock::Clock;
use crate::wire::{HarvesterLayout, ProtocolVersion};

/// Messages that may wait in each direction.
const QUEUE: usize = 256;

/// Pause before an embedded harvester that was disconnected connects again.
const PAUSE: Duration = Duration::from_secs(1);

/// Between two looks at what is wrong with drives.
const DRIVES_TOLD_EVERY: Duration = Duration::from_secs(5);

/// Whoever names the first plot directory of a farm waits for its plots.
const FIRST_PLOTS_SEEN_IN: Duration = Duration::from_secs(5);

/// What the harvester in the farmer's own process is called.
pub(super) const NAME: &str = "local";

/// Harvests as the root's settings have it until `stop`; where they name no plot directory, from when they do. What is
/// wrong with them when they are read again is an alarm of the farmer.
pub(super) async fn run_when_there_are_plots(
    root: Root,
    settings: Settings,
    clock: Clock,
    sessions: SessionIds,
    events: mpsc::Sender<SessionEvent>,
    inputs: mpsc::Sender<Input>,
    stop: CancellationToken,
) {
    let (unlisted_to, drives_to) = (inputs.clone(), inputs.clone());
    let mut teller = SettingsTeller { inputs, told: None };
    let interval = Duration::from_secs(settings.harvester.refresh.interval_seconds.into()).min(FIRST_PLOTS_SEEN_IN);
    let mut has_plots = !settings.harvester.plot_directories.is_empty();
    while !has_plots {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(interval) => {}
        }
        let (file, before) = (root.config_file(), settings.warnings.clone());
        let newest = tokio::task::spawn_blocking(move || Settings::load_again(&file, &before)).await;
        let newest = newest.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()));
        has_plots = newest
            .as_ref()
            .is_ok_and(|it| !it.harvester.plot_directories.is_empty());
        teller.tell(newest.err().map(|error| error.to_string())).await;
    }
    let service = Service::new(ServiceOptions::of(&settings).at(&root), clock);
    let status = service.status();
    let telling = async {
        loop {
            let trouble = status.other_settings_trouble(teller.told.as_ref()).await;
            teller.tell(trouble).await;
        }
    };
    let directories = async {
        let mut told = Vec::new();
        loop {
            told = status.other_unlisted(&told).await;
            let unlisted = told.clone();
            // The engine may have ended.
            let _ = unlisted_to.send(Input::PlotDirectories { unlisted }).await;
        }
    };
    let drives = async {
        let mut told = Vec::new();
        let mut tick = tokio::time::interval(DRIVES_TOLD_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let troubles = status.drive_troubles();
            // Again while there are some: the engine knows of the harvester only when it has connected.
            if troubles != told || !troubles.is_empty() {
                told.clone_from(&troubles);
                let _ = drives_to.send(Input::DriveTroubles { troubles }).await;
            }
        }
    };
    tokio::select! {
        () = run(service, sessions, events, stop) => {}
        () = telling => {}
        () = directories => {}
        () = drives => {}
    }
}

/// Tells the farmer what is wrong with the settings file, and when it is right again.
struct SettingsTeller {
    inputs: mpsc::Sender<Input>,
    told: Option<String>,
}

impl SettingsTeller {
    async fn tell(&mut self, why: Option<String>) {
        if self.told != why {
            self.told.clone_from(&why);
            // The engine may have ended.
            let _ = self.inputs.send(Input::SettingsUnreadable { why }).await;
        }
    }
}

/// Connects `service` to the engine and serves until `stop`.
async fn run(mut service: Service, sessions: SessionIds, events: mpsc::Sender<SessionEvent>, stop: CancellationToken) {
    loop {
        let session = sessions.next();
        let origin = HarvesterOrigin::Embedded { name: NAME.to_owned() };
        let peer = ConnectedPeer {
            peer_id: PeerId([0; 32]),
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            software_version: SOFTWARE_VERSION.to_owned(),
            protocol_version: ProtocolVersion::CURRENT.to_string(),
        };
        let (outbox, from_core) = outbox();
        if events
            .send(SessionEvent::Connected {
                session,
                peer,
                origin,
                outbox,
            })
            .await
            .is_err()
        {
            return;
        }
        let (to_harvester, from_farmer) = mpsc::channel(QUEUE);
        let (to_farmer, mut from_harvester) = mpsc::channel(QUEUE);
        let credits = Credits::default();
        let serving = service.serve(FarmerChannels { from_farmer, to_farmer }, HarvesterLayout::V38, &stop);
        // Two loops, so that a full queue one way never holds up the other.
        let inward = async {
            loop {
                match from_core.next().await {
                    Ok(Outgoing::Message { message, id }) => {
                        if to_harvester.send((message, id)).await.is_err() {
                            return DisconnectCause::ClosedByPeer;
                        }
                    }
                    Ok(Outgoing::Ping) => {
                        if events.send(SessionEvent::Heard { session }).await.is_err() {
                            return DisconnectCause::Shutdown;
                        }
                    }
                    Err(cause) => return cause,
                }
            }
        };
        let outward = async {
            while let Some((message, id)) = from_harvester.recv().await {
                let credit = credits.acquire(0).await;
                if events
                    .send(SessionEvent::Message {
                        session,
                        id,
                        message,
                        size: 0,
                        credit,
                    })
                    .await
                    .is_err()
                {
                    return DisconnectCause::Shutdown;
                }
            }
            DisconnectCause::ClosedByPeer
        };
        let cause = tokio::select! {
            () = serving => DisconnectCause::ClosedByPeer,
            cause = inward => cause,
            cause = outward => cause,
        };
        if events
            .send(SessionEvent::Disconnected { session, cause })
            .await
            .is_err()
            || stop.is_cancelled()
        {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
}
