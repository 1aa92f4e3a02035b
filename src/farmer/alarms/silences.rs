//! Silences: for a while nobody is told of some alarms. What opens meanwhile and is still open at the end is told then.

use std::time::Duration;

use super::{Alarms, Open};
use crate::clock::{Mono, Now};
use crate::snapshot::{AlarmKind, Notice, Silence};

impl Alarms {
    /// Whether one silence more would be too many.
    pub(in crate::farmer) fn may_silence(&self, rule: Option<&String>, machine: Option<&String>) -> bool {
        let is_same = |silence: &Silence| silence.rule.as_ref() == rule && silence.machine.as_ref() == machine;
        self.silences.len() < MAX_SILENCES || self.silences.iter().any(is_same)
    }

    /// Nobody is told of these alarms for a while, or from here on again. A silence of a rule and machine takes the place
    /// of the one before; an end without a rule or machine is that of all rules or machines.
    pub(in crate::farmer) fn silence(&mut self, now: Now, rule: Option<String>, machine: Option<String>, for_s: u64) {
        let is_end = for_s == 0;
        let fits = |asked: &Option<String>, has: &Option<String>| asked == has || (is_end && asked.is_none());
        self.silences.retain(|silence| {
            silence.until_unix_ms > now.unix.0 && !(fits(&rule, &silence.rule) && fits(&machine, &silence.machine))
        });
        if !is_end {
            self.silences.push(Silence {
                rule,
                machine,
                until_unix_ms: now.unix.0.saturating_add(for_s.saturating_mul(1000)),
                for_s,
            });
        }
    }

    /// What is silenced now.
    pub(in crate::farmer) fn silences(&self, now: Now) -> Vec<Silence> {
        let holds = |silence: &&Silence| silence.until_unix_ms > now.unix.0;
        self.silences.iter().filter(holds).cloned().collect()
    }

    /// When the first silence ends that keeps an open alarm from being told.
    pub(in crate::farmer) fn next_end_of_silence(&self, now: Now) -> Option<Mono> {
        let untold: Vec<_> = self.open.values().filter(|open| open.is_untold()).collect();
        let holds_back = |silence: &&Silence| {
            silence.until_unix_ms > now.unix.0 && untold.iter().any(|open| silence.covers(&open.view.kind))
        };
        let ends = self
            .silences
            .iter()
            .filter(holds_back)
            .map(|silence| silence.until_unix_ms);
        ends.min().map(|at| now.mono + Duration::from_millis(at - now.unix.0))
    }

    /// Tells of what has opened while it was silenced, is not silenced any more, and was seen by nobody.
    pub(in crate::farmer) fn tell_unsilenced(&mut self, now: Now) -> Vec<Notice> {
        let silences = &self.silences;
        let untold = self.open.values_mut().filter(|open| open.is_untold());
        let mut told: Vec<_> = untold
            .filter(|open| !is_silenced(silences, now, &open.view.kind))
            .map(|open| {
                open.view.silenced = false;
                open.view.updated_at_unix_ms = now.unix.0;
                open.view.clone()
            })
            .collect();
        told.sort_by_key(|view| view.number);
        told.into_iter().map(|alarm| Notice::AlarmOpened { alarm }).collect()
    }

    pub(super) fn is_silenced(&self, now: Now, kind: &AlarmKind) -> bool {
        is_silenced(&self.silences, now, kind)
    }
}

impl Open {
    /// Whether it opened while it was silenced, and nobody has seen it.
    const fn is_untold(&self) -> bool {
        self.view.silenced && !self.view.acknowledged
    }
}

fn is_silenced(silences: &[Silence], now: Now, kind: &AlarmKind) -> bool {
    let covers = |silence: &Silence| silence.until_unix_ms > now.unix.0 && silence.covers(kind);
    silences.iter().any(covers)
}

/// More silences than anybody remembers.
pub(in crate::farmer) const MAX_SILENCES: usize = 64;

#[cfg(test)]
mod tests {
    use super::super::HOUR;
    use super::super::tests::silent;
    use super::*;

    #[test]
    fn silence_covers_a_rule_or_a_machine_until_it_ends() {
        let mut alarms = Alarms::default();
        let (now, later) = (Now::default(), Now::default().after(HOUR));
        alarms.silence(now, Some("harvester_silent".to_owned()), None, 1800);
        let silenced = |alarms: &Alarms, now| alarms.views(now).iter().map(|view| view.silenced).collect::<Vec<_>>();
        assert!(matches!(alarms.raise(now, silent(2)), Some(Notice::AlarmOpened { alarm }) if alarm.silenced));
        alarms.raise(now, AlarmKind::NoKeys);
        assert_eq!(silenced(&alarms, now), [true, false]);
        assert_eq!(silenced(&alarms, later), [false, false]);
        alarms.silence(now, None, Some("barn".to_owned()), 7200);
        assert_eq!(silenced(&alarms, later), [true, false]);
        alarms.silence(now, None, Some("barn".to_owned()), 0);
        assert_eq!(alarms.silences(later), []);
    }

    #[test]
    fn an_end_without_a_rule_ends_all_silences_of_that_machine_or_of_all() {
        let silenced = || {
            let mut alarms = Alarms::default();
            for (rule, machine) in [
                (Some("harvester_silent"), None),
                (None, Some("barn")),
                (Some("no_keys"), Some("barn")),
            ] {
                alarms.silence(Now::default(), rule.map(str::to_owned), machine.map(str::to_owned), 60);
            }
            alarms
        };
        let left = |rule: Option<&str>, machine: Option<&str>| {
            let mut alarms = silenced();
            alarms.silence(Now::default(), rule.map(str::to_owned), machine.map(str::to_owned), 0);
            alarms.silences(Now::default()).len()
        };
        assert_eq!(left(None, None), 0);
        assert_eq!(left(None, Some("barn")), 1);
        assert_eq!(left(Some("no_keys"), None), 2);
        assert_eq!(left(Some("no_keys"), Some("shed")), 3);
    }

    #[test]
    fn what_opened_in_a_silence_is_told_when_that_ends_unless_it_was_seen_or_is_over() {
        let minutes = |minutes: u64| Now::default().after(Duration::from_secs(60 * minutes));
        let told = |alarms: &mut Alarms, now| {
            let told = alarms.tell_unsilenced(now);
            let of = |notice: &Notice| match notice {
                Notice::AlarmOpened { alarm } if !alarm.silenced => alarm.number,
                other => panic!("{other:?}"),
            };
            told.iter().map(of).collect::<Vec<_>>()
        };
        let silenced = || {
            let mut alarms = Alarms::default();
            alarms.silence(Now::default(), None, None, 1800);
            alarms.raise(minutes(1), silent(2));
            alarms.raise(minutes(1), AlarmKind::NoKeys);
            alarms
        };
        let mut alarms = silenced();
        assert_eq!(alarms.next_end_of_silence(minutes(2)), Some(minutes(30).mono));
        assert_eq!(told(&mut alarms, minutes(29)), [0; 0]);
        alarms.close(minutes(29), |kind| *kind == AlarmKind::NoKeys);
        assert_eq!(told(&mut alarms, minutes(30)), [1]);
        assert_eq!(alarms.next_end_of_silence(minutes(30)), None);
        assert_eq!(told(&mut alarms, minutes(31)), [0; 0], "once");
        let mut alarms = silenced();
        alarms.acknowledge(minutes(2), Some(2));
        alarms.silence(minutes(3), None, None, 0);
        assert_eq!(told(&mut alarms, minutes(3)), [1], "a person has ended it");
        let mut alarms = silenced();
        alarms.silence(minutes(2), None, Some("barn".to_owned()), 7200);
        assert_eq!(alarms.next_end_of_silence(minutes(2)), Some(minutes(30).mono));
        assert_eq!(told(&mut alarms, minutes(30)), [2], "another silence covers it");
        assert_eq!(alarms.next_end_of_silence(minutes(30)), Some(minutes(122).mono));
    }
}
