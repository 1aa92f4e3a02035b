//! The program from outside: commands, exit statuses, files. Every test has a root of its own and a free port.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::Value;

use crate::root::{PATIENCE, Program, wait_a_moment};

#[test]
fn every_command_that_needs_a_farmer_says_that_none_runs() {
    let program = Program::simulated();
    for command in [
        "summary",
        "challenges",
        "attempts",
        "messages",
        "alarms",
        "stop",
        "--read-only",
    ] {
        let errors = program.fails(&[command], 69);
        assert!(
            errors.contains("no farmer answers at") && errors.contains("control.sock"),
            "{errors}"
        );
        let hint = format!(
            "hint: start one with `farmconsole --root {} --daemon`, or try `farmconsole demo`;",
            program.root().display()
        );
        assert!(errors.contains(&hint), "{errors}");
    }
}

#[test]
fn wrong_usage_and_bad_settings_have_statuses_of_their_own() {
    let program = Program::new();
    program.fails(&["no-such-command"], 2);
    let errors = program.fails(&["--daemon", "summary"], 2);
    let hint = format!("hint: `farmconsole --root {} --daemon`", program.root().display());
    assert!(errors.contains(&hint), "{errors}");
    let errors = program.fails(&["--read-only", "stop"], 2);
    assert!(errors.contains("--read-only is for the console"), "{errors}");
    let errors = program.fails(&["alarms", "silence", "harvesters_silent"], 2);
    assert!(
        errors.contains("a similar value exists: 'harvester_silent'"),
        "{errors}"
    );
    let errors = program.fails(&["record", "-"], 2);
    assert!(errors.contains("not written to standard output"), "{errors}");
    let errors = program.fails(&["replay", "recording"], 2);
    assert!(errors.contains("replay --check FILE`"), "{errors}");
    let errors = program.fails(&[], 69);
    assert!(errors.contains("`farmconsole demo` needs none"), "{errors}");
    let errors = program.fails(&["--daemon"], 78);
    let hint = format!(
        "hint: make a root with `farmconsole --root {} init`",
        program.root().display()
    );
    assert!(errors.contains(&hint), "{errors}");
    program.ok(&["init", "--network", "simulator1"]);
    program.settings(|text| text.replace("simulated_chain:", "simulatd_chain:"));
    let errors = program.fails(&["--daemon"], 78);
    assert!(
        errors.contains("simulatd_chain") && errors.contains("did you mean farmconsole.simulated_chain?"),
        "{errors}"
    );
    assert!(program.run(&["config", "check"]).status.code() == Some(1));
    let doctor = program.run(&["harvester", "doctor"]);
    assert_eq!(doctor.status.code(), Some(1));
    let told = String::from_utf8(doctor.stdout).unwrap();
    assert_eq!(told.matches("did you mean").count(), 1, "{told}");
}

#[test]
fn an_empty_variable_names_no_root_and_an_empty_option_is_wrong() {
    let program = Program::new();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_farmconsole"));
        command.args(arguments).env_clear().env("HOME", program.dir.path());
        command.env("FARMCONSOLE_ROOT", "").output().unwrap()
    };
    let path = program.dir.path().join(".farmconsole/mainnet/config/config.yaml");
    let found = run(&["config", "path"]);
    assert_eq!(String::from_utf8(found.stdout).unwrap().trim(), path.to_str().unwrap());
    assert_eq!(run(&["--root", "", "config", "path"]).status.code(), Some(2));
}

#[test]
fn init_makes_a_root_that_only_its_owner_reads() {
    let program = Program::simulated();
    let mode = |path: &str| fs::metadata(program.root().join(path)).unwrap().permissions().mode() & 0o777;
    for secret in [
        "config/ssl/ca/private_ca.key",
        "config/ssl/farmer/private_farmer.key",
        "farmconsole/farming-keys.yaml",
    ] {
        assert_eq!(mode(secret), 0o600, "{secret}");
    }
    assert_eq!(mode("farmconsole"), 0o700);
    let before = fs::read(program.root().join("config/ssl/ca/private_ca.crt")).unwrap();
    program.ok(&["init"]);
    assert_eq!(
        fs::read(program.root().join("config/ssl/ca/private_ca.crt")).unwrap(),
        before,
        "init is idempotent"
    );
}

#[test]
fn init_with_a_ca_directory_without_its_key_is_refused() {
    let farm = Program::simulated();
    let ca = farm.dir.path().join("ca");
    fs::create_dir(&ca).unwrap();
    fs::copy(
        farm.root().join("config/ssl/ca/private_ca.crt"),
        ca.join("private_ca.crt"),
    )
    .unwrap();
    let other = Program::new();
    let errors = other.fails(&["init", "-c", ca.to_str().unwrap()], 1);
    assert!(errors.contains("private_ca.key"), "{errors}");
    fs::copy(
        farm.root().join("config/ssl/ca/private_ca.key"),
        ca.join("private_ca.key"),
    )
    .unwrap();
    other.ok(&["init", "-c", ca.to_str().unwrap()]);
    let of = |p: &Program| fs::read(p.root().join("config/ssl/ca/private_ca.crt")).unwrap();
    assert_eq!(of(&farm), of(&other));
}

#[test]
fn a_farm_answers_refuses_a_second_and_stops() {
    let mut program = Program::simulated();
    program.start();
    let summary = program.until("a signage point", |s| s["signage_points_received"].as_u64() > Some(0));
    assert_eq!(summary["version"], 1);
    assert_eq!(summary["simulated"], true);
    let text = program.ok(&["summary"]);
    assert!(text.starts_with("Farming status: "), "{text}");
    assert!(
        text.contains("Plot count for all harvesters: 0") && text.contains("Never (no plots)"),
        "{text}"
    );
    assert!(text.contains("SIMULATED"), "{text}");
    assert!(program.ok(&["challenges", "-l", "1"]).starts_with("Hash: 0x"));

    let errors = program.fails(&["--daemon"], 75);
    assert!(errors.contains("another farmconsole (process "), "{errors}");
    let no_request = program.root().join("config/config.yaml");
    let no_request = no_request.to_str().unwrap();
    let errors = program.fails(&["harvester", "sign-csr", "attic", no_request], 1);
    let what = format!("sign {no_request}: the farmer says: the certificate request ");
    assert!(
        errors.contains(&what) && errors.contains("openssl req -new"),
        "{errors}"
    );
    program.ok(&["configure", "--log-level", "DEBUG"]);
    program.ok(&["stop"]);
    assert_eq!(program.daemon.as_mut().unwrap().wait().unwrap().code(), Some(0));
    assert!(!program.root().join("farmconsole/control.sock").exists());
}

#[test]
fn output_to_a_closed_pipe_is_success() {
    let program = Program::simulated();
    let mut child = program
        .command(&["man"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut first)
        .unwrap();
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert_eq!((child.wait().unwrap().code(), errors.as_str()), (Some(0), ""));
}

#[test]
fn demo_makes_plots_connects_harvesters_and_wins_simulated_blocks() {
    let mut program = Program::new();
    let args = [
        "demo",
        "--daemon",
        "--harvesters",
        "3",
        "--plots",
        "1",
        "--interval",
        "0.2",
    ];
    program.daemon = Some(
        program
            .command(&args)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let started = Instant::now();
    while !program.run(&["summary", "--json"]).status.success() {
        assert!(started.elapsed() < PATIENCE, "the demo does not answer");
        wait_a_moment();
    }
    let summary = program.until("three harvesters farm and a block is won", |s| {
        let harvesters = s["harvesters"].as_array().unwrap();
        s["plots"] == 3 && harvesters.len() == 3 && s["blocks_accepted"].as_u64() > Some(0)
    });
    assert_eq!(
        (summary["proofs_invalid"].as_u64(), summary["proofs_lost"].as_u64()),
        (Some(0), Some(0))
    );
    let attempt = program.ok(&["attempts", "-l", "1", "--json"]);
    let attempt = serde_json::from_str::<Value>(&attempt).unwrap();
    assert_eq!(
        (&attempt["version"], &attempt["outcome"]["outcome"]),
        (&1.into(), &"answered".into())
    );
    for list in ["attempts", "messages", "challenges"] {
        for line in program.ok(&[list, "-l", "3", "--json"]).lines() {
            assert_eq!(
                serde_json::from_str::<Value>(line).unwrap()["version"],
                1,
                "{list}: {line}"
            );
        }
    }
    assert_eq!(
        program.ok(&["harvester", "list", "--no-key"]),
        "no plot made for other keys\n"
    );
    let checked = program.ok(&["harvester", "list", "--refresh", "--json"]);
    for line in checked.lines() {
        let harvester: Value = serde_json::from_str(line).unwrap();
        assert_eq!(
            (
                &harvester["cross_check"]["missing"],
                &harvester["cross_check"]["unexpected"]
            ),
            (&0.into(), &0.into())
        );
    }
    // Named as `harvester list` has them, though their certificates have no name yet and their address is one.
    program.ok(&["harvester", "rename", "demo-2", "attic"]);
    program.ok(&["harvester", "revoke", "demo-3"]);
    program.until("one has another name, one is revoked", |s| {
        let harvesters = s["harvesters"].as_array().unwrap();
        let has = |name: &str, state: &str| {
            let mut states = harvesters.iter().filter(|it| it["name"] == name);
            states.any(|it| it["state"]["state"] == state)
        };
        has("demo-1", "farming") && has("attic", "farming") && has("demo-3", "revoked")
    });
    let errors = program.fails(&["harvester", "revoke", "demo-3"], 1);
    assert!(errors.contains("demo-3"), "{errors}");
    program.ok(&["stop"]);
}

#[test]
fn a_harvester_alone_farms_for_its_farmer_and_says_what_it_does() {
    let mut farm = Program::simulated();
    farm.start();
    let mut machine = Program::new();
    let errors = machine.fails(&["harvester", "run"], 78);
    assert!(errors.contains("hint: `farmconsole harvester invite NAME`"), "{errors}");
    let ca = farm.root().join("config/ssl/ca");
    let said = machine.ok(&["init", "-c", ca.to_str().unwrap(), "--network", "simulator1"]);
    let now_run = format!(
        "now run `farmconsole --root {} harvester run`",
        machine.root().display()
    );
    assert!(said.contains(&now_run), "{said}");
    machine.ok(&["configure", "--set-farmer-peer", &format!("127.0.0.1:{}", farm.port)]);
    let run = |machine: &Program, options: &[&str]| {
        let args = [&["harvester", "run"], options].concat();
        let output = (Stdio::null(), Stdio::piped());
        machine
            .command(&args)
            .stdout(output.0)
            .stderr(output.1)
            .spawn()
            .unwrap()
    };
    machine.daemon = Some(run(&machine, &[]));
    let synced = |machine: &Program| {
        let started = Instant::now();
        loop {
            let output = machine.run(&["summary", "--json"]);
            let summary: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
            // The farm has no plots, and neither has this machine: that is all that is wrong.
            if summary["farmer"]["state"]["state"] == "synced" {
                return summary;
            }
            assert!(started.elapsed() < PATIENCE, "never synced: {summary:#}");
            wait_a_moment();
        }
    };
    let summary = synced(&machine);
    assert_eq!(
        (&summary["role"], &summary["status"], &summary["version"]),
        (&"harvester".into(), &"no_plots".into(), &1.into())
    );
    assert!(machine.ok(&["summary"]).starts_with("Harvester status: NO PLOTS"));
    let alarms = machine.run(&["alarms"]);
    assert_eq!(alarms.status.code(), Some(1));
    let add = format!("`farmconsole --root {} plots add", machine.root().display());
    assert!(String::from_utf8(alarms.stdout).unwrap().contains(&add));
    let errors = machine.fails(&["attempts"], 69);
    assert!(
        errors.contains("no farmer runs on") && errors.contains("but a harvester"),
        "{errors}"
    );
    let errors = machine.fails(&["harvester", "run"], 75);
    let pid = machine.daemon.as_ref().unwrap().id();
    assert!(
        errors.contains(&format!("process {pid}")) && errors.contains("--replace"),
        "{errors}"
    );
    let errors = farm.fails(&["harvester", "run", "--replace"], 75);
    assert!(errors.contains("a farmer runs on this root"), "{errors}");

    let successor = run(&machine, &["--replace"]);
    let mut replaced = machine.daemon.replace(successor).unwrap();
    assert_eq!(replaced.wait().unwrap().code(), Some(0));
    synced(&machine);
    farm.ok(&["stop"]);
    let started = Instant::now();
    while !String::from_utf8(machine.run(&["alarms"]).stdout)
        .unwrap()
        .contains("farmer 127.0.0.1")
    {
        assert!(started.elapsed() < PATIENCE, "the loss of the farmer is not told");
        wait_a_moment();
    }
    machine.ok(&["stop"]);
    assert_eq!(machine.daemon.as_mut().unwrap().wait().unwrap().code(), Some(0));
}

#[test]
fn following_goes_on_and_ends_with_the_farmer() {
    let mut program = Program::simulated();
    program.start();
    let mut follower = program
        .command(&["messages", "--follow", "--json"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    program.ok(&["stop"]);
    assert_eq!(follower.wait().unwrap().code(), Some(69));
    let mut errors = String::new();
    follower.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert!(
        errors.contains("the farmer at") || errors.contains("no farmer answers"),
        "{errors}"
    );
}

#[test]
fn completions_and_manual_name_every_command() {
    let program = Program::new();
    let (bash, man) = (program.ok(&["completions", "bash"]), program.ok(&["man"]));
    for command in ["summary", "attempts", "harvester", "demo", "configure", "alarms"] {
        assert!(bash.contains(command) && man.contains(command), "{command}");
    }
    for section in [".SH FILES", ".SH JSON", ".SH EXIT STATUS"] {
        assert!(man.contains(section), "{section}");
    }
}

#[test]
fn a_harvester_that_joined_a_farm_is_not_made_a_farmer_by_accident() {
    let program = Program::simulated();
    let state = program.root().join("farmconsole");
    fs::remove_file(state.join("farming-keys.yaml")).unwrap();
    fs::write(state.join("membership.json"), "{}").unwrap();
    let errors = program.fails(&["--daemon"], 78);
    let hint = format!("`farmconsole --root {} harvester run`", program.root().display());
    assert!(errors.contains(&hint), "{errors}");
    // Nor are people sent to copy keys there.
    for command in [&["keys", "show"], &["history", "plots"]] {
        let errors = program.fails(command, 1);
        assert!(
            errors.contains("hint: ask where the farmer runs") && !errors.contains("import"),
            "{errors}"
        );
    }
}

#[test]
fn nothing_outside_farmconsole_changes_in_an_official_root() {
    let mut program = Program::new();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let config = program.root().join("config");
    for (file, content) in files(&fixtures.join("official_ssl")) {
        let path = config.join("ssl").join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        let mode = if path.extension().is_some_and(|e| e == "key") {
            0o600
        } else {
            0o644
        };
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
    // The certificate of the public CA, as the official software lays it into every root.
    let public_ca = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/chia_ca.crt");
    fs::copy(public_ca, config.join("ssl/ca/chia_ca.crt")).unwrap();
    fs::copy(
        fixtures.join("official_config/saved-2.7.5.yaml"),
        config.join("config.yaml"),
    )
    .unwrap();
    let port = program.port;
    program.settings(|text| text.replace("port: 8447", &format!("port: {port}")));
    let before = files(&program.root());
    let said = program.ok(&["init"]);
    assert!(said.contains("belongs to Chia's own software"), "{said}");
    program.start();
    program.ok(&["summary"]);
    program.ok(&["stop"]);
    let mut after = files(&program.root());
    after.retain(|path, _| !path.starts_with("farmconsole"));
    assert!(before == after, "{:?}", after.keys().collect::<Vec<_>>());
}

/// Every file below `dir`, by its path in it, with its content.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let (mut found, mut dirs) = (BTreeMap::new(), vec![dir.to_owned()]);
    while let Some(next) = dirs.pop() {
        for path in fs::read_dir(next).unwrap().map(|e| e.unwrap().path()) {
            if path.is_dir() {
                dirs.push(path);
            } else {
                found.insert(path.strip_prefix(dir).unwrap().to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    found
}
