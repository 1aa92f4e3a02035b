//! The history from facts to pages, over restarts, damage and other versions.

use std::path::Path;

use rusqlite::Connection;

use super::fact::Fact;
use super::store::{SCHEMA_VERSION, Store, StoreError};
use super::*;
use crate::ids::{ChallengeHash, PlotId, SpHash};
use crate::snapshot::{
    AlarmKind, AlarmView, AttemptOutcome, AttemptView, HarvesterId, HistoryPage, HistoryRequest, HistoryRows,
    HistoryTable, HourRow, PartialOutcome, PartialRow, PartialStep, PlotChangeRow, ProofStage, QuarterCounts,
    SignagePointView,
};

const T: u64 = 1_800_000_000_000;

fn options(file: &Path) -> HistoryOptions {
    HistoryOptions {
        file: file.to_owned(),
        keep_days: 30,
        max_bytes: 512 << 20,
    }
}

fn sp_hash(number: u32) -> SpHash {
    let mut hash = [7; 32];
    hash[..4].copy_from_slice(&number.to_be_bytes());
    SpHash(hash)
}

fn point(number: u32, at_ms: u64) -> Fact {
    let view = SignagePointView {
        signage_point_index: u8::try_from(number % 64).unwrap(),
        challenge_hash: ChallengeHash([1; 32]),
        sp_hash: sp_hash(number),
        received_at_unix_ms: at_ms,
        peak_height: 6_000_000,
        difficulty: 14_000,
        sub_slot_iters: 578_813_952,
    };
    Fact::SignagePoint(Box::new(view), 2)
}

fn attempt(number: u32, at_ms: u64, harvester: &str, outcome: AttemptOutcome) -> Fact {
    Fact::Attempt(Box::new(AttemptView {
        at_unix_ms: at_ms,
        harvester: HarvesterId(1),
        harvester_name: harvester.into(),
        signage_point_index: u8::try_from(number % 64).unwrap(),
        sp_hash: sp_hash(number),
        challenge_hash: ChallengeHash([1; 32]),
        outcome,
    }))
}

const fn answered(passed: u32, lookup_ms: u32, round_trip_ms: u32) -> AttemptOutcome {
    AttemptOutcome::Answered {
        passed,
        total: 864,
        proofs: 0,
        lookup_ms,
        round_trip_ms,
    }
}

const NO_ANSWER: AttemptOutcome = AttemptOutcome::NoAnswer { total: 864, after_s: 8 };

fn alarm(number: u64, closed_at_unix_ms: Option<u64>) -> Fact {
    let kind = AlarmKind::PlotsLost {
        harvester: HarvesterId(3),
        name: "shelf".to_owned(),
        lost: 109,
        directory: Some("/mnt/d07".to_owned()),
    };
    Fact::Alarm(Box::new(AlarmView {
        number,
        severity: kind.severity(),
        text: kind.to_string(),
        remedy: kind.remedy(),
        kind,
        opened_at_unix_ms: T + number,
        updated_at_unix_ms: T,
        closed_at_unix_ms,
        acknowledged: false,
        silenced: false,
        cut_short: false,
    }))
}

fn record(quarters: Vec<QuarterCounts>) -> FarmRecord {
    FarmRecord {
        counted_since_unix_ms: T,
        effort: 0.67,
        last_win_unix_ms: Some(T + 5),
        won_ever: 14,
        quarters,
    }
}

fn quarter(start_unix_ms: u64, signage_points: u64) -> QuarterCounts {
    QuarterCounts {
        start_unix_ms,
        signage_points,
        expected_passed: 1.25,
        ..QuarterCounts::default()
    }
}

fn page(file: &Path, table: HistoryTable) -> HistoryPage {
    HistoryReader::new(file)
        .page(&HistoryRequest {
            table,
            from_unix_ms: 0,
            to_unix_ms: u64::MAX,
            harvester: None,
            offset: 0,
            limit: 100,
        })
        .unwrap()
}

#[test]
fn late_answer_takes_the_place_of_the_missing_one_in_rows_and_sums() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("history.sqlite");
    let mut store = Store::open(&file, T, T).unwrap();
    let facts = [
        point(1, T),
        attempt(1, T + 200, "barn", answered(3, 210, 220)),
        attempt(1, T + 8_000, "shelf", NO_ANSWER),
        point(2, T + 9_000),
        attempt(2, T + 17_000, "shelf", NO_ANSWER),
    ];
    store.write(T, &facts).unwrap();
    store
        .write(T, &[attempt(1, T + 12_000, "shelf", answered(4, 11_900, 12_000))])
        .unwrap();
    let HistoryRows::Attempts(rows) = page(&file, HistoryTable::Attempts).rows else {
        panic!("other rows");
    };
    let mut rows: Vec<_> = rows
        .iter()
        .map(|row| {
            (
                row.signage_point_index,
                row.harvester.as_str(),
                row.passed,
                row.round_trip_ms,
            )
        })
        .collect();
    rows.sort();
    assert_eq!(
        rows,
        [
            (1, "barn", Some(3), Some(220)),
            (1, "shelf", Some(4), Some(12_000)),
            (2, "shelf", None, None)
        ]
    );
    let HistoryRows::Hours(hours) = page(&file, HistoryTable::Hours).rows else {
        panic!("other rows");
    };
    let shelf = hours.iter().find(|row| row.harvester == "shelf").unwrap();
    assert_eq!(
        shelf,
        &HourRow {
            start_unix_ms: T / 3_600_000 * 3_600_000,
            harvester: "shelf".to_owned(),
            answered: 1,
            late: 1,
            unanswered: 1,
            passed: 4,
            plots: 864,
            lookup_mean_ms: Some(11_900),
            lookup_max_ms: Some(11_900),
            ..HourRow::default()
        }
    );
}

#[test]
fn answer_whose_signage_point_was_dropped_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("history.sqlite");
    let mut store = Store::open(&file, T, T).unwrap();
    store.write(T, &[attempt(5, T, "barn", answered(1, 1, 1))]).unwrap();
    assert!(matches!(page(&file, HistoryTable::Attempts).rows, HistoryRows::Attempts(rows) if rows.len() == 1));
}

#[test]
fn pages_are_bounded_newest_first_and_by_harvester_and_time() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("history.sqlite");
    let mut store = Store::open(&file, T, T).unwrap();
    for number in 0..10 {
        let at = T + u64::from(number) * 9_000;
        let facts = [
            point(number, at),
            attempt(number, at, "barn", answered(number, 1, 1)),
            attempt(number, at, "shelf", answered(100 + number, 1, 1)),
        ];
        store.write(T, &facts).unwrap();
    }
    let request = HistoryRequest {
        table: HistoryTable::Attempts,
        from_unix_ms: T + 9_000,
        to_unix_ms: T + 9 * 9_000,
        harvester: Some("barn".to_owned()),
        offset: 1,
        limit: 3,
    };
    let page = HistoryReader::new(&file).page(&request).unwrap();
    let HistoryRows::Attempts(rows) = page.rows else {
        panic!("other rows");
    };
    assert!(page.has_more);
    assert_eq!(rows.iter().filter_map(|row| row.passed).collect::<Vec<_>>(), [7, 6, 5]);
}

#[test]
fn proofs_partials_plot_changes_and_alarms_are_read_as_they_were_written() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("history.sqlite");
    let mut store = Store::open(&file, T, T).unwrap();
    let mut proof = ProofView {
        number: 1,
        found_at_unix_ms: T,
        harvester_name: "barn".to_owned(),
        plot_id: PlotId([9; 32]),
        plot_file: "/mnt/d1/a.plot".to_owned(),
        signage_point_index: 37,
        quality: None,
        stage: ProofStage::Found,
        found_after_ms: Some(200),
        verified_after_ms: None,
        signed_after_ms: None,
        declared_after_ms: None,
        block_asked_after_ms: None,
        block_signed_after_ms: None,
    };
    let change = PlotChangeRow {
        at_unix_ms: T,
        harvester: "barn".to_owned(),
        plots: 755,
        added: 0,
        removed: 109,
        removed_from: Some("/mnt/d07".to_owned()),
    };
    let partial = PartialRow {
        at_unix_ms: T,
        pool: "https://pool.example".to_owned(),
        harvester: "barn".to_owned(),
        plot_file: "/mnt/d1/a.plot".to_owned(),
        points: 0,
        outcome: "stale".to_owned(),
        step: Some("sent".to_owned()),
        detail: Some("too late".to_owned()),
        after_ms: 26_000,
    };
    let first = [
        Fact::Proof(Box::new(proof.clone())),
        Fact::PlotChange(Box::new(change.clone())),
        Fact::Partial(Box::new(partial.clone())),
        alarm(1, None),
        alarm(2, None),
    ];
    store.write(T, &first).unwrap();
    proof.stage = ProofStage::Lost {
        reason: "no node".to_owned(),
    };
    store
        .write(T, &[Fact::Proof(Box::new(proof.clone())), alarm(1, Some(T + 60_000))])
        .unwrap();
    assert_eq!(page(&file, HistoryTable::Proofs).rows, HistoryRows::Proofs(vec![proof]));
    assert_eq!(
        page(&file, HistoryTable::PlotChanges).rows,
        HistoryRows::PlotChanges(vec![change])
    );
    assert_eq!(
        page(&file, HistoryTable::Partials).rows,
        HistoryRows::Partials(vec![partial])
    );
    let HistoryRows::Alarms(alarms) = page(&file, HistoryTable::Alarms).rows else {
        panic!("other rows");
    };
    assert_eq!(
        (alarms[0].closed_at_unix_ms, alarms[1].closed_at_unix_ms),
        (None, Some(T + 60_000))
    );
    assert_eq!(
        (alarms[0].rule.as_str(), alarms[0].machine.as_deref()),
        ("plots_lost", Some("shelf"))
    );
}

#[test]
fn first_plots_are_told_once_and_a_restart_tells_what_changed_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("history.sqlite");
    let synced = |name: &str, plots, added, removed| {
        let notice = Notice::PlotSyncDone {
            harvester: HarvesterId(1),
            name: name.to_owned(),
            plots,
            added,
            removed,
            removed_from: None,
        };
        Fact::of(&notice, || T).unwrap()
    };
    // This one was farmed by a version that did not write first plots.
    let before = T - 3_600_000;
    let mut store = Store::open(&file, before, before).unwrap();
    let old = attempt(1, before, "shelf", answered(3, 210, 220));
    store.write(before, &[point(1, before), old]).unwrap();
    // Each time the farmer starts, all plots are new to it.
    for plots in [412, 412, 417] {
        drop(store);
        store = Store::open(&file, T, T).unwrap();
        let early = attempt(2, T, "barn", answered(3, 210, 220));
        let first = [synced("barn", plots, plots, 0), synced("shelf", 864, 864, 0)];
        store.write(T, &[point(2, T), early]).unwrap();
        store.write(T, &first).unwrap();
    }
    let later = [
        synced("barn", 0, 0, 417),
        synced("barn", 3, 3, 0),
        synced("barn", 3, 0, 0),
    ];
    store.write(T, &later).unwrap();
    let HistoryRows::PlotChanges(rows) = page(&file, HistoryTable::PlotChanges).rows else {
        panic!("other rows");
    };
    let told = rows
        .iter()
        .rev()
        .map(|row| (row.harvester.as_str(), row.added, row.removed, row.plots));
    let expected = [
        ("barn", 412, 0, 412),
        ("barn", 5, 0, 417),
        ("barn", 0, 417, 0),
        ("barn", 3, 0, 3),
    ];
    assert_eq!(told.collect::<Vec<_>>(), expected);
}

#[test]
fn next_run_knows_the_luck_and_closes_what_was_open() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("history.sqlite");
    let mut store = Store::open(&file, T, T).unwrap();
    assert_eq!(store.record(0).unwrap(), FarmRecord::default());
    let old = record(vec![quarter(T, 40), quarter(T + 900_000, 3)]);
    store.write(T, &[Fact::Record(Box::new(old)), alarm(1, None)]).unwrap();
    let newer = record(vec![quarter(T + 900_000, 7)]);
    store.write(T + 950_000, &[Fact::Record(Box::new(newer))]).unwrap();
    drop(store);
    let store = Store::open(&file, T + 1_000_000, T + 1_000_000).unwrap();
    assert_eq!(
        store.record(T + 1_000_000).unwrap(),
        record(vec![quarter(T, 40), quarter(T + 900_000, 7)])
    );
    let HistoryRows::Alarms(alarms) = page(&file, HistoryTable::Alarms).rows else {
        panic!("other rows");
    };
    assert_eq!(
        alarms[0].closed_at_unix_ms,
        Some(T + 950_000),
        "when the run was last seen"
    );
    assert!(alarms[0].cut_short);
}

#[test]
fn old_answers_are_forgotten_by_age_and_by_size_and_the_file_shrinks() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("history.sqlite");
    let mut store = Store::open(&file, T, T).unwrap();
    let days = |days: u64| days * 86_400_000;
    let names: Vec<String> = (0..50).map(|number| format!("harvester-{number}")).collect();
    for number in 0..2_000 {
        let at = T + u64::from(number) * 9_375;
        let mut facts = vec![point(number, at)];
        facts.extend(
            names
                .iter()
                .map(|name| attempt(number, at, name, answered(3, 210, 220))),
        );
        store.write(at, &facts).unwrap();
    }
    let count = |store: &mut Store, now, options: &HistoryOptions| {
        while store.forget(now, options).unwrap() {}
        let other = Connection::open(&file).unwrap();
        let count = |sql: &str| other.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        (
            count("SELECT count(*) FROM attempts"),
            count("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"),
        )
    };
    let keep_all = options(&file);
    let (rows, bytes) = count(&mut store, T + days(1), &keep_all);
    assert_eq!(rows, 100_000);
    let smaller = HistoryOptions {
        max_bytes: 1 << 20,
        ..keep_all.clone()
    };
    let (fewer, less) = count(&mut store, T + days(1), &smaller);
    assert!(
        fewer < 60_000 && less < bytes / 2 + (1 << 20),
        "{fewer} rows, {less} of {bytes} bytes"
    );
    assert_eq!(count(&mut store, T + days(31), &keep_all).0, 0);
    assert!(
        matches!(page(&file, HistoryTable::Hours).rows, HistoryRows::Hours(rows) if rows.len() == 100),
        "sums stay"
    );
}

#[test]
fn newer_schema_is_left_alone_and_told() {
    const NEWER: i64 = SCHEMA_VERSION + 1;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("history.sqlite");
    drop(Store::open(&file, T, T).unwrap());
    let other = Connection::open(&file).unwrap();
    other.pragma_update(None, "user_version", NEWER).unwrap();
    drop(other);
    let before = std::fs::read(&file).unwrap();
    assert!(matches!(
        Store::open(&file, T, T),
        Err(StoreError::Newer { schema: NEWER })
    ));
    let (inputs, mut told) = mpsc::channel(8);
    let (sender, writer) = history(options(&file), inputs);
    let thread = std::thread::spawn(move || writer.run());
    assert!(matches!(
        told.blocking_recv(),
        Some(Input::History(HistoryView {
            state: HistoryState::Newer { schema: NEWER },
            ..
        }))
    ));
    sender.keep(Box::default());
    let health = sender.health.clone();
    drop(sender);
    thread.join().unwrap();
    assert_eq!(health.change(|view| view.dropped), 1);
    assert_eq!(std::fs::read(&file).unwrap(), before);
}

#[test]
fn damaged_file_is_put_aside_and_a_new_one_begun() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("history.sqlite");
    std::fs::write(
        &file,
        "no database at all, but long enough to be taken for one\n".repeat(100),
    )
    .unwrap();
    let (inputs, mut told) = mpsc::channel(8);
    let (sender, writer) = history(options(&file), inputs);
    let thread = std::thread::spawn(move || writer.run());
    sender.keep(Box::new(record(Vec::new())));
    drop(sender);
    thread.join().unwrap();
    assert!(dir.path().join("history.sqlite.damaged").exists());
    let states = std::iter::from_fn(|| told.blocking_recv());
    assert!(states.into_iter().any(|input| matches!(input, Input::Past(_))));
    assert_eq!(Store::open(&file, T, T).unwrap().record(0).unwrap().won_ever, 14);
}

#[test]
fn queue_that_is_full_drops_and_counts() {
    let (inputs, _told) = mpsc::channel(1);
    let (sender, _writer) = history(options(Path::new("/nowhere/history.sqlite")), inputs);
    for _ in 0..QUEUE + 3 {
        sender.keep(Box::default());
    }
    assert_eq!(sender.view().dropped, 3);
}

#[test]
fn history_is_readable_only_to_its_owner() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("history.sqlite");
    let mut store = Store::open(&file, T, T).unwrap();
    store.write(T, &[point(1, T)]).unwrap();
    for name in ["history.sqlite", "history.sqlite-wal"] {
        let mode = std::fs::metadata(dir.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn commands_of_the_documentation_work() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("history.sqlite");
    let mut store = Store::open(&file, T, T).unwrap();
    store
        .write(
            T,
            &[
                point(1, T),
                attempt(1, T, "barn", answered(3, 210, 220)),
                alarm(1, None),
            ],
        )
        .unwrap();
    let readme = include_str!("../../README.md");
    let other = Connection::open(&file).unwrap();
    let mut examples = 0;
    for block in readme.split("```sql\n").skip(1) {
        let sql = block.split("```").next().unwrap();
        for statement in sql.split(';').filter(|statement| !statement.trim().is_empty()) {
            let mut statement = other.prepare(statement).unwrap();
            let rows = statement.query_map([], |_| Ok(())).unwrap();
            rows.for_each(|row| row.unwrap());
            examples += 1;
        }
    }
    assert!(examples >= 3, "the README shows {examples} queries");
}

#[test]
fn partials_of_the_farmer_become_rows() {
    let lost = Notice::PartialLost {
        pool: "pool.example".to_owned(),
        name: "barn".to_owned(),
        plot_file: "/mnt/d1/a.plot".to_owned(),
        outcome: PartialOutcome::Stale,
        step: PartialStep::Sending,
        reason: "too late".to_owned(),
        after_ms: 26_000,
    };
    let Some(Fact::Partial(row)) = Fact::of(&lost, || T) else {
        panic!("no partial");
    };
    assert_eq!((row.at_unix_ms, row.points, row.outcome.as_str()), (T, 0, "stale"));
    assert_eq!(
        (row.step.as_deref(), row.detail.as_deref()),
        (Some(PartialStep::Sending.word()), Some("too late"))
    );
    let accepted = Notice::PartialAccepted {
        pool: "pool.example".to_owned(),
        name: "barn".to_owned(),
        plot_file: "/mnt/d1/a.plot".to_owned(),
        points: 10,
        after_ms: 900,
    };
    assert!(
        matches!(Fact::of(&accepted, || T), Some(Fact::Partial(row)) if row.points == 10 && row.outcome == "accepted")
    );
}

#[test]
fn what_cannot_be_opened_says_why_and_names_the_file_once() {
    let dir = tempfile::tempdir().unwrap();
    let blocked = dir.path().join("farmconsole");
    std::fs::write(&blocked, b"a file where the directory should be").unwrap();
    let is_of_system = |error: &HistoryError| matches!(error, HistoryError::Unreadable { .. });
    let read = |file: &Path| {
        let request = HistoryRequest {
            table: HistoryTable::Hours,
            from_unix_ms: 0,
            to_unix_ms: u64::MAX,
            harvester: None,
            offset: 0,
            limit: 1,
        };
        let error = HistoryReader::new(file).page(&request).unwrap_err();
        let said = error.to_string();
        assert_eq!(said.matches(file.to_str().unwrap()).count(), 1, "{said}");
        is_of_system(&error)
    };
    assert!(read(&blocked.join("history.sqlite")));
    // A directory can be opened, and SQLite cannot.
    assert!(!read(dir.path()));
}
