//! Incidents: each opens once, keeps its numbers up to date, and closes by itself when it is over.

pub(super) mod silences;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::clock_set::ClockSet;
use crate::clock::{Mono, Now};
use crate::snapshot::{
    ALARM_HISTORY_KEPT, AlarmKind, AlarmMemory, AlarmView, HarvesterId, Notice, SeenIncident, Silence,
};

/// Alarms that are open, and the last that were.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct Alarms {
    opened: u64,
    #[serde(with = "by_key")]
    open: BTreeMap<String, Open>,
    history: VecDeque<AlarmView>,
    dropped: u64,
    silences: Vec<Silence>,
    /// Incidents that were open and seen when the last run ended.
    seen_before: Vec<SeenIncident>,
    started: Mono,
}

#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct Open {
    view: AlarmView,
    /// When it closes if it is not raised again.
    over_at: Option<Mono>,
}

impl Alarms {
    /// Starts with what people said before.
    pub(super) fn new(now: Now, mut memory: AlarmMemory) -> Self {
        for silence in &mut memory.silences {
            // Either clock may have been wrong: no silence becomes longer than a person wanted it.
            if silence.for_s > 0 {
                let longest = now.unix.0.saturating_add(silence.for_s.saturating_mul(1000));
                silence.until_unix_ms = silence.until_unix_ms.min(longest);
            }
        }
        Self {
            silences: memory.silences,
            seen_before: memory.seen,
            started: now.mono,
            ..Self::default()
        }
    }

    /// The wall clock was set.
    pub(super) fn carry_times(&mut self, set: &ClockSet) {
        let open = self.open.values_mut().map(|open| &mut open.view);
        for view in open.chain(&mut self.history) {
            let times = [&mut view.opened_at_unix_ms, &mut view.updated_at_unix_ms].into_iter();
            times.chain(&mut view.closed_at_unix_ms).for_each(|at| set.carry(at));
        }
        for silence in &mut self.silences {
            let begun = silence.until_unix_ms.saturating_sub(silence.for_s.saturating_mul(1000));
            if silence.for_s > 0 && set.concerns(begun) {
                silence.until_unix_ms = set.apply(silence.until_unix_ms);
            }
        }
    }

    /// What was wrong in earlier runs comes after what is over in this one.
    pub(super) fn handle_past(&mut self, past: Vec<AlarmView>) {
        let room = ALARM_HISTORY_KEPT.saturating_sub(self.history.len());
        for view in past
            .into_iter()
            .filter(|view| view.closed_at_unix_ms.is_some())
            .take(room)
        {
            // Of this run, so that no two alarms on a screen have one number.
            self.opened += 1;
            self.history.push_back(AlarmView {
                number: self.opened,
                ..view
            });
        }
    }

    /// Opens an alarm, or brings an open one up to date. The notice is for one that was not open, or has become worse.
    pub(super) fn raise(&mut self, now: Now, kind: AlarmKind) -> Option<Notice> {
        let key = kind.key();
        let over_at = lifetime(&kind).map(|lifetime| now.mono + lifetime);
        if let Some(open) = self.open.get_mut(&key) {
            open.over_at = over_at;
            if open.view.kind == kind {
                return None;
            }
            // The worst comes first.
            let is_worse = kind.severity() < open.view.severity;
            open.view.severity = kind.severity();
            open.view.text = kind.to_string();
            open.view.remedy = kind.remedy();
            open.view.kind = kind;
            open.view.updated_at_unix_ms = now.unix.0;
            return is_worse.then(|| Notice::AlarmOpened {
                alarm: open.view.clone(),
            });
        }
        let of_refusals = |open: &&Open| matches!(open.view.kind, AlarmKind::ConnectionRefused { .. });
        let is_refusal = matches!(kind, AlarmKind::ConnectionRefused { .. });
        if self.open.len() >= MAX_OPEN || is_refusal && self.open.values().filter(of_refusals).count() >= MAX_REFUSALS {
            self.dropped += 1;
            return None;
        }
        self.opened += 1;
        let seen = self.take_seen_before(now, &kind);
        let view = AlarmView {
            silenced: self.is_silenced(now, &kind),
            number: self.opened,
            severity: kind.severity(),
            text: kind.to_string(),
            remedy: kind.remedy(),
            kind,
            opened_at_unix_ms: seen.as_ref().map_or(now.unix.0, |seen| seen.opened_at_unix_ms),
            updated_at_unix_ms: now.unix.0,
            closed_at_unix_ms: None,
            acknowledged: seen.is_some(),
            cut_short: false,
        };
        self.open.insert(
            key,
            Open {
                view: view.clone(),
                over_at,
            },
        );
        Some(Notice::AlarmOpened { alarm: view })
    }

    /// The open alarm of this key.
    pub(super) fn get(&self, key: &str) -> Option<&AlarmKind> {
        self.open.get(key).map(|open| &open.view.kind)
    }

    /// Whether any open alarm is about this harvester.
    pub(super) fn concern(&self, harvester: HarvesterId) -> bool {
        let mut open = self.open.values();
        open.any(|open| open.view.kind.harvester() == Some(harvester))
    }

    /// Closes all open alarms that are like this.
    pub(super) fn close(&mut self, now: Now, is_over: impl Fn(&AlarmKind) -> bool) -> Vec<Notice> {
        self.close_those(now, |open| is_over(&open.view.kind))
    }

    /// Closes the alarm of this key, if it is open.
    pub(super) fn close_key(&mut self, now: Now, key: &str) -> Option<Notice> {
        let open = self.open.remove(key)?;
        Some(self.file(now, open.view))
    }

    /// Closes those that only tell of something past, long enough ago.
    pub(super) fn close_old(&mut self, now: Now) -> Vec<Notice> {
        self.close_those(now, |open| open.over_at.is_some_and(|at| at <= now.mono))
    }

    /// When [`Self::close_old`] should be called.
    pub(super) fn next_close(&self) -> Option<Mono> {
        self.open.values().filter_map(|open| open.over_at).min()
    }

    /// A person has seen it. What only tells of something past closes; the kinds that did are returned too.
    pub(super) fn acknowledge(&mut self, now: Now, number: Option<u64>) -> (Vec<Notice>, Vec<AlarmKind>) {
        let mut open: Vec<&mut Open> = self.open.values_mut().collect();
        open.sort_by_key(|open| open.view.number);
        let (mut notices, mut settled) = (Vec::new(), Vec::new());
        let is_settled = |open: &Open| open.view.acknowledged && is_of_the_past(&open.view.kind);
        for open in open {
            let is_meant = number.is_none_or(|number| number == open.view.number);
            if is_meant && !std::mem::replace(&mut open.view.acknowledged, true) {
                let alarm = open.view.clone();
                notices.push(Notice::AlarmSeen { alarm });
            }
            if is_settled(open) {
                settled.push(open.view.kind.clone());
            }
        }
        notices.extend(self.close_those(now, is_settled));
        (notices, settled)
    }

    /// Whether an alarm of this number is open.
    pub(super) fn is_open(&self, number: u64) -> bool {
        self.open.values().any(|open| open.view.number == number)
    }

    /// Open alarms, worst and oldest first.
    pub(super) fn views(&self, now: Now) -> Vec<AlarmView> {
        let view = |open: &Open| AlarmView {
            silenced: self.is_silenced(now, &open.view.kind),
            ..open.view.clone()
        };
        let mut views: Vec<_> = self.open.values().map(view).collect();
        views.sort_by_key(|view| (view.severity, view.opened_at_unix_ms, view.number));
        views
    }

    /// Alarms that are over, the last that closed first. One that was seen in an earlier run and goes on in this one is not.
    pub(super) fn history(&self) -> Vec<AlarmView> {
        let goes_on = |past: &AlarmView, open: &Open| {
            open.view.opened_at_unix_ms == past.opened_at_unix_ms && open.view.kind.incident() == past.kind.incident()
        };
        let is_over = |past: &&AlarmView| !self.open.values().any(|open| goes_on(past, open));
        self.history.iter().filter(is_over).cloned().collect()
    }

    /// Alarms that were not opened because too many were.
    pub(super) const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// A harvester has another name.
    pub(super) fn name_harvester(&mut self, id: HarvesterId, before: &str, name: &str) {
        for Open { view, .. } in self.open.values_mut() {
            if view.kind.harvester() == Some(id)
                && let Some(machine) = view.kind.harvester_name_mut()
            {
                name.clone_into(machine);
                view.text = view.kind.to_string();
                view.remedy = view.kind.remedy();
            }
        }
        for silence in &mut self.silences {
            if silence.machine.as_deref() == Some(before) {
                silence.machine = Some(name.to_owned());
            }
        }
    }

    /// What is to be known after a restart.
    pub(super) fn memory(&self, now: Now) -> AlarmMemory {
        let seen = self.open.values().filter(|open| open.view.acknowledged);
        AlarmMemory {
            silences: self.silences(now),
            seen: seen
                .map(|open| SeenIncident {
                    incident: open.view.kind.incident(),
                    opened_at_unix_ms: open.view.opened_at_unix_ms,
                })
                .collect(),
        }
    }

    /// The incident that was open and seen before the restart, if this is it: soon after the start it is.
    fn take_seen_before(&mut self, now: Now, kind: &AlarmKind) -> Option<SeenIncident> {
        if self.seen_before.is_empty() || now.mono.since(self.started) > HOUR {
            self.seen_before.clear();
            return None;
        }
        let incident = kind.incident();
        let place = self.seen_before.iter().position(|seen| seen.incident == incident)?;
        Some(self.seen_before.swap_remove(place))
    }

    fn close_those(&mut self, now: Now, is_over: impl Fn(&Open) -> bool) -> Vec<Notice> {
        let keys = self
            .open
            .iter()
            .filter(|(_, open)| is_over(open))
            .map(|(key, _)| key.clone());
        let keys: Vec<_> = keys.collect();
        let mut closed: Vec<_> = keys
            .iter()
            .filter_map(|key| self.open.remove(key))
            .map(|open| open.view)
            .collect();
        closed.sort_by_key(|view| view.number);
        closed.into_iter().map(|view| self.file(now, view)).collect()
    }

    /// Puts an alarm that is over into the history.
    fn file(&mut self, now: Now, mut view: AlarmView) -> Notice {
        view.closed_at_unix_ms = Some(now.unix.0);
        self.history.truncate(ALARM_HISTORY_KEPT - 1);
        self.history.push_front(view.clone());
        Notice::AlarmClosed { alarm: view }
    }
}

/// How long an alarm stays open that tells of something past; `None` for a state, which ends when it ends.
const fn lifetime(kind: &AlarmKind) -> Option<Duration> {
    match kind {
        AlarmKind::SignagePointsMissed { .. }
        | AlarmKind::ConnectionRefused { .. }
        | AlarmKind::NodeTakesNothing { .. } => Some(TEN_MINUTES),
        AlarmKind::InvalidProofs { .. } | AlarmKind::TooManyProofs { .. } | AlarmKind::PartialsLost { .. } => {
            Some(HOUR)
        }
        AlarmKind::ProofLost { .. } | AlarmKind::SigningRefused { .. } | AlarmKind::RewardOverrideRefused { .. } => {
            Some(DAY)
        }
        _ => None,
    }
}

/// Whether there is nothing left to watch once a person knows. Lost plots may come back, but a person may also have taken
/// them away.
const fn is_of_the_past(kind: &AlarmKind) -> bool {
    lifetime(kind).is_some() || matches!(kind, AlarmKind::PlotsLost { .. })
}

/// A sub-slot: when that long nothing was missed, it is over.
/// Open alarms without their keys: those follow from what the alarms are about.
mod by_key {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serializer};

    use super::Open;

    pub(super) fn serialize<S: Serializer>(open: &BTreeMap<String, Open>, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(open.values())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<BTreeMap<String, Open>, D::Error> {
        let open = Vec::<Open>::deserialize(d)?;
        Ok(open.into_iter().map(|open| (open.view.kind.key(), open)).collect())
    }
}

const TEN_MINUTES: Duration = Duration::from_secs(600);
const HOUR: Duration = Duration::from_secs(3600);
/// Long enough that the person who comes by once a day sees it.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// More open alarms than anybody reads; 500 harvesters that all go at once fit.
pub(super) const MAX_OPEN: usize = 1024;

/// Strangers must not push real alarms out.
const MAX_REFUSALS: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{RefusalCause, Severity};

    pub(super) fn silent(unanswered: u64) -> AlarmKind {
        AlarmKind::HarvesterSilent {
            harvester: HarvesterId(1),
            name: "barn".to_owned(),
            unanswered,
        }
    }

    fn missed() -> AlarmKind {
        AlarmKind::SignagePointsMissed {
            node: "node".to_owned(),
            missed: 1,
        }
    }

    #[test]
    fn open_alarm_that_becomes_worse_is_told_again_and_one_that_becomes_better_is_not() {
        let mut alarms = Alarms::default();
        let no_signage_points = |others_do| AlarmKind::NoSignagePoints {
            node: "node".to_owned(),
            last_unix_ms: None,
            why: None,
            others_do,
        };
        let mut told = |others_do| match alarms.raise(Now::default(), no_signage_points(others_do)) {
            Some(Notice::AlarmOpened { alarm }) => Some((alarm.number, alarm.severity)),
            _ => None,
        };
        assert_eq!(told(true), Some((1, Severity::Warning)));
        assert_eq!(told(false), Some((1, Severity::Critical)));
        assert_eq!(told(true), None);
    }

    #[test]
    fn alarm_opens_once_and_keeps_its_numbers_up_to_date() {
        let mut alarms = Alarms::default();
        let later = Now::default().after(HOUR);
        assert!(alarms.raise(Now::default(), silent(2)).is_some());
        assert!(alarms.raise(later, silent(3)).is_none());
        let views = alarms.views(Now::default());
        assert_eq!(views.len(), 1);
        assert_eq!(views[0].kind, silent(3));
        assert_eq!(
            (views[0].opened_at_unix_ms, views[0].updated_at_unix_ms),
            (0, later.unix.0)
        );
        assert!(views[0].text.contains("3 signage points"));
    }

    #[test]
    fn state_closes_when_it_is_over_and_goes_to_the_history() {
        let mut alarms = Alarms::default();
        alarms.raise(Now::default(), silent(2));
        let notices = alarms.close(Now::default().after(HOUR), |kind| {
            matches!(kind, AlarmKind::HarvesterSilent { .. })
        });
        assert!(matches!(notices.as_slice(), [Notice::AlarmClosed { .. }]));
        assert!(alarms.views(Now::default()).is_empty());
        assert_eq!(alarms.history()[0].closed_at_unix_ms, Some(3_600_000));
        assert!(
            alarms.raise(Now::default(), silent(2)).is_some(),
            "the same again is a new incident"
        );
    }

    #[test]
    fn past_event_closes_by_itself_or_when_it_was_seen() {
        let mut alarms = Alarms::default();
        alarms.raise(Now::default(), missed());
        let due = alarms.next_close().expect("closes by itself");
        assert!(
            alarms
                .close_old(Now {
                    mono: Mono(due.0 - 1),
                    ..Now::default()
                })
                .is_empty()
        );
        assert_eq!(
            alarms
                .close_old(Now {
                    mono: due,
                    ..Now::default()
                })
                .len(),
            1
        );
        alarms.raise(Now::default(), missed());
        alarms.raise(Now::default(), silent(2));
        let (notices, settled) = alarms.acknowledge(Now::default(), None);
        assert_eq!(
            (notices.len(), settled),
            (3, vec![missed()]),
            "two seen, one of them over"
        );
        assert_eq!(alarms.views(Now::default()).len(), 1);
        assert!(alarms.views(Now::default())[0].acknowledged);
    }

    #[test]
    fn worst_and_oldest_come_first() {
        let mut alarms = Alarms::default();
        alarms.raise(Now::default(), missed());
        alarms.raise(Now::default().after(HOUR), silent(2));
        alarms.raise(Now::default().after(DAY), AlarmKind::NoKeys);
        let severities: Vec<_> = alarms
            .views(Now::default())
            .into_iter()
            .map(|view| (view.severity, view.number))
            .collect();
        assert_eq!(
            severities,
            [(Severity::Critical, 2), (Severity::Critical, 3), (Severity::Warning, 1)]
        );
    }

    #[test]
    fn strangers_cannot_push_alarms_out() {
        let mut alarms = Alarms::default();
        for host in 0..1000_u32 {
            let kind = AlarmKind::ConnectionRefused {
                address: std::net::Ipv4Addr::from(host).into(),
                cause: RefusalCause::ForeignCa,
                times: 1,
            };
            alarms.raise(Now::default(), kind);
        }
        assert_eq!(alarms.views(Now::default()).len(), MAX_REFUSALS);
        assert_eq!(alarms.dropped(), 1000 - MAX_REFUSALS as u64);
        assert!(alarms.raise(Now::default(), AlarmKind::NoKeys).is_some());
    }

    #[test]
    fn history_is_bounded() {
        let mut alarms = Alarms::default();
        for _ in 0..200 {
            alarms.raise(Now::default(), AlarmKind::NoKeys);
            alarms.close(Now::default(), |_| true);
        }
        assert_eq!(alarms.history().len(), ALARM_HISTORY_KEPT);
        assert_eq!(alarms.history()[0].number, 200);
    }

    #[test]
    fn what_was_over_before_a_restart_comes_after_what_is_over_since() {
        let (before, now) = (Now::default(), Now::default().after(DAY));
        let mut earlier = Alarms::default();
        earlier.raise(before, silent(2));
        earlier.acknowledge(before, None);
        let memory = earlier.memory(before);
        for kind in [AlarmKind::NoKeys, missed()] {
            earlier.raise(before, kind);
        }
        earlier.close(before.after(HOUR), |_| true);
        let mut alarms = Alarms::new(now, memory);
        alarms.raise(now, AlarmKind::NoKeys);
        alarms.close(now, |_| true);
        alarms.handle_past(earlier.history());
        alarms.raise(now, silent(3));
        let told = alarms.history();
        let kinds: Vec<_> = told.iter().map(|view| view.kind.rule()).collect();
        assert_eq!(
            kinds,
            ["no_keys", "signage_points_missed", "no_keys"],
            "what was seen goes on, and is not over"
        );
        let mut numbers: Vec<_> = told.iter().chain(&alarms.views(now)).map(|view| view.number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 4, "each has a number of its own");
        alarms.handle_past(vec![told[0].clone(); 2 * ALARM_HISTORY_KEPT]);
        assert_eq!(alarms.history.len(), ALARM_HISTORY_KEPT);
    }

    #[test]
    fn incident_that_was_seen_before_a_restart_is_the_same_one_after_it() {
        let mut alarms = Alarms::default();
        alarms.raise(Now::default(), silent(2));
        alarms.acknowledge(Now::default(), None);
        alarms.silence(Now::default(), None, None, 1_000_000);
        let memory = alarms.memory(Now::default());
        let restart = Now::default().after(DAY);
        let other_number = AlarmKind::HarvesterSilent {
            harvester: HarvesterId(7),
            name: "barn".to_owned(),
            unanswered: 5,
        };
        let mut alarms = Alarms::new(restart, memory.clone());
        alarms.raise(restart, other_number.clone());
        let view = alarms.views(restart).remove(0);
        assert_eq!(
            (view.opened_at_unix_ms, view.acknowledged, view.silenced),
            (0, true, true)
        );
        let mut alarms = Alarms::new(restart, memory);
        alarms.raise(restart.after(HOUR * 2), other_number);
        assert!(
            !alarms.views(restart).remove(0).acknowledged,
            "hours later it is a new one"
        );
    }
}
