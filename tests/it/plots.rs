//! `farmconsole plots` from outside: plots made, found good or bad, and their directories.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::time::Instant;

use farmconsole::pos::header::PlotHeader;
use serde_json::Value;

use crate::root::{PATIENCE, Program, wait_a_moment};

/// The files in a directory.
fn files(directory: &PathBuf) -> Vec<PathBuf> {
    fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect()
}

/// Checks plots; what is said of each, and the summary.
fn check(program: &Program, args: &[&str], status: i32) -> (Vec<Value>, Value) {
    let output = program.run(&[&["plots", "check", "--json"], args].concat());
    assert_eq!(output.status.code(), Some(status));
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().all(|line| line["version"] == 1));
    let summary = lines.pop().unwrap();
    assert_eq!(summary["type"], "summary");
    (lines, summary)
}

#[test]
fn plots_made_are_checked_and_what_is_wrong_with_others_is_told() {
    let program = Program::simulated();
    let dir = program.dir.path().join("plots");
    let made = program.ok(&["plots", "create", "-d", dir.to_str().unwrap()]);
    program.ok(&["plots", "create", "--v2", "-d", dir.to_str().unwrap()]);
    assert!(made.contains("Making 1 v1 plot of k 18 for simulator1"), "{made}");
    assert_eq!(files(&dir).len(), 2, "nothing but the plots");
    assert!(program.ok(&["plots", "show"]).contains("2 plot files"));

    let (plots, summary) = check(&program, &[], 0);
    assert_eq!(
        (&summary["files"], &summary["valid"]),
        (&Value::from(2), &Value::from(2))
    );
    assert!(plots.iter().all(|plot| plot["proofs"].as_u64() > Some(0)), "{plots:?}");

    let real = files(&dir)
        .into_iter()
        .find(|path| path.extension().unwrap() == "plot")
        .unwrap();
    let bytes = fs::read(&real).unwrap();
    fs::copy(&real, dir.join("z-copy.plot")).unwrap();
    fs::write(dir.join("cut.plot"), &bytes[..bytes.len() / 2]).unwrap();
    fs::write(dir.join("empty.plot"), b"").unwrap();
    let (_, summary) = check(&program, &["-n", "5"], 1);
    for (what, count) in [("files", 5), ("valid", 3), ("cannot_open", 2), ("duplicates", 2)] {
        assert_eq!(summary[what], count, "{what}: {summary}");
    }
    let (plots, _) = check(&program, &["-n", "0", "-g", "*plot2"], 0);
    assert_eq!(plots.len(), 1);
    let text = String::from_utf8(program.run(&["plots", "check", "-n", "5", "-l"]).stdout).unwrap();
    let secret = hex::encode(&bytes[60 + 96..60 + 128]);
    assert!(
        text.contains("is the same plot as") && !text.contains(&secret),
        "{text}"
    );
}

#[test]
fn a_path_that_is_no_text_is_told_by_its_bytes() {
    let program = Program::simulated();
    let directory = program.dir.path().join("odd");
    fs::create_dir(&directory).unwrap();
    for name in [b"a\xff.plot", b"a\xfe.plot"] {
        fs::write(directory.join(std::ffi::OsStr::from_bytes(name)), [0; 200]).unwrap();
    }
    let (plots, summary) = check(&program, &[directory.to_str().unwrap()], 1);
    let mut paths: Vec<_> = plots.iter().map(|plot| plot["path"].as_str().unwrap()).collect();
    // Each is told of when it is done.
    paths.sort_unstable();
    assert!(
        paths[0].starts_with("file:///") && paths[0].ends_with("/odd/a%FE.plot"),
        "{paths:?}"
    );
    assert!(paths[1].ends_with("/odd/a%FF.plot"), "{paths:?}");
    assert_eq!(summary["cannot_open"], 2, "{summary}");
    let text = String::from_utf8(program.run(&["plots", "check", directory.to_str().unwrap()]).stdout).unwrap();
    assert_eq!(
        [text.matches("a%FE.plot").count(), text.matches("a%FF.plot").count()],
        [2, 2],
        "{text}"
    );
}

#[test]
fn a_valid_plot_is_never_called_a_copy_of_a_damaged_one() {
    let program = Program::simulated();
    let dir = program.dir.path().join("plots");
    program.ok(&["plots", "create", "-d", dir.to_str().unwrap()]);
    let real = files(&dir).remove(0);
    let mut bytes = fs::read(&real).unwrap();
    // Files are taken by their names, so that this one is seen first.
    let damaged = dir.join("a-damaged.plot");
    let end = bytes.len() / 2;
    bytes[1000..end].iter_mut().step_by(256).for_each(|byte| *byte ^= 0x10);
    fs::write(&damaged, bytes).unwrap();
    let (plots, summary) = check(&program, &["-n", "30"], 1);
    let of = |path: &PathBuf| {
        plots
            .iter()
            .find(|plot| plot["path"] == path.to_str().unwrap())
            .unwrap()
    };
    assert_eq!(of(&damaged)["verdict"], "invalid");
    assert_eq!(
        (&of(&real)["verdict"], &of(&real)["duplicate_of"]),
        (&"valid".into(), &Value::Null)
    );
    assert_eq!(summary["duplicates"], 1, "{summary}");
    let text = String::from_utf8(program.run(&["plots", "check", "-n", "30", "-l"]).stdout).unwrap();
    let told = format!("{} is the same plot as {}", damaged.display(), real.display());
    assert!(text.contains(&told), "{text}");
    let lost = format!("the same plot as {}", damaged.display());
    assert!(!text.contains(&lost), "{text}");
}

#[test]
fn damaged_plots_of_the_farmer_itself_are_an_alarm() {
    let mut program = Program::simulated();
    let dir = program.dir.path().join("plots");
    program.ok(&["plots", "create", "-d", dir.to_str().unwrap()]);
    let plot = files(&dir).remove(0);
    let mut bytes = fs::read(&plot).unwrap();
    // The tables behind the proofs, and not those that say where a challenge has one: without them it would have none.
    let [table_1, _, _, _, _, _, table_7, ..] = PlotHeader::parse(&bytes[..]).unwrap().table_pointers;
    let tables = usize::try_from(table_1).unwrap()..usize::try_from(table_7).unwrap();
    for (place, byte) in bytes[tables].iter_mut().enumerate() {
        *byte = (place.wrapping_mul(2_654_435_761) >> 13) as u8;
    }
    fs::write(&plot, bytes).unwrap();
    program.start();
    let started = Instant::now();
    loop {
        let alarms = String::from_utf8(program.run(&["alarms", "--json"]).stdout).unwrap();
        if alarms.contains(r#""kind":"drive_trouble""#) {
            assert!(alarms.contains("met a damaged plot"), "{alarms}");
            break;
        }
        assert!(started.elapsed() < PATIENCE, "{alarms}");
        wait_a_moment();
    }
}

#[test]
fn plots_that_cannot_be_made_are_refused_with_what_to_do() {
    let program = Program::simulated();
    let refused = |args: &[&str]| program.fails(&[&["plots", "create"], args].concat(), 2);
    assert!(refused(&["-k", "32"]).contains("bladebit"));
    assert!(refused(&["--v2", "-k", "28"]).contains("not farmed on simulator1, only those of k 20 are"));
    assert!(refused(&["-f", "abc"]).contains("96 hex digits"));
    let of_mainnet = "xch1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq2u30kz";
    let errors = refused(&["-c", of_mainnet]);
    assert!(errors.contains("begins with txch1"), "{errors}");
}

#[test]
fn a_plot_directory_must_be_one_and_is_told_of_once() {
    let program = Program::simulated();
    let dir = program.dir.path().join("plots");
    let add = |path: &PathBuf| ["plots", "add", "-d", path.to_str().unwrap()].map(str::to_owned);
    let add = |path: &PathBuf| program.run(&add(path).each_ref().map(String::as_str));
    assert_eq!(add(&dir).status.code(), Some(1));
    fs::create_dir_all(dir.join("inner")).unwrap();
    let said = |path: &PathBuf| String::from_utf8(add(path).stdout).unwrap();
    assert!(said(&dir).contains("Successfully added: "));
    assert!(said(&dir).contains("Path already added: "));
    assert!(said(&dir.join("inner")).contains(" lies in "));
    fs::remove_dir_all(&dir).unwrap();
    assert_eq!(program.run(&["plots", "show"]).status.code(), Some(1));
    program.ok(&["plots", "remove", "-d", dir.to_str().unwrap()]);
    program.fails(&["plots", "remove", "-d", dir.to_str().unwrap()], 1);
}

#[test]
fn directories_and_plots_are_told_in_ascii_where_that_is_asked_for() {
    let program = Program::simulated();
    let directory = program.dir.path().join("pl\u{f6}ts");
    let path = directory.to_str().unwrap();
    for words in [
        ["plots", "create", "-d", path],
        ["plots", "check", "-l", path],
        ["plots", "add", "-d", path],
        ["plots", "remove", "-d", path],
        ["plots", "add", "-d", path],
    ] {
        let said = program.ok(&[["--ascii"].as_slice(), &words].concat());
        assert!(said.is_ascii() && said.contains("pl\\u{f6}ts"), "{words:?}: {said}");
    }
}

#[test]
fn what_is_wrong_is_told_in_ascii_where_that_is_asked_for() {
    let program = Program::simulated();
    for (words, status) in [
        (["plots", "remove", "-d", "/no/pl\u{f6}ts"].as_slice(), 1),
        (&["plots", "create", "-d", "/dev/null/pl\u{f6}ts"], 1),
        (&["keys", "import", "--mnemonic-file", "/no/pl\u{f6}ts"], 78),
        (&["pl\u{f6}ts"], 2),
        (&["summary", "--root", "/no/pl\u{f6}ts"], 69),
    ] {
        let said = program.fails(words, status);
        assert!(said.contains("pl\u{f6}ts"), "{words:?}: {said}");
        let said = program.fails(&[words, &["--ascii"]].concat(), status);
        assert!(said.is_ascii() && said.contains("pl\\u{f6}ts"), "{words:?}: {said}");
    }
}
