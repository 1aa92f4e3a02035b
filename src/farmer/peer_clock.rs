//! The clock of a harvester against this machine's: its answers tell when they were made. One that is far off farms on, and
//! when it connects the next time it may find that the farmer's certificate is not valid yet, or no more, and stay away.

use super::Farmer;
use crate::clock::Now;
use crate::snapshot::{AlarmKind, HarvesterId};
use crate::wire::FarmingInfo;

/// What the last answers of a harvester said of its clock.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct PeerClock {
    differed_in_a_row: u32,
}

impl PeerClock {
    pub(super) const fn agrees(&self) -> bool {
        self.differed_in_a_row == 0
    }

    /// Takes the time of an answer that came now, unix seconds. Seconds by which the clock is ahead.
    fn note(&mut self, now: Now, timestamp: u64) -> i64 {
        let seconds = |unix: u64| i64::try_from(unix).unwrap_or(i64::MAX);
        let ahead_s = seconds(timestamp).saturating_sub(seconds(now.unix.seconds()));
        self.differed_in_a_row = if ahead_s.unsigned_abs() > AGREES_S {
            self.differed_in_a_row.saturating_add(1)
        } else {
            0
        };
        ahead_s
    }
}

impl Farmer {
    /// Opens, updates or closes the alarm of a harvester whose clock differs. If this machine's own is known to be wrong,
    /// that is the alarm, and not one for each harvester.
    pub(super) fn review_peer_clock(&mut self, now: Now, id: HarvesterId, info: &FarmingInfo) {
        let Some(slot) = self.harvesters.get_mut(id).filter(|slot| !slot.embedded) else {
            return;
        };
        let differed = !slot.clock.agrees();
        let ahead_s = slot.clock.note(now, info.timestamp);
        if slot.clock.agrees() && !differed {
            return;
        }
        let alarm = AlarmKind::HarvesterClockDiffers {
            harvester: id,
            name: slot.name.to_string(),
            ahead_s,
        };
        let is_sure = slot.clock.differed_in_a_row >= SURE_FROM;
        let is_own_wrong = self.alarms.get(&AlarmKind::ClockWrong { ahead_s: 0 }.key()).is_some();
        if slot.clock.agrees() || is_own_wrong {
            self.close_alarm(now, &alarm);
        } else if is_sure {
            self.raise(now, alarm);
        }
    }
}

/// Clocks that differ by less agree, seconds. An answer may be under way for as long, before its connection is given up.
const AGREES_S: u64 = 60;

/// Answers in a row that make it sure: the clock of either may be set just now.
const SURE_FROM: u32 = 3;
