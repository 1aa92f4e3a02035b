//! The farmer that runs unattended: what ends it, what has its settings read again, who is told, and that it starts again.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::Value;

use crate::root::{PATIENCE, Program, wait_a_moment};

fn hang_up(daemon: &Child) {
    let mut kill = Command::new("kill");
    assert!(
        kill.args(["-HUP", &daemon.id().to_string()])
            .status()
            .unwrap()
            .success()
    );
}

/// The daemon of `program` started by `starter`. Whoever runs the tests may have hang-ups ignored, as `nohup` does.
fn daemon_by(program: &Program, starter: &[&str]) -> Command {
    let daemon = program.command(&["--daemon"]);
    let mut command = Command::new(starter[0]);
    command.args(&starter[1..]).args(["env", "--default-signal=HUP"]);
    command.arg(daemon.get_program()).args(daemon.get_args());
    command.env("HOME", program.dir.path()).stdin(Stdio::null());
    command
}

#[test]
#[cfg(target_os = "linux")]
fn a_terminal_that_hangs_up_ends_the_farm_in_good_order() {
    let mut program = Program::simulated();
    // `script` runs a command in a terminal of its own. The one it is started from, which it would make raw and, killed,
    // leave so, is none of its business.
    let daemon = daemon_by(&program, &["exec"]);
    let line: Vec<_> = [daemon.get_program()].into_iter().chain(daemon.get_args()).collect();
    let line = line.join(std::ffi::OsStr::new(" "));
    let mut terminal = Command::new("script");
    terminal
        .args(["--quiet", "--return", "--command"])
        .arg(line)
        .arg("/dev/null")
        .stdin(Stdio::null());
    program.start_by(terminal);
    let terminal = program.daemon.as_mut().unwrap();
    terminal.kill().unwrap();
    terminal.wait().unwrap();
    let started = Instant::now();
    while program.root().join("farmconsole/control.sock").exists() {
        assert!(started.elapsed() < PATIENCE, "it farms on");
        wait_a_moment();
    }
}

#[test]
#[cfg(target_os = "linux")]
fn what_only_the_start_needed_of_the_program_is_handed_back() {
    let mut program = Program::simulated();
    program.start();
    let status = format!("/proc/{}/status", program.daemon.as_ref().unwrap().id());
    let of_files = || -> u64 {
        let status = fs::read_to_string(&status).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssFile:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    };
    let (started, mut most) = (Instant::now(), 0);
    loop {
        let now = of_files();
        most = most.max(now);
        if now < most * 3 / 4 {
            break;
        }
        assert!(started.elapsed() < PATIENCE, "{now} kB, {most} at most");
        wait_a_moment();
    }
    program.ok(&["summary"]);
}

#[test]
#[cfg(target_os = "linux")]
fn without_a_terminal_a_hangup_has_the_settings_read_again() {
    let mut program = Program::simulated();
    let command = daemon_by(&program, &["setsid"]);
    program.start_by(command);
    let read_again = || hang_up(program.daemon.as_ref().unwrap());
    let has_alarm = || {
        let alarms = program.run(&["alarms", "--json"]).stdout;
        String::from_utf8(alarms).unwrap().contains("settings_unreadable")
    };
    let wait_for = |what: &str, check: &dyn Fn() -> bool| {
        let started = Instant::now();
        while !check() {
            assert!(started.elapsed() < PATIENCE, "{what} never came true");
            wait_a_moment();
        }
    };
    let original = fs::read_to_string(program.root().join("config/config.yaml")).unwrap();
    program.settings(|text| {
        text.replace("log_level: INFO", "log_level: DEBUG")
            .replace("num_threads: 30", "num_threads: 7")
    });
    read_again();
    let log = program.root().join("log/debug.log");
    let told =
        "settings read again: logging.log_level followed; harvester.num_threads will be followed from the next start";
    wait_for(told, &|| {
        // The log is made with its first line.
        fs::read_to_string(&log).is_ok_and(|text| text.contains(told))
    });
    program.settings(|text| text.replace("num_threads: 7", "num_threads: many"));
    read_again();
    wait_for("an alarm of settings that are not followed", &has_alarm);
    let summary = program.json(&["summary", "--json"]);
    let received = summary["signage_points_received"].as_u64();
    program.until("farming goes on", |s| s["signage_points_received"].as_u64() > received);
    program.settings(|_| original.clone());
    read_again();
    wait_for("no alarm after the file was mended", &|| !has_alarm());
    program.settings(|text| {
        let pool = text.find("\npool:\n").unwrap();
        let (before, after) = text.split_at(pool);
        let target = "xch_target_address: ";
        let without = after.lines().filter(|line| !line.contains(target));
        let after: Vec<_> = without.collect();
        format!("{before}{}\n", after.join("\n")).replace("\npool:\n", "\npool:\n  xch_target_address: txch1qqqq\n")
    });
    read_again();
    wait_for("an alarm of an address that nobody can be paid at", &has_alarm);
    program.settings(|_| original.clone());
    read_again();
    wait_for("no alarm after the address was mended", &|| !has_alarm());
    program.ok(&["stop"]);
    assert_eq!(program.daemon.as_mut().unwrap().wait().unwrap().code(), Some(0));
}

#[test]
fn plot_directories_that_come_while_it_runs_are_looked_into() {
    let every_second = |text: String| text.replace("interval_seconds: 120", "interval_seconds: 1");
    let mut farm = Program::simulated();
    farm.settings(every_second);
    farm.start();
    let mut machine = Program::new();
    let ca = farm.root().join("config/ssl/ca");
    machine.ok(&["init", "-c", ca.to_str().unwrap(), "--network", "simulator1"]);
    machine.ok(&["configure", "--set-farmer-peer", &format!("127.0.0.1:{}", farm.port)]);
    machine.settings(every_second);
    let command = machine.command(&["harvester", "run"]);
    machine.start_by(command);
    for program in [&farm, &machine] {
        let plots = program.dir.path().join("plots");
        fs::create_dir(&plots).unwrap();
        fs::write(plots.join("plot-k32-broken.plot"), [0; 200]).unwrap();
        program.ok(&["plots", "add", "-d", plots.to_str().unwrap()]);
    }
    let seen = |harvester: &Value| harvester["failed"] == 1;
    farm.until("both harvesters have seen their file", |summary| {
        let harvesters = summary["harvesters"].as_array().unwrap();
        harvesters.len() == 2 && harvesters.iter().all(seen)
    });
    // A drive that was not mounted when they looked for the first time.
    let (away, mounted) = ("not-there-yet", "nothing is farmed from");
    for program in [&farm, &machine] {
        let drive = program.dir.path().join(away);
        fs::create_dir(&drive).unwrap();
        program.ok(&["plots", "add", "-d", drive.to_str().unwrap()]);
        fs::remove_dir(&drive).unwrap();
    }
    for is_told in [true, false] {
        for program in [&farm, &machine] {
            let started = Instant::now();
            let alarms = || String::from_utf8(program.run(&["alarms"]).stdout).unwrap();
            while alarms().contains(mounted) != is_told {
                assert!(started.elapsed() < PATIENCE, "told {}: {}", !is_told, alarms());
                wait_a_moment();
            }
            fs::create_dir_all(program.dir.path().join(away)).unwrap();
        }
    }
    // A slip of the pen later, each says on its own machine that what is new in the file is not followed.
    for (from, to, is_told) in [
        ("_seconds: 1\n", "_seconds: soon\n", true),
        ("_seconds: soon\n", "_seconds: 1\n", false),
        ("  plot_directories:", "  plot_directorys:", true),
        ("  plot_directorys:", "  plot_directories:", false),
    ] {
        for program in [&farm, &machine] {
            program.settings(|text| text.replace(from, to));
            let started = Instant::now();
            let told = || String::from_utf8(program.run(&["alarms"]).stdout).unwrap();
            while told().contains("the changed settings are not followed: ") != is_told {
                assert!(
                    started.elapsed() < PATIENCE,
                    "{from} is {to} now, and it says: {}",
                    told()
                );
                wait_a_moment();
            }
        }
    }
}

#[test]
fn first_plots_of_a_farm_are_farmed_soon() {
    let mut farm = Program::simulated();
    farm.start();
    let plots = farm.dir.path().join("plots");
    fs::create_dir(&plots).unwrap();
    fs::write(plots.join("plot-k32-broken.plot"), [0; 200]).unwrap();
    farm.ok(&["plots", "add", "-d", plots.to_str().unwrap()]);
    let added = Instant::now();
    farm.until("its own harvester has seen the file", |summary| {
        let harvesters = summary["harvesters"].as_array().unwrap();
        harvesters.iter().any(|harvester| harvester["failed"] == 1)
    });
    let refresh = Duration::from_secs(120);
    assert!(added.elapsed() < refresh / 2, "{:?}", added.elapsed());
}

#[test]
#[cfg(target_os = "linux")]
fn without_open_files_left_it_still_answers_and_ends() {
    let mut program = Program::simulated();
    program.start();
    let daemon = program.daemon.as_ref().unwrap().id();
    // The descriptors that it keeps for this are the last it may have; those that are free below them are used up.
    let open: Vec<(u64, bool)> = fs::read_dir(format!("/proc/{daemon}/fd"))
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let is_spare = fs::read_link(&path).is_ok_and(|to| to.as_os_str() == "/dev/null");
            (path.file_name().unwrap().to_str().unwrap().parse().unwrap(), is_spare)
        })
        .collect();
    let spares = open.iter().filter(|(_, is_spare)| *is_spare);
    let last = spares.map(|(number, _)| *number).max().unwrap();
    let used = open.iter().filter(|(number, _)| *number <= last).count() as u64;
    let limits = Rlimit {
        current: Some(last + 1),
        ..rustix::process::getrlimit(Resource::Nofile)
    };
    prlimit(Pid::from_raw(daemon.try_into().unwrap()), Resource::Nofile, limits).unwrap();
    let socket = program.root().join("farmconsole/control.sock");
    let _idle: Vec<_> = (used..=last).map(|_| UnixStream::connect(&socket).unwrap()).collect();
    let received = program.json(&["summary", "--json"])["signage_points_received"].as_u64();
    program.until("it farms on", |s| s["signage_points_received"].as_u64() > received);
    program.ok(&["stop"]);
    assert_eq!(program.daemon.as_mut().unwrap().wait().unwrap().code(), Some(0));
}

#[test]
fn systemd_is_told_of_the_start_of_going_on_and_of_the_end() {
    let mut program = Program::simulated();
    let socket = program.dir.path().join("notify");
    let systemd = UnixDatagram::bind(&socket).unwrap();
    systemd.set_read_timeout(Some(PATIENCE)).unwrap();
    let told = || {
        let mut message = [0; 64];
        let length = systemd.recv(&mut message).unwrap();
        String::from_utf8(message[..length].to_vec()).unwrap()
    };
    let mut command = program.command(&["--daemon"]);
    command.env("NOTIFY_SOCKET", &socket).env("WATCHDOG_USEC", "600000");
    program.start_by(command);
    assert_eq!([told(), told(), told()], ["READY=1\n", "WATCHDOG=1\n", "WATCHDOG=1\n"]);
    program.ok(&["stop"]);
    while let last = told()
        && last != "STOPPING=1\n"
    {
        assert_eq!(last, "WATCHDOG=1\n");
    }
}

#[test]
fn killed_at_any_moment_it_starts_again_at_once() {
    let mut program = Program::simulated();
    for _ in 0..3 {
        program.start();
        let mut daemon = program.daemon.take().unwrap();
        daemon.kill().unwrap();
        daemon.wait().unwrap();
        assert!(
            program.root().join("farmconsole/control.sock").exists(),
            "a killed farmer leaves its socket"
        );
    }
    program.start();
}

#[test]
fn a_lost_authority_stops_the_start_and_a_lost_certificate_of_the_farmer_does_not() {
    let mut program = Program::simulated();
    let stop = |program: &mut Program| {
        program.start();
        program.ok(&["stop"]);
        program.daemon.take().unwrap().wait().unwrap();
    };
    stop(&mut program);
    let ca = program.root().join("farmconsole/ca");
    fs::write(ca.join("farmer.key"), b"").unwrap();
    stop(&mut program);
    assert!(ca.join("farmer.key.damaged").exists());
    let key = fs::read(ca.join("server_ca.key")).unwrap();
    fs::remove_file(ca.join("server_ca.crt")).unwrap();
    let errors = program.fails(&["--daemon"], 78);
    let named = errors.contains("server_ca.crt is missing") && errors.contains(ca.to_str().unwrap());
    assert!(named && errors.contains("hint: restore it from a backup"), "{errors}");
    assert_eq!(fs::read(ca.join("server_ca.key")).unwrap(), key);
    let report = program.ok(&["init"]);
    assert!(report.contains("server_ca.crt again from its key"), "{report}");
    fs::remove_file(ca.join("client_ca.key")).unwrap();
    program.start();
    let errors = program.fails(&["harvester", "invite", "q9"], 1);
    assert!(
        errors.contains("client_ca.key") && errors.contains("restore"),
        "{errors}"
    );
    let doctor = program.run(&["harvester", "doctor"]);
    let doctor = String::from_utf8_lossy(&doctor.stdout);
    assert!(doctor.contains("client_ca.key"), "{doctor}");
    let alarms = program.run(&["alarms"]);
    let alarms = String::from_utf8_lossy(&alarms.stdout);
    assert!(alarms.contains("client_ca.key"), "{alarms}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_port_in_use_is_named_and_taken_when_it_is_free() {
    let program = Program::simulated();
    let taken = std::net::TcpListener::bind(("0.0.0.0", program.port)).unwrap();
    let mut daemon = daemon_by(&program, &["setsid"]);
    let mut daemon = daemon.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let line = |output: &mut dyn Read| {
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).unwrap();
        line
    };
    let said = line(daemon.stderr.as_mut().unwrap());
    for part in [
        &program.port.to_string(),
        "in use by",
        &std::process::id().to_string(),
        "trying again",
    ] {
        assert!(said.contains(part), "{said}");
    }
    let asked = program.fails(&["summary"], 69);
    let starting = format!(
        "hint: process {} is starting one, and cannot yet: listen on",
        daemon.id()
    );
    assert!(asked.contains(&starting) && asked.contains("in use by"), "{asked}");
    // To have settings read again does not end it meanwhile.
    hang_up(&daemon);
    wait_a_moment();
    drop(taken);
    let said = line(daemon.stdout.as_mut().unwrap());
    assert!(said.contains(&format!("farm on port {}", program.port)), "{said}");
    program.ok(&["stop"]);
    assert_eq!(daemon.wait().unwrap().code(), Some(0));
    let log = fs::read_to_string(program.root().join("log/debug.log")).unwrap();
    assert!(log.contains("settings read again: nothing has changed"), "{log}");
}
