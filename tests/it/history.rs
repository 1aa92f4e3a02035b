//! The history from outside: killed, on a full disk, over restarts; and recordings of a whole farm.

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rusqlite::{Connection, OpenFlags};
use serde_json::Value;

use crate::root::{MNEMONIC, Program};

fn quick(program: &Program) {
    program.settings(|text| text.replace("interval_seconds: 2,", "interval_seconds: 0.02,"));
    let settings = fs::read_to_string(program.root().join("config/config.yaml")).unwrap();
    assert!(settings.contains("interval_seconds: 0.02"), "{settings}");
}

fn ask(file: &Path, sql: &str) -> String {
    let connection = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let value: rusqlite::types::Value = connection.query_row(sql, [], |row| row.get(0)).unwrap();
    match value {
        rusqlite::types::Value::Integer(number) => number.to_string(),
        rusqlite::types::Value::Text(text) => text,
        other => panic!("{sql}: {other:?}"),
    }
}

fn points(file: &Path) -> u64 {
    ask(file, "SELECT count(*) FROM signage_points").parse().unwrap()
}

#[test]
fn killed_twenty_times_it_loses_nothing_that_was_written_and_goes_on() {
    let mut program = Program::simulated();
    quick(&program);
    let file = program.root().join("farmconsole/history.sqlite");
    let mut before = 0;
    for round in 1..=20_u64 {
        program.start();
        let written = |summary: &Value| summary["history"]["written"].as_u64() > Some(0);
        program.until("something is written", |summary| {
            summary["history"]["state"]["state"] == "writing" && (written(summary) || points(&file) > before)
        });
        program.until("more is written", |_| points(&file) > before);
        if round == 20 {
            // Sums follow the first rows within seconds: longer than a run need live until then.
            program.until("a quarter is kept", |_| {
                ask(&file, "SELECT count(*) FROM quarters") != "0"
            });
        }
        let seen = points(&file);
        let mut daemon = program.daemon.take().unwrap();
        daemon.kill().unwrap();
        daemon.wait().unwrap();
        assert_eq!(ask(&file, "PRAGMA integrity_check"), "ok", "round {round}");
        let after = points(&file);
        assert!(after >= seen, "round {round}: {after} of {seen} rows are left");
        assert_eq!(ask(&file, "SELECT count(*) FROM runs"), round.to_string());
        before = after;
    }
    program.start();
    let summary = program.until("the past is known", |summary| {
        summary["signage_points_received_24h"].as_u64() > summary["signage_points_received"].as_u64()
    });
    assert_eq!(summary["history"]["dropped"], 0);
    let quarters = program.ok(&["history", "quarters", "--json"]);
    let quarter: Value = serde_json::from_str(quarters.lines().next().unwrap()).unwrap();
    assert!(quarter["signage_points"].as_u64() > Some(0), "{quarter}");
}

#[test]
fn what_is_of_the_whole_farm_is_not_asked_of_one_harvester() {
    let said = Program::new().fails(&["history", "quarters", "--harvester", "barn"], 2);
    assert!(said.contains("history hours --harvester NAME"), "{said}");
}

/// Asked of the summary through the eyes of a process in another mount namespace.
fn seen_from(pid: u32, dir: &Path) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/root")).join(dir.strip_prefix("/").unwrap())
}

/// `.ci/run mounts` runs this where user namespaces are allowed.
#[test]
#[ignore = "needs a user namespace of its own, to mount a small disk"]
fn on_a_full_disk_it_farms_on_and_history_resumes_by_itself() {
    let mut program = Program::new();
    let disk = program.dir.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let mnemonic = program.dir.path().join("mnemonic");
    fs::write(&mnemonic, MNEMONIC).unwrap();
    let script = r#"
        set -e
        mount -t tmpfs -o size=8m none "$1"
        "$2" --root "$1/root" init --network simulator1
        "$2" --root "$1/root" keys import --mnemonic-file "$3"
        sed -i "s/port: 8447/port: $4/; s/interval_seconds: 2,/interval_seconds: 0.02,/" "$1/root/config/config.yaml"
        exec "$2" --root "$1/root" --daemon
    "#;
    let daemon = Command::new("unshare")
        .args(["-rm", "sh", "-c", script, "sh"])
        .args([
            disk.to_str().unwrap(),
            env!("CARGO_BIN_EXE_farmconsole"),
            mnemonic.to_str().unwrap(),
        ])
        .arg(program.port.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let pid = daemon.id();
    program.daemon = Some(daemon);
    let inside = seen_from(pid, &disk);
    let root = inside.join("root");
    let summary = || -> Option<Value> {
        let output = Command::new(env!("CARGO_BIN_EXE_farmconsole"))
            .arg("--root")
            .arg(&root)
            .args(["summary", "--json"])
            .output()
            .unwrap();
        output
            .status
            .success()
            .then(|| serde_json::from_slice(&output.stdout).unwrap())
    };
    let until = |what: &str, check: &dyn Fn(&Value) -> bool| {
        for _ in 0..2000 {
            if let Some(summary) = summary()
                && check(&summary)
            {
                return summary;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        panic!("{what} never came true: {:#}", summary().unwrap_or_default());
    };
    let state = |summary: &Value| {
        summary["history"]["state"]["state"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let names_it = |summary: &Value| {
        let alarms = summary["alarms"].as_array().unwrap();
        alarms
            .iter()
            .any(|alarm| alarm["kind"]["kind"] == "history_not_written")
    };
    until("the history is written", &|summary| {
        state(summary) == "writing" && summary["signage_points_received"].as_u64() > Some(50)
    });
    let filler = inside.join("filler");
    let mut file = fs::File::create(&filler).unwrap();
    let error = fill(&mut file).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
    let full = until("the full disk is told", &|summary| {
        state(summary) == "failing" && names_it(summary)
    });
    let received = full["signage_points_received"].as_u64();
    until("it farms on", &|summary| {
        summary["signage_points_received"].as_u64() > received
    });
    drop(file);
    fs::remove_file(&filler).unwrap();
    until("writing goes on", &|summary| {
        state(summary) == "writing" && !names_it(summary)
    });
    // SQLite follows the link that /proc shows, so it must be asked from inside.
    let output = Command::new("nsenter")
        .args(["--preserve-credentials", "-U", "-m", "-t", &pid.to_string()])
        .args([env!("CARGO_BIN_EXE_farmconsole"), "--root"])
        .arg(disk.join("root"))
        .args(["history", "quarters", "--json"])
        .output()
        .unwrap();
    let quarters = String::from_utf8(output.stdout).unwrap();
    assert!(
        quarters.contains("\"signage_points\":"),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Writes until there is no room.
fn fill(file: &mut fs::File) -> std::io::Result<()> {
    loop {
        file.write_all(&[7; 4096])?;
    }
}

#[test]
fn silence_and_acknowledgement_outlive_a_restart() {
    let mut program = Program::simulated();
    // Nobody says where rewards should go, which is an alarm that stays.
    program.settings(|text| text.replace("  xch_target_address:", "  # xch_target_address:"));
    program.start();
    program.until("an alarm is open", |summary| {
        !summary["alarms"].as_array().unwrap().is_empty()
    });
    program.ok(&["alarms", "ack"]);
    program.ok(&[
        "alarms",
        "silence",
        "no_signage_points",
        "--machine",
        "simulated chain",
        "--for",
        "2h",
    ]);
    let slip = ["alarms", "silence", "--machine", "simulated chan"];
    assert!(program.fails(&slip, 2).contains("did you mean simulated chain?"));
    program.until("it is kept", |_| {
        program.root().join("farmconsole/alarm-memory.json").exists()
    });
    program.ok(&["stop"]);
    program.daemon.take().unwrap().wait().unwrap();
    program.start();
    let summary = program.until("it is open again", |summary| {
        !summary["alarms"].as_array().unwrap().is_empty()
    });
    assert_eq!(summary["alarms"][0]["acknowledged"], true, "{summary:#}");
    let silenced = program.ok(&["alarms", "silence"]);
    let left = silenced.strip_prefix("no_signage_points of simulated chain, for another ");
    assert!(matches!(left, Some("2 h\n" | "1 h 59 min\n")), "{silenced}");
    program.ok(&[
        "alarms",
        "silence",
        "no_signage_points",
        "--machine",
        "simulated chain",
        "--end",
    ]);
    assert_eq!(program.ok(&["alarms", "silence"]), "nothing is silenced\n");
}

#[test]
fn recording_is_private_and_never_replaces_a_file() {
    let mut program = Program::simulated();
    quick(&program);
    program.start();
    let file = program.dir.path().join("farm.recording");
    let path = file.to_str().unwrap();
    let said = program.ok(&["record", path, "--for", "3s"]);
    assert!(
        said.contains("of the farmer recorded, names, addresses, ids, keys and paths replaced"),
        "{said}"
    );
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.lines().count() > 50, "{text}");
    assert!(text.lines().last().unwrap().contains("\"end\""), "{text}");
    let checked = program.ok(&["replay", path, "--check"]);
    assert!(checked.contains("did the same after every call"), "{checked}");
    let home = program.dir.path().to_str().unwrap();
    assert!(!text.contains(home));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let errors = program.fails(&["record", path, "--for", "1s"], 1);
    assert!(errors.contains("File exists"), "{errors}");
}

#[test]
fn recording_of_a_farmer_that_was_killed_is_private_to_its_last_line() {
    let mut program = Program::simulated();
    quick(&program);
    program.start();
    let file = program.dir.path().join("farm.recording");
    let mut record = program.command(&["record", file.to_str().unwrap()]).spawn().unwrap();
    program.until("it is being recorded", |_| {
        fs::read_to_string(&file).is_ok_and(|text| text.lines().count() > 3)
    });
    let mut farmer = program.daemon.take().unwrap();
    farmer.kill().unwrap();
    farmer.wait().unwrap();
    assert!(!record.wait().unwrap().success());
    let text = fs::read_to_string(&file).unwrap();
    assert!(
        text.lines().last().unwrap().contains("the farmer went away: "),
        "{text}"
    );
    assert!(!text.contains(program.dir.path().to_str().unwrap()), "{text}");
}
