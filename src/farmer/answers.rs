//! Answers to signage points, and harvesters that owe them.

use std::sync::Arc;

use super::Farmer;
use super::asks::{Expired, LATE_AFTER};
use super::timers::Timer;
use crate::clock::Now;
use crate::ids::SpHash;
use crate::snapshot::{AlarmKind, AttemptOutcome, AttemptView, HarvesterId, HarvesterState, Notice};
use crate::wire::FarmingInfo;

impl Farmer {
    /// A harvester has looked a signage point up.
    pub(super) fn handle_farming_info(&mut self, now: Now, id: HarvesterId, info: &FarmingInfo) {
        let Some(slot) = self.harvesters.get_mut(id) else {
            return;
        };
        let Some(answer) = slot.asks.handle_answer(now, info) else {
            self.counters.unexpected_answers += 1;
            return;
        };
        if let Some(session) = &mut slot.session {
            session.answered = true;
        }
        let attempt = AttemptView {
            at_unix_ms: now.unix.0,
            harvester: id,
            harvester_name: Arc::clone(&slot.name),
            signage_point_index: answer.index,
            sp_hash: info.sp_hash,
            challenge_hash: info.challenge_hash,
            outcome: AttemptOutcome::Answered {
                passed: info.passed,
                total: info.total_plots,
                proofs: info.proofs,
                lookup_ms: answer.lookup_ms,
                round_trip_ms: super::proofs::millis(answer.round_trip),
            },
        };
        self.timers.put(Timer::Answers(id), slot.asks.due());
        self.roll_call.handle_answer(id, &answer, info);
        // Only then there may be a row that says that this answer is missing.
        if self.roll_call.is_overdue(&info.sp_hash) {
            self.attempts.record(attempt.clone());
        } else {
            self.attempts.add(attempt.clone());
        }
        self.notice(Notice::Attempt { attempt });
        self.review_answers(now, id);
        self.review_peer_clock(now, id, info);
        self.count_chances(now, id, info);
        self.begin_count(now, id, info);
    }

    /// A harvester did not take a signage point in time.
    pub(super) fn handle_signage_point_dropped(&mut self, id: HarvesterId, sp_hash: Option<SpHash>) {
        self.counters.dropped_signage_points += 1;
        if let Some(slot) = self.harvesters.get_mut(id) {
            slot.asks.handle_dropped(sp_hash);
            self.timers.put(Timer::Answers(id), slot.asks.due());
        }
    }

    /// A deadline for answers of a harvester has passed.
    pub(super) fn handle_answers_timer(&mut self, now: Now, id: HarvesterId) {
        let Some(slot) = self.harvesters.get_mut(id) else {
            return;
        };
        let expired = slot.asks.expire(now.mono);
        let name = Arc::clone(&slot.name);
        self.timers.put(Timer::Answers(id), slot.asks.due());
        for Expired {
            sp_hash,
            challenge_hash,
            index,
            plots,
            deadline,
        } in expired
        {
            self.roll_call.handle_overdue(&sp_hash);
            let attempt = AttemptView {
                at_unix_ms: now.unix.0,
                harvester: id,
                harvester_name: Arc::clone(&name),
                signage_point_index: index,
                sp_hash,
                challenge_hash,
                outcome: AttemptOutcome::NoAnswer {
                    total: plots,
                    after_s: u32::try_from(deadline.as_secs()).unwrap_or(u32::MAX),
                },
            };
            self.attempts.record(attempt.clone());
            // The second deadline tells nobody anything new.
            if deadline == LATE_AFTER {
                self.notice(Notice::Attempt { attempt });
            }
        }
        self.review_answers(now, id);
    }

    /// Opens, updates or closes the alarms of a harvester that answers late or not at all.
    pub(super) fn review_answers(&mut self, now: Now, id: HarvesterId) {
        let Some(slot) = self.harvesters.get(id) else { return };
        let (unanswered, (late, on_the_way)) = (slot.asks.unanswered_in_a_row(), slot.asks.late_of_last_ten());
        if unanswered == 0 && late == 0 && !self.alarms.concern(id) {
            return;
        }
        let name = slot.name.clone();
        let is_silent = matches!(slot.state(now.mono), HarvesterState::Silent { .. });
        let silent = AlarmKind::HarvesterSilent {
            harvester: id,
            name: name.to_string(),
            unanswered,
        };
        if unanswered == 0 {
            self.close_alarm(now, &silent);
        } else if is_silent || self.alarms.get(&silent.key()).is_some() {
            self.raise(now, silent);
        }
        let answers_late = AlarmKind::HarvesterLate {
            harvester: id,
            name: name.to_string(),
            late,
            on_the_way,
        };
        if late == 0 {
            self.close_alarm(now, &answers_late);
        } else if late >= LATE_ALARM_FROM || self.alarms.get(&answers_late.key()).is_some() {
            self.raise(now, answers_late);
        }
    }
}

/// A single late answer is shown, but wakes nobody.
const LATE_ALARM_FROM: u64 = 2;
