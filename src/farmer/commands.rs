//! What people and scripts ask for.

use std::collections::BTreeMap;

use super::Farmer;
use super::harvesters::{Slot, host_of};
use super::input::{Command, CommandError, ExpectedHarvester, FleetStatus};
use crate::clock::Now;
use crate::ids::PeerId;
use crate::snapshot::{AlarmKind, Concern, HarvesterId, UnlistedDirectory};

impl Farmer {
    /// Whether a command can be done. One that cannot is ignored by [`Farmer::handle`].
    ///
    /// # Errors
    /// Why it cannot.
    pub fn check(&self, command: &Command) -> Result<(), CommandError> {
        match command {
            Command::RefreshHarvester { harvester: None } | Command::AcknowledgeAlarm { number: None } => Ok(()),
            Command::RefreshHarvester {
                harvester: Some(harvester),
            } => {
                let harvester = *harvester;
                let slot = self.harvesters.get(harvester);
                let slot = slot.ok_or(CommandError::NoSuchHarvester { harvester })?;
                match slot.session {
                    Some(_) => Ok(()),
                    None => Err(CommandError::NotConnected {
                        name: slot.name.to_string(),
                    }),
                }
            }
            Command::AcknowledgeAlarm { number: Some(number) } => {
                let number = *number;
                if self.alarms.is_open(number) {
                    Ok(())
                } else {
                    Err(CommandError::NoSuchAlarm { number })
                }
            }
            Command::SilenceAlarms { rule, machine, for_s } => {
                let limit = super::alarms::silences::MAX_SILENCES;
                if *for_s == 0 || self.alarms.may_silence(rule.as_ref(), machine.as_ref()) {
                    Ok(())
                } else {
                    Err(CommandError::TooManySilences { limit })
                }
            }
        }
    }

    /// Names and alarms of certificates have changed.
    pub(super) fn handle_fleet(&mut self, now: Now, status: FleetStatus) {
        let FleetStatus {
            names,
            alarms,
            ca_key_copies,
            revoked,
            expected,
        } = status;
        self.ca_key_copies = ca_key_copies;
        self.harvesters.revoked = revoked;
        self.let_go_of_revoked(now);
        self.name_harvesters(now, &names);
        self.config.names.extend(names);
        for harvester in expected {
            self.expect(now, harvester);
        }
        let keys: Vec<_> = alarms.iter().map(AlarmKind::key).collect();
        self.close_alarms(now, |kind| kind.is_of_certificates() && !keys.contains(&kind.key()));
        for mut alarm in alarms.into_iter().filter(AlarmKind::is_of_certificates) {
            if let AlarmKind::HarvesterMissing { fingerprint, plots, .. } = &mut alarm {
                let is_it = |slot: &&Slot| slot.peer.peer_id.to_string() == *fingerprint;
                let slot = self.harvesters.all().map(|(_, slot)| slot).find(is_it);
                *plots = slot.map_or(0, |slot| self.harvesters.plots_of(slot));
            }
            self.raise(now, alarm);
        }
    }

    /// Calls harvesters as their certificates are called.
    fn name_harvesters(&mut self, now: Now, names: &BTreeMap<PeerId, String>) {
        // Once more, because a name may be free only when its harvester before has another.
        for _ in 0..2 {
            let named = self.harvesters.all().filter(|(_, slot)| !slot.embedded);
            let named =
                named.filter_map(|(id, slot)| Some((id, slot.name.clone(), names.get(&slot.peer.peer_id)?.clone())));
            for (id, before, name) in named.collect::<Vec<_>>() {
                let unique = self.harvesters.unique_name(name, id);
                if *before != *unique {
                    self.name_harvester(now, id, &unique);
                }
            }
        }
    }

    /// A harvester is called this from here on, also in what is open and silenced about it.
    fn name_harvester(&mut self, now: Now, id: HarvesterId, name: &str) {
        let Some(slot) = self.harvesters.get_mut(id) else {
            return;
        };
        let before = std::mem::replace(&mut slot.name, name.into());
        self.alarms.name_harvester(id, &before, name);
        self.review_unlisted_plots(now);
        self.review_pool_rewards(now);
        self.keep_alarm_memory(now);
    }

    /// A harvester of an earlier run has its place before it comes, so that nobody takes the farm for whole without it.
    fn expect(&mut self, now: Now, harvester: ExpectedHarvester) {
        let ExpectedHarvester {
            peer,
            first_seen,
            last_seen,
        } = harvester;
        let known = self.harvesters.of_peer(peer.peer_id);
        let id = known.unwrap_or_else(|| {
            let given = self.config.names.get(&peer.peer_id).cloned();
            let name = given.unwrap_or_else(|| host_of(&peer));
            let id = self.harvesters.add(now, name, peer, false);
            if let Some(slot) = self.harvesters.get_mut(id) {
                slot.connected_at = last_seen;
                "it has not come since this farmer was started".clone_into(&mut slot.gone_why);
            }
            id
        });
        if let Some(slot) = self.harvesters.get_mut(id) {
            slot.first_seen = first_seen.min(slot.first_seen);
        }
        if let Some(oldest) = self.harvesters.to_forget() {
            self.forget(now, oldest);
        }
    }

    /// Other plot directories of the farmer's own harvester give no plots than before.
    pub(super) fn handle_plot_directories(&mut self, now: Now, unlisted: Vec<UnlistedDirectory>) {
        let alarms = unlisted.into_iter().map(|it| AlarmKind::PlotDirectoryUnlisted {
            directory: it.directory,
            why: it.why,
        });
        let alarms: Vec<_> = alarms.collect();
        let keys: Vec<_> = alarms.iter().map(AlarmKind::key).collect();
        self.close_alarms(now, |kind| {
            matches!(kind, AlarmKind::PlotDirectoryUnlisted { .. }) && !keys.contains(&kind.key())
        });
        for alarm in alarms {
            self.raise(now, alarm);
        }
    }

    /// Other drives of the farmer's own harvester fail it than before, or otherwise.
    pub(super) fn handle_drive_troubles(&mut self, now: Now, troubles: &[Concern]) {
        let own = self.harvesters.all().find(|(_, slot)| slot.embedded);
        let Some((harvester, name)) = own.map(|(id, slot)| (id, slot.name.clone())) else {
            return;
        };
        let alarm = |trouble: &Concern| AlarmKind::DriveTrouble {
            harvester,
            name: name.to_string(),
            trouble: trouble.clone(),
        };
        let alarms: Vec<_> = troubles.iter().filter(|it| it.drive().is_some()).map(alarm).collect();
        let keys: Vec<_> = alarms.iter().map(AlarmKind::key).collect();
        self.close_alarms(now, |kind| {
            matches!(kind, AlarmKind::DriveTrouble { .. }) && !keys.contains(&kind.key())
        });
        for alarm in alarms {
            self.raise(now, alarm);
        }
    }

    /// Does what can be done.
    pub(super) fn handle_command(&mut self, now: Now, command: Command) {
        if self.check(&command).is_err() {
            return;
        }
        match command {
            Command::RefreshHarvester { harvester } => {
                let connected = self.harvesters.connected().map(|(id, ..)| id);
                let wanted: Vec<_> = connected
                    .filter(|id| harvester.is_none_or(|wanted| wanted == *id))
                    .collect();
                for id in wanted {
                    self.begin_cross_check(now, id);
                }
            }
            Command::AcknowledgeAlarm { number } => {
                let (notices, settled) = self.alarms.acknowledge(now, number);
                self.note_closed(now, notices);
                self.keep_alarm_memory(now);
                for kind in settled {
                    if let AlarmKind::PlotsLost {
                        harvester, directory, ..
                    } = kind
                        && let Some(slot) = self.harvesters.get_mut(harvester)
                    {
                        let lost = slot.lost.remove(&directory.unwrap_or_default());
                        let certificate = slot.peer.peer_id;
                        self.forget_plots(certificate, lost.unwrap_or_default().into_keys().collect());
                    }
                }
            }
            Command::SilenceAlarms { rule, machine, for_s } => {
                self.alarms.silence(now, rule, machine, for_s);
                self.keep_alarm_memory(now);
                self.tell_unsilenced(now);
            }
        }
    }
}
