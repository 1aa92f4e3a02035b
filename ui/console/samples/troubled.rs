//! Farms that need a person.

use std::net::IpAddr;

use farmconsole::ids::PeerId;
use farmconsole::snapshot::*;

use super::{NOW, many};

/// Nine harvesters, of which one answers late now and then: a good day with one thing to look at.
pub(in super::super) fn one_late() -> FarmSnapshot {
    let mut farm = many();
    let late = &mut farm.harvesters[5];
    late.state = HarvesterState::Late;
    for (n, ms) in [(3, 8_900), (20, 12_400), (41, 9_100), (60, 26_100), (61, 12_400)] {
        late.lookups_ms[n] = Some(ms);
    }
    late.lookups_ms[50] = None;
    (late.answered_late, late.unanswered) = (5, 1);
    (late.lookup_p50_ms, late.lookup_p95_ms, late.lookup_max_ms) = (Some(440), Some(9_100), Some(26_100));
    for (index, lookup_ms) in [(35, 12_400), (34, 26_100)] {
        farm.roll_call[37 - usize::from(index)].in_time -= 1;
        farm.roll_call[37 - usize::from(index)].late += 1;
        farm.sub_slot[usize::from(index)] = SubSlotCell::Late;
        let attempt = attempt_of(&mut farm, "shelf-2", index);
        attempt.at_unix_ms = sent_at(index) + u64::from(lookup_ms);
        attempt.outcome = AttemptOutcome::Answered {
            passed: 3,
            total: 1_204,
            proofs: 0,
            lookup_ms,
            round_trip_ms: lookup_ms + 40,
        };
    }
    farm.attempts.sort_by_key(|a| std::cmp::Reverse(a.at_unix_ms));
    let id = farm.harvesters[5].id;
    let name = "shelf-2".to_owned();
    let kind = AlarmKind::HarvesterLate {
        harvester: id,
        name,
        late: 2,
        on_the_way: 0,
    };
    farm.alarms = vec![alarm(4, kind, NOW - 620_000)];
    farm
}

/// When a signage point of the sub-slot was sent.
fn sent_at(index: u8) -> u64 {
    NOW - 4_000 - u64::from(37 - index) * 9_375
}

fn attempt_of<'a>(farm: &'a mut FarmSnapshot, name: &str, index: u8) -> &'a mut AttemptView {
    let of = |a: &&mut AttemptView| &*a.harvester_name == name && a.signage_point_index == index;
    farm.attempts.iter_mut().find(of).unwrap()
}

/// Nine harvesters, of which some need a person: one is late, one is silent, one is gone, files are not farmed.
pub(in super::super) fn troubled() -> FarmSnapshot {
    let mut farm = one_late();
    let silent = &mut farm.harvesters[6];
    silent.state = HarvesterState::Silent { unanswered: 5 };
    for lookup in silent.lookups_ms.iter_mut().rev().take(5) {
        *lookup = None;
    }
    silent.unanswered = 5;
    silent.last_answer = silent.last_answer.take().map(|a| LastAnswerView {
        at_unix_ms: NOW - 50_600,
        ..a
    });
    let gone = &mut farm.harvesters[7];
    gone.state = HarvesterState::Absent {
        since_unix_ms: NOW - 1_260_000,
    };
    gone.last_answer = gone.last_answer.take().map(|a| LastAnswerView {
        at_unix_ms: NOW - 1_262_000,
        ..a
    });
    gone.lookups_ms.truncate(20);
    let files = &mut farm.harvesters[2];
    (files.failed, files.no_key, files.duplicates) = (3, 12, 1);
    files.plots = 1_078;
    files.last_plot_change = Some(PlotChangeView {
        at_unix_ms: NOW - 420_000,
        added: 0,
        removed: 109,
        removed_from: Some("/mnt/d7".to_owned()),
    });
    farm.harvesters[4].certificate_shared = true;
    farm.attempts.retain(|a| &*a.harvester_name != "garage");
    farm.attempts
        .retain(|a| &*a.harvester_name != "attic" || a.signage_point_index != 37);
    for index in 33..=36 {
        let attempt = attempt_of(&mut farm, "attic", index);
        attempt.at_unix_ms = sent_at(index) + 8_000;
        attempt.outcome = AttemptOutcome::NoAnswer { total: 977, after_s: 8 };
        farm.roll_call[37 - usize::from(index)].in_time -= 1;
        farm.sub_slot[usize::from(index)] = SubSlotCell::Late;
    }
    farm.attempts.sort_by_key(|a| std::cmp::Reverse(a.at_unix_ms));
    for point in &mut farm.roll_call {
        // The one that has gone is not asked.
        (point.asked, point.in_time) = (point.asked - 1, point.in_time - 1);
    }
    farm.sub_slot[9] = SubSlotCell::Missed;
    farm.signage_points.missed_24h = 3;
    farm.totals = FarmTotals {
        connected: 8,
        absent: 1,
        plots: 6_585,
        failed: 3,
        no_key: 12,
        duplicates: 1,
        ..farm.totals
    };
    farm.counters.refused.insert("foreign_ca".to_owned(), 14);
    let id = |n: usize| farm.harvesters[n].id;
    let kinds = [
        AlarmKind::HarvesterAbsent {
            harvester: id(7),
            name: "garage".to_owned(),
            plots: 1_316,
            why: "connection lost: connection reset by peer".to_owned(),
            refused: None,
        },
        AlarmKind::PlotsLost {
            harvester: id(2),
            name: "barn-2".to_owned(),
            lost: 109,
            directory: Some("/mnt/d7".to_owned()),
        },
        AlarmKind::HarvesterSilent {
            harvester: id(6),
            name: "attic".to_owned(),
            unanswered: 5,
        },
        AlarmKind::HarvesterLate {
            harvester: id(5),
            name: "shelf-2".to_owned(),
            late: 2,
            on_the_way: 0,
        },
        AlarmKind::CertificateShared {
            peer_id: PeerId([4; 32]),
            addresses: vec!["10.0.0.14".to_owned(), "10.0.0.31".to_owned()],
        },
        AlarmKind::ConnectionRefused {
            address: IpAddr::from([10, 0, 0, 77]),
            cause: RefusalCause::ForeignCa,
            times: 14,
        },
    ];
    farm.alarms = kinds
        .into_iter()
        .zip(1..)
        .map(|(kind, n)| alarm(n, kind, NOW - 1_300_000 + n * 170_000))
        .collect();
    farm.alarms[4].acknowledged = true;
    let mut over = alarm(
        9,
        AlarmKind::SignagePointsMissed {
            node: "127.0.0.1:8444".to_owned(),
            missed: 3,
        },
        NOW - 9_000_000,
    );
    over.closed_at_unix_ms = Some(NOW - 8_940_000);
    farm.alarm_history = vec![over];
    farm
}

/// Eight harvesters that farm and one that was revoked an hour ago, with what was wrong with it.
pub(in super::super) fn one_revoked() -> FarmSnapshot {
    let mut farm = many();
    let gone = &mut farm.harvesters[7];
    gone.state = HarvesterState::Revoked {
        since_unix_ms: NOW - 3_600_000,
    };
    gone.last_answer = gone.last_answer.take().map(|a| LastAnswerView {
        at_unix_ms: NOW - 3_602_000,
        ..a
    });
    gone.lookups_ms.truncate(20);
    let (plots, bytes, effective) = (gone.plots, gone.plot_bytes, gone.effective_bytes);
    farm.totals.plots -= plots;
    farm.totals.plot_bytes -= bytes;
    farm.totals.effective_bytes -= effective;
    farm.totals.connected -= 1;
    farm
}

/// An alarm that opened at a time.
pub(in super::super) fn alarm(number: u64, kind: AlarmKind, opened_at_unix_ms: u64) -> AlarmView {
    AlarmView {
        number,
        severity: kind.severity(),
        text: kind.to_string(),
        remedy: kind.remedy(),
        kind,
        opened_at_unix_ms,
        updated_at_unix_ms: opened_at_unix_ms,
        closed_at_unix_ms: None,
        acknowledged: false,
        silenced: false,
        cut_short: false,
    }
}
