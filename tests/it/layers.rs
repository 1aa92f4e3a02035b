//! The architecture as a test: an arrow never points outwards, and ring 0 stays pure.
//!
//! `cargo core` proves that ring 0 builds without a runtime; this finds what would still build: a clock, a thread, a
//! file, a hash map whose order differs per run, a ring that imports one further out.

use std::fs;
use std::path::{Path, PathBuf};

/// Modules of ring 0, innermost first: each may use itself and what stands before it.
const RING_0: [&str; 10] = [
    "units",
    "ids",
    "clock",
    "rate",
    "wire",
    "crypto",
    "pos",
    "simulator",
    "snapshot",
    "farmer",
];

/// Modules of ring 1, in the same order.
const RING_1: [&str; 18] = [
    "system_clock",
    "json",
    "logging",
    "config",
    "tcp",
    "history",
    "registry",
    "keys",
    "tls",
    "enrol",
    "init",
    "net",
    "harvester",
    "handle",
    "hooks",
    "control",
    "recorder",
    "runtime",
];

/// What ring 0 never names, with the reason that the failure shows.
const IMPURE: [(&str, &str); 13] = [
    ("tokio", "no runtime in ring 0"),
    ("std::fs", "no files in ring 0"),
    ("std::net::Tcp", "no sockets in ring 0"),
    ("std::env::", "no environment in ring 0"),
    ("std::thread", "no threads in ring 0"),
    ("Instant", "time is an argument: take `Now`"),
    ("SystemTime", "time is an argument: take `Now`"),
    ("HashMap", "order must not differ per run: use BTreeMap"),
    ("HashSet", "order must not differ per run: use BTreeSet"),
    ("getrandom", "chance is an argument"),
    ("tracing::", "no logging in ring 0: emit a Notice"),
    ("println!", "no output in ring 0"),
    ("ratatui", "no terminal in the library"),
];

#[test]
fn ring_0_is_pure() {
    for module in RING_0 {
        for (file, code) in sources("src", module) {
            for (word, reason) in IMPURE {
                assert!(!mentions(&code, word), "{} mentions {word}: {reason}", file.display());
            }
        }
    }
}

#[test]
fn arrows_point_inwards() {
    let modules: Vec<&str> = RING_0.into_iter().chain(RING_1).collect();
    for (place, module) in modules.iter().enumerate() {
        for (file, code) in sources("src", module) {
            for outer in &modules[place + 1..] {
                assert!(
                    !mentions(&code, &format!("crate::{outer}")),
                    "{} uses crate::{outer}, which lies further out",
                    file.display()
                );
            }
        }
    }
}

#[test]
fn library_knows_no_terminal() {
    for module in RING_0.iter().chain(&RING_1) {
        for (file, code) in sources("src", module) {
            for word in ["ratatui", "crossterm", "clap", "anyhow"] {
                assert!(
                    !mentions(&code, word),
                    "{} mentions {word}: it belongs to ui/",
                    file.display()
                );
            }
        }
    }
}

#[test]
fn every_certificate_is_verified() {
    for root in ["src", "ui"] {
        for file in rust_files(Path::new(root)) {
            let code = without_comments(&fs::read_to_string(&file).unwrap());
            assert!(
                !code.contains(".dangerous()"),
                "{} switches certificate checks off",
                file.display()
            );
        }
    }
}

#[test]
fn people_are_told_things_in_one_place() {
    for file in rust_files(Path::new("ui")) {
        if is_test_file(&file) || file.starts_with("ui/console") || file.ends_with("ui/out.rs") {
            continue;
        }
        let code = without_comments(&fs::read_to_string(&file).unwrap());
        for end in ["io::stdout()", "io::stderr()"] {
            let is_written = |(at, _): (usize, &str)| !code[at + end.len()..].starts_with(".is_terminal()");
            assert!(
                !code.match_indices(end).any(is_written),
                "{} writes to {end}, which knows nothing of --ascii: `Out` of ui/out.rs does",
                file.display()
            );
        }
    }
}

#[test]
fn every_source_file_has_a_known_room() {
    let known: Vec<&str> = RING_0.iter().chain(&RING_1).copied().chain(["lib"]).collect();
    for entry in fs::read_dir("src").unwrap() {
        let path = entry.unwrap().path();
        let room = path.file_stem().unwrap().to_str().unwrap().to_owned();
        assert!(
            known.contains(&room.as_str()),
            "{} belongs to no ring: name it in tests/it/layers.rs",
            path.display()
        );
    }
}

#[test]
fn the_guard_sees_code_and_not_comments_or_tests() {
    let code = without_comments("use x; // HashMap\n/// Instant\n#[cfg(test)]\nmod tests { use std::fs; }\n");
    assert!(mentions(&code, "use x") && !mentions(&code, "HashMap") && !mentions(&code, "std::fs"));
    assert!(mentions("let a: HashMap<u8, u8>;", "HashMap"));
    assert!(!mentions("let a: LookupInstants;", "Instant"));
}

/// Code of `src/<module>.rs` or of every file below `src/<module>/`, without comments and test modules.
fn sources(root: &str, module: &str) -> Vec<(PathBuf, String)> {
    let single = Path::new(root).join(format!("{module}.rs"));
    let files = if single.exists() {
        vec![single]
    } else {
        rust_files(&Path::new(root).join(module))
    };
    assert!(!files.is_empty(), "module {module} is gone: mend the list of rings");
    files
        .into_iter()
        .filter(|f| !is_test_file(f))
        .map(|f| (f.clone(), without_comments(&fs::read_to_string(&f).unwrap())))
        .collect()
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(dir) else { return found };
    for path in entries.map(|e| e.unwrap().path()) {
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found
}

fn is_test_file(path: &Path) -> bool {
    path.components().any(|c| {
        c.as_os_str()
            .to_str()
            .is_some_and(|s| s == "tests" || s == "tests.rs" || s.ends_with("_tests.rs") || s == "scenario.rs")
    })
}

/// Drops line comments and everything from the tests on, which stand last in a file.
fn without_comments(code: &str) -> String {
    let code = code.split("\nmod tests {").next().unwrap_or_default();
    code.lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n")
}

/// Whether `word` stands in the code and is not the tail or head of a longer name.
fn mentions(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = code[at + word.len()..].chars().next();
        let part_of_name = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        !part_of_name(before) && (word.ends_with(':') || word.ends_with("Tcp") || !part_of_name(after))
    })
}
