//! Farms to draw: made up, the same every time.

mod pages;
mod pools;
mod troubled;

use std::sync::Arc;

use farmconsole::clock::UnixMillis;
use farmconsole::handle::FeedEvent;
use farmconsole::ids::{ChallengeHash, PeerId, PlotId, QualityString, SpHash};
use farmconsole::logging::{LogLevel, LogRecord, Service};
use farmconsole::snapshot::*;

pub(super) use self::pages::{drives, lost_page, monitor, page, past};
pub(super) use self::pools::pooled;
pub(super) use self::troubled::{alarm, one_late, one_revoked, troubled};
use super::model::Model;
use super::palette::Palette;
use super::theme::{Charset, Depth, Theme};
use super::times::Zone;
use crate::feed::FarmerPlace;

/// 2026-11-20 14:02:31 UTC.
pub(super) const NOW: u64 = 1_795_183_351_000;

/// A console in colour on a picture.
pub(super) fn model(snapshot: FarmSnapshot, columns: u16, rows: u16) -> Model {
    let theme = Theme {
        depth: Depth::True,
        charset: Charset::Unicode,
        palette: Palette::built_in("dark"),
    };
    let mut model = Model::new(FarmerPlace::Elsewhere, Arc::new(snapshot), theme, Zone::utc());
    model.size = (columns, rows);
    model
}

/// A message that passed.
pub(super) fn message_record(at_unix_ms: u64, peer_name: &str) -> MessageRecord {
    MessageRecord {
        at_unix_ms,
        direction: Direction::In,
        message: "farming_info".into(),
        peer_name: peer_name.to_owned().into(),
        host: "10.0.0.7".to_owned().into(),
        peer_id: PeerId([7; 32]),
        detail: "3/864".to_owned(),
        content: format!(
            "challenge_hash: {}\nsp_hash: {}\ntimestamp: {}\npassed: 3\nproofs: 0\ntotal_plots: 864\nlookup_time: 213000 us\n",
            ChallengeHash([3; 32]),
            SpHash([37; 32]),
            at_unix_ms / 1_000
        ).into(),
    }
}

/// A line of the log.
pub(super) fn log_record(at_unix_ms: u64, level: LogLevel, message: &str) -> LogRecord {
    LogRecord {
        number: at_unix_ms,
        at_unix_ms: UnixMillis(at_unix_ms),
        level,
        service: Service::Farmer,
        logger: "farmer".to_owned(),
        message: message.to_owned(),
    }
}

/// Just started: nothing is there.
pub(super) fn empty() -> FarmSnapshot {
    FarmSnapshot {
        snapshot_version: SNAPSHOT_VERSION,
        software_version: "0.1.0".to_owned(),
        taken_at_unix_ms: NOW,
        started_at_unix_ms: NOW - 2_000,
        network: "mainnet".to_owned(),
        simulated: false,
        status: FarmStatus::Starting {
            waits_for: Awaited::SignagePoint,
        },
        nodes: vec![],
        listening_on: vec!["0.0.0.0:8447".to_owned()],
        keys: KeysView::default(),
        signage_point: None,
        sub_slot: vec![],
        signage_points: SignagePointCounts::default(),
        harvesters: vec![],
        attempts: vec![],
        roll_call: vec![],
        proofs: vec![],
        totals: FarmTotals::default(),
        wins: WinCounts::default(),
        pools: Vec::new(),
        alarms: vec![],
        alarm_history: vec![],
        counters: Counters::default(),
        simulated_chain: None,
        monitor: MonitorView::default(),
        luck: LuckView::default(),
        history: HistoryView::default(),
        silences: vec![],
    }
}

/// One harvester that farms.
pub(super) fn one() -> FarmSnapshot {
    farm(&[("barn-3", 864)])
}

/// Nine harvesters, all fine.
pub(super) fn many() -> FarmSnapshot {
    farm(&NINE)
}

const NINE: [(&str, u64); 9] = [
    ("local", 26),
    ("barn-1", 1_204),
    ("barn-2", 1_187),
    ("barn-3", 864),
    ("shelf-1", 412),
    ("shelf-2", 1_204),
    ("attic", 977),
    ("garage", 1_316),
    ("10.0.0.19", 820),
];

/// The simulated chain with three small harvesters that have won.
pub(super) fn simulated() -> FarmSnapshot {
    let mut farm = farm(&[("harvester-1", 4), ("harvester-2", 4), ("harvester-3", 4)]);
    farm.network = "simulator1".to_owned();
    farm.simulated = true;
    farm.nodes[0].name = "simulated chain".to_owned();
    farm.nodes[0].synced = None;
    farm.nodes[0].netspace_bytes = None;
    farm.simulated_chain = Some(SimulatedChainView {
        interval_ms: 2_000,
        seed: 1,
        blocks: 21,
        refused: 0,
        last_refusal: None,
    });
    farm.wins = WinCounts {
        proofs: 58,
        not_good_enough: 37,
        declared: 21,
        blocks_signed: 21,
        blocks_accepted: 21,
        last_block_unix_ms: Some(NOW - 31_000),
        ..WinCounts::default()
    };
    farm.proofs[0].stage = ProofStage::BlockAccepted { height: 421 };
    farm
}

/// A farm of named harvesters, all fine, thirty-seven signage points into a sub-slot.
pub(super) fn farm(members: &[(&str, u64)]) -> FarmSnapshot {
    let mut chance = Chance(members.len() as u64 + 11);
    let harvesters: Vec<_> = (0u32..)
        .zip(members)
        .map(|(n, member)| harvester(n, *member, &mut chance))
        .collect();
    let plots: u64 = members.iter().map(|(_, plots)| plots).sum();
    let mut attempts = Vec::new();
    let mut roll_call = Vec::new();
    for n in 0..64u64 {
        let index = u8::try_from((64 + 37 - n) % 64).unwrap();
        let at = NOW - 4_000 - n * 9_375;
        let asked = u32::try_from(members.len()).unwrap();
        let waiting = if n == 0 && members.len() > 3 { 2 } else { 0 };
        for harvester in harvesters.iter().skip(waiting) {
            let lookup_ms = harvester.lookups_ms[63 - usize::try_from(n).unwrap()].unwrap();
            let passed = u32::try_from(chance.below(harvester.plots / 256 + 2)).unwrap();
            attempts.push(AttemptView {
                at_unix_ms: at + u64::from(lookup_ms) + 12,
                harvester: harvester.id,
                harvester_name: harvester.name.as_str().into(),
                signage_point_index: index,
                sp_hash: SpHash([index; 32]),
                challenge_hash: ChallengeHash([3; 32]),
                outcome: AttemptOutcome::Answered {
                    passed,
                    total: u32::try_from(harvester.plots).unwrap(),
                    proofs: u32::from(n == 1 && harvester.id.0 == 3 || members.len() < 4 && passed > 0 && n % 4 == 1),
                    lookup_ms,
                    round_trip_ms: lookup_ms + 12,
                },
            });
        }
        roll_call.push(RollCallView {
            at_unix_ms: at,
            signage_point_index: index,
            sp_hash: SpHash([index; 32]),
            challenge_hash: ChallengeHash([3; 32]),
            asked,
            in_time: asked - u32::try_from(waiting).unwrap(),
            late: 0,
            plots,
            passed: plots / 512,
            proofs: 0,
            waiting_for: vec![],
        });
    }
    attempts.sort_by_key(|a| std::cmp::Reverse(a.at_unix_ms));
    attempts.truncate(ATTEMPTS_KEPT);
    let mut sub_slot = vec![SubSlotCell::Ahead; 64];
    sub_slot[..37].fill(SubSlotCell::Answered);
    sub_slot[37] = if members.len() > 3 {
        SubSlotCell::Seen
    } else {
        SubSlotCell::Answered
    };
    FarmSnapshot {
        started_at_unix_ms: NOW - 273_600_000,
        status: FarmStatus::Farming,
        nodes: vec![NodeView {
            name: "127.0.0.1:8444".to_owned(),
            connected: true,
            synced: Some(true),
            peak_height: Some(6_412_331),
            last_signage_point_unix_ms: Some(NOW - 4_000),
            netspace_bytes: Some(21.4e18),
            ..NodeView::default()
        }],
        keys: KeysView {
            farmer_address: Some("xch1f4rm3r0000000000000000000000000000000000000000000000000000".to_owned()),
            ..KeysView::default()
        },
        signage_point: Some(SignagePointView {
            signage_point_index: 37,
            challenge_hash: ChallengeHash([3; 32]),
            sp_hash: SpHash([37; 32]),
            received_at_unix_ms: NOW - 4_000,
            peak_height: 6_412_331,
            difficulty: 13_104,
            sub_slot_iters: 580_911_104,
        }),
        sub_slot,
        signage_points: SignagePointCounts {
            received: 29_188,
            duplicates: 0,
            missed: 0,
            received_24h: 9_214,
            missed_24h: 0,
            impossible: 0,
        },
        attempts,
        roll_call,
        proofs: proofs(members[members.len() / 3].0),
        totals: FarmTotals {
            connected: members.len() as u64,
            plots,
            plot_bytes: plots * PLOT_BYTES,
            effective_bytes: plots * PLOT_BYTES * 31 / 30,
            ..FarmTotals::default()
        },
        wins: WinCounts {
            proofs: 4,
            not_good_enough: 1,
            declared: 2,
            blocks_signed: 1,
            invalid: 1,
            last_block_unix_ms: Some(NOW - 187_000_000),
            ..WinCounts::default()
        },
        harvesters,
        luck: LuckView {
            expected_time_to_win_s: Some(443_000.0),
            effort: 0.67,
            counted_since_unix_ms: NOW - 8_000_000_000,
            last_win_unix_ms: Some(NOW - 187_000_000),
            won_24h: 0,
            won_ever: 14,
            filter_24h: LuckBand::judge(plots * 36 + plots / 4, plots as f64 * 35.99, plots as f64 * 35.85),
            proofs_24h: LuckBand::judge(0, 0.2, 0.2),
        },
        history: HistoryView {
            state: HistoryState::Writing,
            written: 812_334,
            dropped: 0,
            file_bytes: 61 << 20,
        },
        ..empty()
    }
}

const PLOT_BYTES: u64 = 108_836_000_000;

fn harvester(number: u32, (name, plots): (&str, u64), chance: &mut Chance) -> HarvesterView {
    let usual = 150 + chance.below(250);
    let lookups_ms: Vec<_> = (0..64)
        .map(|_| {
            let slow = if chance.below(9) == 0 { chance.below(900) } else { 0 };
            Some(u32::try_from(usual + chance.below(120) + slow).unwrap())
        })
        .collect();
    let mut sorted: Vec<u32> = lookups_ms.iter().flatten().copied().collect();
    sorted.sort_unstable();
    let local = name == "local" || name.starts_with("harvester-");
    HarvesterView {
        id: HarvesterId(number),
        name: name.to_owned(),
        peer_id: PeerId([u8::try_from(number).unwrap(); 32]),
        host: if local {
            "127.0.0.1".to_owned()
        } else {
            format!("10.0.0.{}", 11 + number)
        },
        port: if local { 0 } else { 51_234 },
        local,
        software_version: if local { "0.1.0".to_owned() } else { "2.7.5".to_owned() },
        protocol_version: "0.0.38".to_owned(),
        state: HarvesterState::Farming,
        certificate_shared: false,
        first_seen_unix_ms: NOW - 273_590_000,
        connected_at_unix_ms: NOW - 273_590_000,
        connections: 1,
        plots,
        plot_bytes: plots * PLOT_BYTES,
        effective_bytes: plots * PLOT_BYTES * 31 / 30,
        failed: 0,
        no_key: 0,
        duplicates: 0,
        shared_plots: 0,
        harvesting_mode: 1,
        last_sync_unix_ms: Some(NOW - 273_000_000),
        last_sync_error: None,
        last_plot_change: None,
        cross_check: None,
        challenged: 29_188,
        answered: 29_188,
        answered_late: 0,
        unanswered: 0,
        dropped: 0,
        proofs: 1,
        invalid_proofs: 0,
        last_answer: Some(LastAnswerView {
            at_unix_ms: NOW - 3_700,
            signage_point_index: 37,
            passed: 3,
            total: u32::try_from(plots).unwrap(),
            lookup_ms: lookups_ms[63].unwrap(),
        }),
        lookup_p50_ms: Some(sorted[31]),
        lookup_p95_ms: Some(sorted[60]),
        lookup_max_ms: Some(sorted[63]),
        lookups_ms,
        ignored_messages: 0,
        eligibility: EligibilityView {
            filter_24h: LuckBand::judge(plots * 36, plots as f64 * 36.2, plots as f64 * 36.0),
            compared: 9_200,
            ..EligibilityView::default()
        },
    }
}

fn proofs(name: &str) -> Vec<ProofView> {
    let proof = |number: u64, stage: ProofStage, steps: [Option<u32>; 4]| ProofView {
        number,
        found_at_unix_ms: NOW - 13_000 - (4 - number) * 41_000_000,
        harvester_name: name.to_owned(),
        plot_id: PlotId([0xd7; 32]),
        plot_file: "/mnt/d3/plot-k32-2021-06-11-19-02-d7d7d7d7d7d7d7d7d7d7d7d7d7d7d7d7.plot".to_owned(),
        signage_point_index: 36,
        quality: steps[0].map(|_| QualityString([0x5a; 32])),
        stage,
        found_after_ms: Some(412),
        verified_after_ms: steps[0],
        signed_after_ms: steps[1],
        declared_after_ms: steps[2],
        block_asked_after_ms: steps[3].map(|ms| ms - 27),
        block_signed_after_ms: steps[3],
    };
    vec![
        proof(4, ProofStage::Declared, [Some(7), Some(61), Some(62), None]),
        proof(3, ProofStage::NotGoodEnough, [Some(8), None, None, None]),
        proof(2, ProofStage::BlockSigned, [Some(7), Some(64), Some(65), Some(9_204)]),
        proof(
            1,
            ProofStage::Invalid {
                reason: "the quality is not that of the plot".to_owned(),
            },
            [None; 4],
        ),
    ]
}

/// What passed in the last seconds.
pub(super) fn events(farm: &FarmSnapshot) -> Vec<FeedEvent> {
    let mut events = Vec::new();
    for point in farm.roll_call.iter().take(6).rev() {
        for harvester in farm.harvesters.iter().filter(|h| h.is_connected()) {
            events.push(FeedEvent::Message(MessageRecord {
                at_unix_ms: point.at_unix_ms + u64::from(harvester.id.0),
                direction: Direction::Out,
                message: "new_signage_point_harvester".into(),
                peer_name: harvester.name.clone().into(),
                host: harvester.host.clone().into(),
                peer_id: harvester.peer_id,
                detail: format!("{}/64", point.signage_point_index),
                content: String::new().into(),
            }));
        }
        let answers = farm
            .attempts
            .iter()
            .filter(|a| a.signage_point_index == point.signage_point_index);
        for attempt in answers.rev() {
            let host = farm
                .harvesters
                .iter()
                .find(|h| h.id == attempt.harvester)
                .map(|h| h.host.clone());
            events.push(match &attempt.outcome {
                AttemptOutcome::Answered { passed, total, .. } => FeedEvent::Message(MessageRecord {
                    detail: format!("{passed}/{total}"),
                    host: host.unwrap_or_default().into(),
                    ..message_record(attempt.at_unix_ms, &attempt.harvester_name)
                }),
                AttemptOutcome::NoAnswer { .. } => FeedEvent::Notice(Notice::Attempt {
                    attempt: attempt.clone(),
                }),
            });
        }
    }
    events.sort_by_key(|event| match event {
        FeedEvent::Message(record) => record.at_unix_ms,
        FeedEvent::Notice(Notice::Attempt { attempt }) => attempt.at_unix_ms,
        FeedEvent::Notice(_) | FeedEvent::Log(_) => NOW,
    });
    events
}

/// Numbers that look like chance and are the same every time (xorshift).
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit.max(1)
    }
}
