//! Whether a harvester harvests, in one word, and what is wrong with it if anything is: worked out from its picture, so
//! that console, summary and `alarms` say the same.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::alarm::{count, span};
use super::{FarmerLinkState, FileState, MachineSnapshot, Severity, VolumeState, shell_word};

/// What a harvester does, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MachineStatus {
    /// The farmer is being dialled.
    Connecting,
    /// The farmer cannot be had.
    NoFarmer,
    /// The farmer has sent no keys.
    NoKeys,
    /// The farmer is being told of the plots.
    Syncing,
    /// There is nothing to harvest.
    NoPlots,
    /// No signage point has come for too long.
    NoSignagePoints,
    /// It harvests, but a drive of it does not.
    DriveTrouble,
    /// All is as it should be.
    Harvesting,
}

impl MachineStatus {
    /// The word for the header.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Connecting => "CONNECTING",
            Self::NoFarmer => "NO FARMER",
            Self::NoKeys => "NO KEYS",
            Self::Syncing => "SYNCING",
            Self::NoPlots => "NO PLOTS",
            Self::NoSignagePoints => "NO SIGNAGE POINTS",
            Self::DriveTrouble => "DRIVE TROUBLE",
            Self::Harvesting => "HARVESTING",
        }
    }
}

/// One thing that is wrong with a harvester. `Display` is the sentence, [`Self::remedy`] what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Concern {
    /// The farmer cannot be had.
    NoFarmer {
        /// Why, as a sentence.
        reason: String,
        /// What to do.
        hint: String,
    },
    /// The farmer has sent no keys.
    NoKeys,
    /// No plot is farmed.
    NoPlots {
        /// Whether something else that is wrong says why.
        #[serde(default)]
        explained: bool,
    },
    /// No signage point has come.
    NoSignagePoints {
        /// For so many seconds.
        for_s: u64,
    },
    /// The farmer does not take the list of plots.
    SyncRefused {
        /// Its words.
        reason: String,
    },
    /// The farmer is too old for some plots.
    FarmerTooOld {
        /// Its release.
        farmer: String,
        /// v2 plots that it cannot farm.
        plots: u64,
    },
    /// The connection to the farmer ends again and again.
    Unsteady {
        /// How often in the last ten minutes.
        times: u64,
        /// How it ended last, as a fragment.
        last: String,
    },
    /// A plot directory gives no plots.
    NoDirectory {
        /// It.
        directory: String,
        /// Why, as a fragment.
        why: String,
    },
    /// A drive has disappeared.
    DriveGone {
        /// Its name.
        drive: String,
        /// Plots that it had.
        plots: u64,
    },
    /// A drive hangs or fails.
    DriveSick {
        /// Its name.
        drive: String,
        /// Its plots.
        plots: u64,
        /// The last failure, if there is one.
        last_error: Option<String>,
    },
    /// A drive answers too slowly.
    DriveSlow {
        /// Its name.
        drive: String,
    },
    /// Look-ups met a plot that is damaged.
    PlotsDamaged {
        /// The drive that it is on.
        drive: String,
        /// How many look-ups.
        look_ups: u64,
        /// The last of them.
        last: String,
    },
    /// Look-ups fail because the harvester may open no more files, or has no memory.
    LookUpsFail {
        /// A drive that they were on.
        drive: String,
        /// The last of them.
        last: String,
    },
    /// More than one farmer is in the settings.
    OtherFarmers {
        /// Those that are not dialled, `host:port`.
        farmers: Vec<String>,
    },
    /// The settings file has a mistake, so what has changed in it is not followed.
    SettingsUnreadable {
        /// Why, with the file.
        why: String,
    },
    /// Files named like plots that are not farmed.
    NotFarmed {
        /// How many.
        files: u64,
    },
}

impl Concern {
    /// How bad it is.
    #[must_use]
    pub const fn severity(&self) -> Severity {
        match self {
            Self::NoFarmer { .. }
            | Self::NoKeys
            | Self::NoPlots { .. }
            | Self::NoSignagePoints { .. }
            | Self::SyncRefused { .. }
            | Self::NoDirectory { .. }
            | Self::DriveGone { .. }
            | Self::DriveSick { .. }
            | Self::LookUpsFail { .. } => Severity::Critical,
            Self::FarmerTooOld { .. }
            | Self::Unsteady { .. }
            | Self::DriveSlow { .. }
            | Self::PlotsDamaged { .. }
            | Self::OtherFarmers { .. }
            | Self::SettingsUnreadable { .. }
            | Self::NotFarmed { .. } => Severity::Warning,
        }
    }

    /// The drive that is there and of no use: it hangs, is slow, has damaged plots, or cannot be read by its harvester.
    #[must_use]
    pub fn drive(&self) -> Option<&str> {
        match self {
            Self::DriveSick { drive, .. }
            | Self::DriveSlow { drive }
            | Self::PlotsDamaged { drive, .. }
            | Self::LookUpsFail { drive, .. } => Some(drive),
            _ => None,
        }
    }

    /// What to do.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            Self::NoFarmer { hint, .. } => return hint.clone(),
            Self::NoKeys => {
                "import keys on the farmer's machine: a farmer and a pool key are needed before it can farm anything"
            }
            Self::NoPlots { explained: false } => "add a directory with plots: `farmconsole plots add -d DIR`",
            Self::NoPlots { explained: true } => "what else is wrong here says why",
            Self::NoSignagePoints { .. } => "see whether the farmer's full node is synced and connected",
            Self::SyncRefused { .. } => {
                "the farmer's log says more; a farmer and a harvester of the same release understand each other"
            }
            Self::FarmerTooOld { .. } => "update the farmer: releases from 2.7.4 on farm v2 plots",
            Self::Unsteady { .. } => {
                "see whether another harvester of this machine has the same certificate (the official one: `chia stop \
                 harvester`), and look at the network and into the farmer's log"
            }
            Self::NoDirectory { directory, .. } => {
                return format!(
                    "see whether its drive is mounted and whether this user may read it; if nothing is to be farmed \
                     there: `farmconsole plots remove -d {}`",
                    shell_word(directory)
                );
            }
            Self::DriveGone { .. } => "see whether it is connected and mounted; its plots come back with it",
            Self::DriveSick { .. } => "check its cable, power and SMART values, and the system's log",
            Self::DriveSlow { .. } => "see what else uses it; answers after 28 s lose the block",
            Self::PlotsDamaged { .. } => {
                "find damaged plots with `farmconsole plots check`, replace them, and look at the drive's SMART values"
            }
            Self::LookUpsFail { .. } => {
                "let it open more files (`ulimit -n`; systemd: LimitNOFILE=), or give it more memory, and start it anew"
            }
            Self::OtherFarmers { .. } => {
                "keep one farmer in `harvester.farmer_peers`: `farmconsole configure --set-farmer-peer HOST:PORT`"
            }
            Self::SettingsUnreadable { .. } => {
                "mend that (`farmconsole config check` tells every mistake in the file); harvesting goes on with what was \
                 read before"
            }
            Self::NotFarmed { .. } => "the console of this harvester (`farmconsole`) lists them, each with the reason",
        }
        .to_owned()
    }
}

impl fmt::Display for Concern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFarmer { reason, .. } => f.write_str(reason),
            Self::NoKeys => f.write_str("connected, but the farmer has sent no keys to farm with"),
            Self::NoPlots { .. } => f.write_str("no plot is farmed here"),
            Self::NoSignagePoints { for_s } => {
                write!(f, "the farmer has sent no signage point for {}", span(*for_s))
            }
            Self::SyncRefused { reason } => write!(f, "the farmer does not take the list of plots: {reason}"),
            Self::FarmerTooOld { farmer, plots } => write!(
                f,
                "{} not farmed: the farmer ({farmer}) is too old for {}",
                match plots {
                    1 => "1 v2 plot is".to_owned(),
                    _ => format!("{plots} v2 plots are"),
                },
                if *plots == 1 { "it" } else { "them" }
            ),
            Self::Unsteady { times, last } => write!(
                f,
                "the connection to the farmer ended {times} times in ten minutes, last: {last}"
            ),
            Self::NoDirectory { directory, why } => write!(f, "nothing is farmed from {directory}: {why}"),
            Self::DriveGone { drive, plots } => {
                write!(f, "drive {drive} is gone, and {} with it", count(*plots, "plot"))
            }
            Self::DriveSick {
                drive,
                plots,
                last_error,
            } => {
                write!(f, "drive {drive} with {} does not answer", count(*plots, "plot"))?;
                last_error.iter().try_for_each(|error| write!(f, ": {error}"))
            }
            Self::DriveSlow { drive } => write!(f, "drive {drive} needs more than 8 s for a look-up"),
            Self::PlotsDamaged { drive, look_ups, last } => write!(
                f,
                "{} on drive {drive} met a damaged plot, last: {last}",
                count(*look_ups, "look-up")
            ),
            Self::LookUpsFail { drive, last } => write!(f, "look-ups on drive {drive} fail: {last}"),
            Self::OtherFarmers { farmers } => write!(
                f,
                "the settings name {} farmers, and a harvester serves one: {} not dialled",
                farmers.len() + 1,
                match farmers.as_slice() {
                    [one] => format!("{one} is"),
                    many => format!("{} are", many.join(", ")),
                }
            ),
            Self::SettingsUnreadable { why } => write!(f, "the changed settings are not followed: {why}"),
            Self::NotFarmed { files: 1 } => f.write_str("1 file is not farmed"),
            Self::NotFarmed { files } => write!(f, "{files} files are not farmed"),
        }
    }
}

impl MachineSnapshot {
    /// What it does, in one word.
    #[must_use]
    pub fn status(&self) -> MachineStatus {
        match &self.farmer.state {
            FarmerLinkState::Connecting => return MachineStatus::Connecting,
            FarmerLinkState::Failing { .. } => return MachineStatus::NoFarmer,
            FarmerLinkState::NoKeys if self.waits_for_keys() => return MachineStatus::Connecting,
            FarmerLinkState::NoKeys => return MachineStatus::NoKeys,
            FarmerLinkState::Syncing { .. } => return MachineStatus::Syncing,
            FarmerLinkState::Synced => {}
        }
        if self.counts.farmed <= self.farmer.plots_too_new {
            MachineStatus::NoPlots
        } else if self.without_signage_points_s() >= QUIET_AFTER_S {
            MachineStatus::NoSignagePoints
        } else if self
            .volumes
            .iter()
            .any(|volume| !matches!(volume.state, VolumeState::Fine))
        {
            MachineStatus::DriveTrouble
        } else {
            MachineStatus::Harvesting
        }
    }

    /// What is wrong, the worst first. Empty when all is as it should be, or is about to be.
    #[must_use]
    pub fn concerns(&self) -> Vec<Concern> {
        let mut concerns = Vec::new();
        match (self.status(), &self.farmer.state) {
            (_, FarmerLinkState::Failing { reason, hint }) => concerns.push(Concern::NoFarmer {
                reason: reason.clone(),
                hint: hint.clone(),
            }),
            (MachineStatus::NoKeys, _) => concerns.push(Concern::NoKeys),
            (MachineStatus::NoPlots, _) => concerns.push(Concern::NoPlots {
                explained: self.has_unfarmed(),
            }),
            (MachineStatus::NoSignagePoints | MachineStatus::Syncing, _)
                if self.without_signage_points_s() >= QUIET_AFTER_S =>
            {
                concerns.push(Concern::NoSignagePoints {
                    for_s: self.without_signage_points_s(),
                });
            }
            _ => {}
        }
        self.add_concerns_of_farmer(&mut concerns);
        for trouble in self.troubles.iter().filter(|it| it.state == FileState::Directory) {
            // That of a drive that is gone is told of with its plots.
            if self.volumes.iter().all(|volume| volume.name != trouble.file) {
                concerns.push(Concern::NoDirectory {
                    directory: trouble.file.clone(),
                    why: trouble.reason.clone(),
                });
            }
        }
        for volume in &self.volumes {
            let drive = volume.name.clone();
            if let (Some(at), Some(last)) = (volume.last_damage_unix_ms, &volume.last_damage)
                && self.taken_at_unix_ms.saturating_sub(at) < DAMAGE_TOLD_FOR_MS
                // Then that is what is wrong with its plots.
                && !matches!(volume.state, VolumeState::Sick { .. } | VolumeState::Gone { .. })
            {
                concerns.push(Concern::PlotsDamaged {
                    drive: drive.clone(),
                    look_ups: volume.damaged,
                    last: last.clone(),
                });
            }
            if let (Some(at), Some(last)) = (volume.last_want_unix_ms, &volume.last_want)
                && self.taken_at_unix_ms.saturating_sub(at) < WANT_TOLD_FOR_MS
            {
                concerns.push(Concern::LookUpsFail {
                    drive: drive.clone(),
                    last: last.clone(),
                });
            }
            match volume.state {
                VolumeState::Fine => {}
                VolumeState::Slow => concerns.push(Concern::DriveSlow { drive }),
                VolumeState::Sick { .. } => concerns.push(Concern::DriveSick {
                    drive,
                    plots: volume.plots,
                    last_error: volume.last_error.clone(),
                }),
                VolumeState::Gone { .. } => concerns.push(Concern::DriveGone {
                    drive,
                    plots: volume.plots,
                }),
            }
        }
        if let Some(why) = &self.settings_trouble {
            concerns.push(Concern::SettingsUnreadable { why: why.clone() });
        }
        let files = self.counts.not_farmed();
        if files > 0 {
            concerns.push(Concern::NotFarmed { files });
        }
        concerns.sort_by_key(Concern::severity);
        concerns
    }

    /// Whether there are plots, or were, or files named like them, or directories that should have some.
    fn has_unfarmed(&self) -> bool {
        self.farmer.plots_too_new > 0
            || self.counts.not_farmed() > 0
            || self.troubles.iter().any(|it| it.state == FileState::Directory)
            || self
                .volumes
                .iter()
                .any(|it| matches!(it.state, VolumeState::Gone { .. }))
    }

    fn add_concerns_of_farmer(&self, concerns: &mut Vec<Concern>) {
        let farmer = &self.farmer;
        let since = |at: u64| self.taken_at_unix_ms.saturating_sub(at);
        if let Some(refused) = &farmer.sync_refused
            && since(refused.since_unix_ms) >= REFUSED_FOR_MS
        {
            concerns.push(Concern::SyncRefused {
                reason: refused.reason.clone(),
            });
        }
        let is_connected = matches!(farmer.state, FarmerLinkState::Syncing { .. } | FarmerLinkState::Synced);
        if is_connected && farmer.plots_too_new > 0 {
            concerns.push(Concern::FarmerTooOld {
                farmer: farmer.software_version.clone(),
                plots: farmer.plots_too_new,
            });
        }
        let ends = farmer
            .ended_at_unix_ms
            .iter()
            .filter(|at| since(**at) < UNSTEADY_WITHIN_MS);
        let times = ends.count() as u64;
        if times >= UNSTEADY_FROM {
            concerns.push(Concern::Unsteady {
                times,
                last: farmer.last_end.clone().unwrap_or_default(),
            });
        }
        if !farmer.not_dialled.is_empty() {
            concerns.push(Concern::OtherFarmers {
                farmers: farmer.not_dialled.clone(),
            });
        }
    }

    /// Farmers send their keys right after the handshake, so that they are not there yet means nothing for a moment.
    fn waits_for_keys(&self) -> bool {
        self.taken_at_unix_ms.saturating_sub(self.farmer.since_unix_ms) < KEYS_WITHIN_MS
    }

    /// Seconds since the last signage point, or since there could be one.
    fn without_signage_points_s(&self) -> u64 {
        let last = self.farmer.last_signage_point_unix_ms.unwrap_or_default();
        self.taken_at_unix_ms
            .saturating_sub(last.max(self.farmer.since_unix_ms))
            / 1000
    }
}

/// A damaged plot is met now and then; one that was replaced is told of no longer.
const DAMAGE_TOLD_FOR_MS: u64 = 24 * 3_600_000;

/// A process that wants for files or memory does so again before long, as long as nothing is done about it.
const WANT_TOLD_FOR_MS: u64 = 600_000;

/// A sync that met something that was changing is taken the next time, a second later.
const REFUSED_FOR_MS: u64 = 10_000;

/// A farmer that is started anew ends a connection once.
const UNSTEADY_FROM: u64 = 4;
const UNSTEADY_WITHIN_MS: u64 = 600_000;

/// Signage points come every 9 s on average; the longest pauses between two sub-slots stay below this.
const QUIET_AFTER_S: u64 = 60;

/// How long a farmer may take to send its keys.
const KEYS_WITHIN_MS: u64 = 5_000;

#[cfg(test)]
mod tests;
