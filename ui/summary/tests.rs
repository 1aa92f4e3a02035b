//! The official part beside what the official command printed, line by line, and the parts that are ours.

use farmconsole::ids::PeerId;
use farmconsole::snapshot::{
    AlarmKind, Awaited, EligibilityView, FarmTotals, HarvesterId, HistoryView, KeysView, LastAnswerView, LuckView,
    MonitorView, NodeView, PoolState, PoolView, SNAPSHOT_VERSION, SignagePointCounts, SimulatedChainView, WinCounts,
};

use super::*;

/// Printed by `chia farm summary` 2.7.5, one section a case.
const SAMPLES: &str = include_str!("../../tests/vectors/farm_summary_samples.txt");

const GIB: f64 = 1024.0 * 1024.0 * 1024.0;
const TIB: f64 = 1024.0 * GIB;
const EIB: f64 = 1024.0 * 1024.0 * TIB;

/// 2026-11-20 14:02:31 UTC.
const NOW: u64 = 1_795_183_351_000;

#[test]
fn groups_totals_and_time_to_win_are_the_official_ones() {
    assert_eq!(official(&farm_of_the_samples()), sample("C wallet not running"));
}

#[test]
fn state_of_the_node_has_the_official_words() {
    let mut farm = farm_of_the_samples();
    farm.status = FarmStatus::NotSynced;
    assert_eq!(official(&farm), sample("E not synced"));
    farm.status = FarmStatus::NoSignagePoints { for_s: 90 };
    farm.nodes.clear();
    assert_eq!(official(&farm), sample("F full node down"));
}

#[test]
fn farm_without_plots_never_wins() {
    let mut farm = farm_of_the_samples();
    farm.harvesters.clear();
    sum(&mut farm);
    assert_eq!(official(&farm), sample("I zero harvesters"));
}

#[test]
fn empty_network_is_won_now() {
    let mut farm = farm_of_the_samples();
    farm.nodes[0].netspace_bytes = Some(0.0);
    assert_eq!(official(&farm), sample("J space zero"));
}

#[test]
fn one_harvester_is_singular() {
    let mut farm = farm_of_the_samples();
    farm.harvesters.truncate(1);
    sum(&mut farm);
    assert_eq!(official(&farm), sample("K one local"));
}

#[test]
fn absent_harvester_is_in_our_part_only() {
    let mut farm = farm_of_the_samples();
    farm.harvesters[4].state = HarvesterState::Absent {
        since_unix_ms: NOW - 60_000,
    };
    assert!(!official(&farm).contains("10.0.0.7"));
    assert!(own(&farm).contains("Harvester 10.0.0.7: absent"), "{}", own(&farm));
}

#[test]
fn farm_that_starts_says_what_it_waits_for_and_one_without_plots_that_it_has_none() {
    let mut farm = farm_of_the_samples();
    farm.status = FarmStatus::Starting {
        waits_for: Awaited::PlotLists,
    };
    let line = "State: STARTING, waiting for the harvesters' lists of plots\n";
    assert!(own(&farm).contains(line), "{}", own(&farm));
    farm.status = FarmStatus::NoPlots;
    assert!(own(&farm).contains("State: NO PLOTS\n"), "{}", own(&farm));
}

#[test]
fn our_part_counts_what_is_not_farmed_and_names_what_is_wrong() {
    let mut farm = farm_of_the_samples();
    let harvester = &mut farm.harvesters[2];
    (harvester.failed, harvester.no_key, harvester.duplicates) = (1, 2, 3);
    harvester.certificate_shared = true;
    harvester.last_answer = Some(LastAnswerView {
        at_unix_ms: NOW - 4_000,
        signage_point_index: 7,
        passed: 3,
        total: 250,
        lookup_ms: 212,
    });
    (harvester.lookup_p50_ms, harvester.lookup_max_ms) = (Some(210), Some(900));
    farm.signage_points = SignagePointCounts {
        received: 9_000,
        received_24h: 8_900,
        missed_24h: 2,
        ..SignagePointCounts::default()
    };
    farm.alarms = vec![alarm(AlarmKind::NoKeys)];
    let text = own(&farm);
    for line in [
        "Signage points: 8900 received, 2 missed in 24 h",
        "Harvester 192.168.1.10: farming, 250 plots, last answer 4 s ago, look-up 0.21 s, median 0.21 s max 0.90 s, \
         1 failed, 2 no-key, 3 duplicate, 0 unanswered, certificate shared",
        "Alarms: 1",
        "   no farming key is loaded",
    ] {
        assert!(text.lines().any(|l| l == line), "{line:?} is missing in\n{text}");
    }
}

#[test]
fn each_pool_is_told_with_what_can_be_expected_of_its_plots() {
    let mut farm = farm_of_the_samples();
    let pool = |url: &str, state, plots, expected_partials_24h| PoolView {
        url: url.to_owned(),
        state,
        plots,
        expected_partials_24h,
        points_found_24h: 13_632,
        points_acknowledged_24h: 13_568,
        ..PoolView::default()
    };
    farm.pools = vec![
        pool("https://pool.example", PoolState::Ready, 684, Some(213.75)),
        pool("https://far.example", PoolState::Ready, 3, Some(0.6)),
        pool("https://new.example", PoolState::Asking, 0, None),
        pool("", PoolState::SelfPooling, 7, None),
    ];
    let points = "; points in 24 h: 13,632 found, 13,568 acknowledged";
    let text = own(&farm);
    for line in [
        format!("Pool pool.example: ready, plots: 684, for 214 partials a day on average{points}"),
        format!("Pool far.example: ready, plots: 3, for one partial in 1 d 16 h on average{points}"),
        format!("Pool new.example: being asked, plots: none is connected that is made for it{points}"),
        "Pool self-pooling: farms for itself, plots: 7".to_owned(),
    ] {
        assert!(text.lines().any(|l| l == line), "{line:?} is missing in\n{text}");
    }
}

#[test]
fn simulated_farm_says_so() {
    let mut farm = farm_of_the_samples();
    farm.simulated = true;
    farm.simulated_chain = Some(SimulatedChainView {
        blocks: 1,
        ..SimulatedChainView::default()
    });
    assert!(own(&farm).contains("SIMULATED chain: nothing here is worth anything; 1 simulated block won"));
}

#[test]
fn names_from_outside_cannot_move_the_cursor() {
    let mut farm = farm_of_the_samples();
    farm.harvesters[0].name = "a\u{1b}[2J".to_owned();
    assert!(!own(&farm).contains('\u{1b}'));
}

#[test]
fn json_has_a_version_and_the_official_words() {
    let farm = farm_of_the_samples();
    let mut out = Vec::new();
    print(&mut out, &farm, true).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(json["version"], 1);
    assert_eq!(json["farming_status"], "Farming");
    assert_eq!(json["plots"], 266);
    assert_eq!(json["expected_time_to_win"], "6 months and 2 weeks");
    assert_eq!(json["harvesters"][4]["state"]["processed"], 300);
    assert_eq!(json["counters"]["dropped_log_lines"], 0);
}

/// A section of the samples as it reads while no wallet answers.
fn sample(name: &str) -> String {
    const OF_THE_WALLET: [&str; 4] = [
        "Total chia farmed",
        "User transaction fees",
        "Block rewards",
        "Last height farmed",
    ];
    let no_wallet = "For details on farmed rewards and fees you should run 'chia start wallet' and 'chia wallet show'";
    let section = SAMPLES.split("##### ").find(|s| s.starts_with(name)).unwrap();
    let mut text = String::new();
    for line in section
        .lines()
        .skip(1)
        .filter(|l| !OF_THE_WALLET.iter().any(|w| l.starts_with(w)))
    {
        let last = line.starts_with("Note: ") || line == no_wallet;
        text.push_str(if last { no_wallet } else { line });
        text.push('\n');
        // Behind the last section stand tables of other things.
        if last {
            break;
        }
    }
    text
}

fn official(farm: &FarmSnapshot) -> String {
    let mut out = Vec::new();
    official_part(&mut out, farm).unwrap();
    String::from_utf8(out).unwrap()
}

fn own(farm: &FarmSnapshot) -> String {
    let mut out = Vec::new();
    own_part(&mut out, farm).unwrap();
    String::from_utf8(out).unwrap()
}

fn farm_of_the_samples() -> FarmSnapshot {
    let mut loading = harvester(4, "10.0.0.7", 0, 0.0, 0.0);
    loading.state = HarvesterState::Syncing {
        processed: 300,
        total: 1500,
    };
    let mut farm = FarmSnapshot {
        snapshot_version: SNAPSHOT_VERSION,
        software_version: "0.1.0".to_owned(),
        taken_at_unix_ms: NOW,
        started_at_unix_ms: NOW - 86_400_000,
        network: "mainnet".to_owned(),
        simulated: false,
        status: FarmStatus::Farming,
        nodes: vec![NodeView {
            name: "127.0.0.1:8444".to_owned(),
            connected: true,
            synced: Some(true),
            peak_height: Some(7_200_000),
            last_signage_point_unix_ms: Some(NOW - 2_000),
            netspace_bytes: Some(20.346 * EIB),
            ..NodeView::default()
        }],
        listening_on: vec![],
        keys: KeysView::default(),
        signage_point: None,
        sub_slot: vec![],
        signage_points: SignagePointCounts::default(),
        harvesters: vec![
            harvester(0, "127.0.0.1", 10, 1013.795 * GIB, 1.123 * TIB),
            harvester(1, "127.0.0.1", 5, 506.639 * GIB, 472.181 * GIB),
            harvester(2, "192.168.1.10", 250, 24.751 * TIB, 21.828 * TIB),
            harvester(3, "192.168.1.10", 1, 101.328 * GIB, 94.436 * GIB),
            loading,
        ],
        attempts: vec![],
        roll_call: vec![],
        proofs: vec![],
        totals: FarmTotals::default(),
        wins: WinCounts::default(),
        pools: vec![],
        alarms: vec![],
        alarm_history: vec![],
        counters: Counters::default(),
        simulated_chain: None,
        monitor: MonitorView::default(),
        luck: LuckView::default(),
        history: HistoryView::default(),
        silences: vec![],
    };
    sum(&mut farm);
    farm
}

/// Sums up as the farmer does.
fn sum(farm: &mut FarmSnapshot) {
    farm.totals = FarmTotals {
        plots: farm.harvesters.iter().map(|h| h.plots).sum(),
        plot_bytes: farm.harvesters.iter().map(|h| h.plot_bytes).sum(),
        effective_bytes: farm.harvesters.iter().map(|h| h.effective_bytes).sum(),
        ..FarmTotals::default()
    };
}

#[test]
fn a_harvester_without_plots_is_not_said_to_farm() {
    let words = |plots| harvester(1, "10.0.0.1", plots, 0.0, 0.0).state_words();
    assert_eq!((words(0).as_str(), words(1).as_str()), ("no plots", "farming"));
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sizes of plots are positive and far below 2^63"
)]
fn harvester(id: u32, host: &str, plots: u64, plot_bytes: f64, effective_bytes: f64) -> HarvesterView {
    HarvesterView {
        id: HarvesterId(id),
        name: host.to_owned(),
        peer_id: PeerId([id as u8; 32]),
        host: host.to_owned(),
        port: 50_000,
        local: host == "127.0.0.1",
        software_version: "2.7.5".to_owned(),
        protocol_version: "0.0.38".to_owned(),
        state: HarvesterState::Farming,
        certificate_shared: false,
        first_seen_unix_ms: NOW - 3_600_000,
        connected_at_unix_ms: NOW - 3_600_000,
        connections: 1,
        plots,
        plot_bytes: plot_bytes as u64,
        effective_bytes: effective_bytes as u64,
        failed: 0,
        no_key: 0,
        duplicates: 0,
        shared_plots: 0,
        harvesting_mode: 1,
        last_sync_unix_ms: Some(NOW - 3_500_000),
        last_sync_error: None,
        last_plot_change: None,
        cross_check: None,
        challenged: 0,
        answered: 0,
        answered_late: 0,
        unanswered: 0,
        dropped: 0,
        proofs: 0,
        invalid_proofs: 0,
        last_answer: None,
        lookups_ms: vec![],
        lookup_p50_ms: None,
        lookup_p95_ms: None,
        lookup_max_ms: None,
        ignored_messages: 0,
        eligibility: EligibilityView::default(),
    }
}

fn alarm(kind: AlarmKind) -> AlarmView {
    AlarmView {
        number: 1,
        severity: kind.severity(),
        text: kind.to_string(),
        remedy: kind.remedy(),
        kind,
        opened_at_unix_ms: NOW - 60_000,
        updated_at_unix_ms: NOW - 60_000,
        acknowledged: false,
        silenced: false,
        cut_short: false,
        closed_at_unix_ms: None,
    }
}
