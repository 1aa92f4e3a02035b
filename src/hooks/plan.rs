//! What is told: each incident once when it opens and once when it is over for good. Pure.
//!
//! An incident that closes and opens again within [`CLOSED_FOR_GOOD_AFTER`] is still the same one: a harvester whose cable
//! is loose makes two calls, not hundreds.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::{Call, Event, is_told};
use crate::clock::Mono;
use crate::snapshot::{AlarmView, Severity};

/// Which incidents were told, and what is to be told next.
#[derive(Debug)]
pub(super) struct Plan {
    network: String,
    minimum: Severity,
    told: BTreeMap<String, Told>,
    calls: VecDeque<Call>,
}

/// An incident that was told.
#[derive(Debug)]
struct Told {
    /// Of the alarm that was told last.
    number: u64,
    times: u32,
    /// When it is over for good, and how it ended.
    closing: Option<(Mono, Box<AlarmView>)>,
}

impl Plan {
    pub(super) fn new(network: &str, minimum: Severity) -> Self {
        Self {
            network: network.to_owned(),
            minimum,
            told: BTreeMap::new(),
            calls: VecDeque::new(),
        }
    }

    /// An alarm opened or closed.
    pub(super) fn handle(&mut self, now: Mono, event: Event) {
        self.handle_timeout(now);
        match event {
            Event::Opened(alarm) => self.handle_opened(&alarm),
            Event::Closed(alarm) => {
                if let Some(told) = self.told.get_mut(&alarm.kind.key()) {
                    told.closing = Some((now + CLOSED_FOR_GOOD_AFTER, alarm));
                }
            }
        }
    }

    /// When [`Self::handle_timeout`] should be called.
    pub(super) fn poll_timeout(&self) -> Option<Mono> {
        self.told
            .values()
            .filter_map(|told| Some(told.closing.as_ref()?.0))
            .min()
    }

    /// Tells of what is over for good.
    pub(super) fn handle_timeout(&mut self, now: Mono) {
        let (network, calls) = (&self.network, &mut self.calls);
        self.told.retain(|_, told| match &told.closing {
            Some((at, alarm)) if *at <= now => {
                calls.push_back(Call::new("closed", network, alarm, told.times));
                false
            }
            _ => true,
        });
    }

    /// The next call to make.
    pub(super) fn poll_call(&mut self) -> Option<Call> {
        self.calls.pop_front()
    }

    fn handle_opened(&mut self, alarm: &AlarmView) {
        // By what opens and closes as one, whatever the machine is called meanwhile.
        let incident = alarm.kind.key();
        if let Some(told) = self.told.get_mut(&incident) {
            let goes_on = told.number == alarm.number;
            if told.closing.take().is_some() {
                told.number = alarm.number;
                told.times = told.times.saturating_add(1);
                return;
            }
            // Told again by the farmer, because it has become worse or is not silenced any more.
            if goes_on {
                return;
            }
            // That the one before is over was lost in the crowd.
        }
        let is_about_hooks = alarm.kind.rule() == "alarm_hook_failing";
        // One that a person has seen was open before a restart.
        let is_wanted = is_told(alarm.severity, self.minimum) && !alarm.silenced && !alarm.acknowledged;
        if is_about_hooks || !is_wanted || self.told.len() >= MAX_TOLD {
            return;
        }
        self.told.insert(
            incident,
            Told {
                number: alarm.number,
                times: 1,
                closing: None,
            },
        );
        self.calls.push_back(Call::new("opened", &self.network, alarm, 1));
    }
}

/// How long an incident must stay closed to be over.
const CLOSED_FOR_GOOD_AFTER: Duration = Duration::from_secs(120);

/// Incidents that are remembered; the farmer has at most as many open.
const MAX_TOLD: usize = 4096;

#[cfg(test)]
mod tests {
    use super::super::tests::alarm;
    use super::*;
    use crate::snapshot::{AlarmKind, RewardTarget};

    const fn at(seconds: u64) -> Mono {
        Mono(seconds * 1_000_000)
    }

    fn calls(plan: &mut Plan) -> Vec<(&'static str, u32)> {
        std::iter::from_fn(|| plan.poll_call())
            .map(|call| (call.event, call.times))
            .collect()
    }

    fn opened(name: &str) -> Event {
        Event::Opened(Box::new(alarm(name)))
    }

    fn closed(name: &str) -> Event {
        Event::Closed(Box::new(alarm(name)))
    }

    #[test]
    fn incident_is_told_once_and_its_end_when_it_stays_away() {
        let mut plan = Plan::new("mainnet", Severity::Warning);
        plan.handle(at(0), opened("barn"));
        plan.handle(at(10), closed("barn"));
        assert_eq!(calls(&mut plan), [("opened", 1)]);
        assert_eq!(plan.poll_timeout(), Some(at(130)));
        plan.handle_timeout(at(130));
        assert_eq!(calls(&mut plan), [("closed", 1)]);
        assert_eq!(plan.poll_timeout(), None);
        plan.handle(at(131), opened("barn"));
        assert_eq!(calls(&mut plan), [("opened", 1)], "another incident");
    }

    #[test]
    fn incident_that_comes_and_goes_is_one() {
        let mut plan = Plan::new("mainnet", Severity::Warning);
        for round in 0..100 {
            plan.handle(at(round * 60), opened("barn"));
            plan.handle(at(round * 60 + 30), closed("barn"));
        }
        plan.handle_timeout(at(100 * 60 + 200));
        assert_eq!(calls(&mut plan), [("opened", 1), ("closed", 100)]);
    }

    #[test]
    fn incident_is_the_same_whoever_it_is_about_meanwhile_and_under_whatever_name() {
        let mut plan = Plan::new("mainnet", Severity::Warning);
        let lost = |number, name: &str| {
            let kind = AlarmKind::ProofLost {
                name: name.to_owned(),
                reason: "it was too late".to_owned(),
            };
            let alarm = AlarmView {
                number,
                kind,
                ..alarm(name)
            };
            Box::new(alarm)
        };
        plan.handle(at(0), Event::Opened(lost(1, "barn")));
        plan.handle(at(10), Event::Closed(lost(1, "shed")));
        plan.handle(at(500), Event::Opened(lost(2, "barn")));
        assert_eq!(calls(&mut plan), [("opened", 1), ("closed", 1), ("opened", 1)]);
        plan.handle(at(600), opened("rack"));
        plan.handle(at(610), closed("rack, the new one"));
        plan.handle_timeout(at(1000));
        assert_eq!(calls(&mut plan), [("opened", 1), ("closed", 1)]);
    }

    #[test]
    fn two_incidents_of_one_rule_and_machine_are_told_and_over_each_for_itself() {
        let mut plan = Plan::new("mainnet", Severity::Warning);
        let no_target = |number, target| {
            let kind = AlarmKind::NoRewardTarget { target };
            Box::new(AlarmView {
                number,
                kind,
                ..alarm("")
            })
        };
        plan.handle(at(0), Event::Opened(no_target(1, RewardTarget::Farmer)));
        plan.handle(at(1), Event::Opened(no_target(2, RewardTarget::Pool)));
        plan.handle(at(2), Event::Closed(no_target(1, RewardTarget::Farmer)));
        plan.handle_timeout(at(500));
        assert_eq!(calls(&mut plan), [("opened", 1), ("opened", 1), ("closed", 1)]);
        assert_eq!(plan.poll_timeout(), None, "the other one is open");
    }

    #[test]
    fn incident_whose_end_was_dropped_is_told_when_it_is_there_again_and_one_that_goes_on_is_not() {
        let mut plan = Plan::new("mainnet", Severity::Warning);
        let opened = |number| {
            Event::Opened(Box::new(AlarmView {
                number,
                ..alarm("barn")
            }))
        };
        plan.handle(at(0), opened(1));
        plan.handle(at(10), opened(1));
        assert_eq!(calls(&mut plan), [("opened", 1)]);
        plan.handle(at(900), opened(2));
        assert_eq!(calls(&mut plan), [("opened", 1)]);
    }

    #[test]
    fn silenced_seen_and_minor_alarms_are_not_told_nor_is_their_end() {
        let mut plan = Plan::new("mainnet", Severity::Critical);
        let variants: [fn(&mut AlarmView); 3] = [
            |alarm| alarm.silenced = true,
            |alarm| alarm.acknowledged = true,
            |alarm| alarm.severity = Severity::Warning,
        ];
        for change in variants {
            let mut alarm = alarm("barn");
            change(&mut alarm);
            plan.handle(at(0), Event::Opened(Box::new(alarm)));
            plan.handle(at(1), closed("barn"));
            plan.handle_timeout(at(1000));
            assert_eq!(calls(&mut plan), []);
        }
        plan.handle(at(2000), opened("barn"));
        assert_eq!(calls(&mut plan), [("opened", 1)]);
    }
}
