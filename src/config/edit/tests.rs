//! Files as people and official software write them, before and after a change.

use super::*;
use crate::config::{DEFAULT_SETTINGS, Settings};

/// As `chia init` writes it: comments, anchors and aliases.
const COMMENTED: &str = "\
self_hostname: &self_hostname \"localhost\" # this machine
selected_network: &net mainnet

logging: &logging
  log_stdout: False # yes or no
  log_level: \"WARNING\" # Can be CRITICAL, ERROR, WARNING, INFO, DEBUG, NOTSET
  # the end

harvester:
  farmer_peers:
    - host: *self_hostname
      port: 8447 # the farmer's

  logging: *logging
  # Plots are searched for in the following directories
  plot_directories: []

farmer:
  full_node_peers:
    - host: *self_hostname
      port: 8444
  logging:
    log_level: INFO
";

const OFFICIAL: &str = include_str!("../../../tests/fixtures/official_config/saved-2.7.5.yaml");

fn edited(text: &str, change: impl FnOnce(&mut Editor) -> Result<Outcome, EditError>) -> String {
    let mut editor = Editor::of_text(text).unwrap();
    change(&mut editor).unwrap();
    editor.text()
}

/// Lines of the second text that are not in the first, and the other way round.
fn changed_lines(before: &str, after: &str) -> (Vec<String>, Vec<String>) {
    let missing = |from: &str, other: &str| {
        let mut others: Vec<&str> = other.lines().collect();
        let mut lines = Vec::new();
        for line in from.lines() {
            match others.iter().position(|other| *other == line) {
                Some(at) => drop(others.remove(at)),
                None => lines.push(line.trim().to_owned()),
            }
        }
        lines
    };
    (missing(before, after), missing(after, before))
}

#[test]
fn log_level_is_set_everywhere_and_nothing_else_changes() {
    let after = edited(COMMENTED, |editor| editor.set_log_level(LogLevel::Debug));
    let (old, new) = changed_lines(COMMENTED, &after);
    assert_eq!(
        old,
        [
            "log_level: \"WARNING\" # Can be CRITICAL, ERROR, WARNING, INFO, DEBUG, NOTSET",
            "log_level: INFO"
        ]
    );
    assert_eq!(
        new,
        [
            "log_level: DEBUG # Can be CRITICAL, ERROR, WARNING, INFO, DEBUG, NOTSET",
            "log_level: DEBUG"
        ]
    );
    let again = Editor::of_text(&after).unwrap().set_log_level(LogLevel::Debug).unwrap();
    assert_eq!(again, Outcome::AlreadySo);
}

#[test]
fn official_file_changes_in_one_line() {
    // All services share one mapping by alias; its anchor is in the first service by name.
    let after = edited(OFFICIAL, |editor| editor.set_log_level(LogLevel::Info));
    assert_eq!(
        changed_lines(OFFICIAL, &after),
        (vec!["log_level: DEBUG".into()], vec!["log_level: INFO".into()])
    );
    let after = edited(OFFICIAL, |editor| {
        editor.set_farmer_peer(&HostPort::new("10.0.0.5", 8447))
    });
    assert_eq!(
        changed_lines(OFFICIAL, &after),
        (vec!["- host: localhost".into()], vec!["- host: \"10.0.0.5\"".into()])
    );
}

#[test]
fn only_farmer_is_the_only_one_wherever_others_were_named() {
    let only = |text: &str| edited(text, |editor| editor.set_only_farmer(&HostPort::new("pi", 1)));
    assert_eq!(
        only("harvester:\n  farmer_peer: {host: a, port: 2}\n  farmer_peers:\n  - {host: b, port: 3}\n"),
        "harvester:\n  farmer_peer: {host: pi, port: 1}\n  farmer_peers: []\n"
    );
    assert_eq!(
        only("harvester:\n  farmer_peers:\n  - {host: b, port: 3}\n  - {host: c, port: 4}\n"),
        "harvester:\n  farmer_peers:\n  - {host: pi, port: 1}\n"
    );
}

#[test]
fn peer_replaces_an_alias_and_leaves_its_anchor_alone() {
    let after = edited(COMMENTED, |editor| {
        editor.set_farmer_peer(&HostPort::new("farm.local", 9000))
    });
    let (old, new) = changed_lines(COMMENTED, &after);
    // One of the two equal lines, and the port.
    assert_eq!(old, ["port: 8447 # the farmer's", "- host: *self_hostname"]);
    assert_eq!(new, ["- host: farm.local", "port: 9000 # the farmer's"]);
    let after = edited(COMMENTED, |editor| {
        editor.set_full_node_peer(&HostPort::new("fd00::1", 8444))
    });
    let (old, new) = changed_lines(COMMENTED, &after);
    assert_eq!((old.len(), new), (1, vec!["- host: \"fd00::1\"".to_owned()]));
}

#[test]
fn peer_goes_where_the_file_has_its_peers() {
    let peer = HostPort::new("pi", 1);
    for (before, after) in [
        (
            "harvester: {farmer_peer: {host: a, port: 2}}\n",
            "harvester: {farmer_peer: {host: pi, port: 1}}\n",
        ),
        (
            "harvester:\n  farmer_peers: []\n",
            "harvester:\n  farmer_peers:\n    - {host: pi, port: 1}\n",
        ),
        (
            "harvester:\n  farmer_peers: # none\nx: 1\n",
            "harvester:\n  farmer_peers: # none\n    - {host: pi, port: 1}\nx: 1\n",
        ),
        (
            "harvester:\nx: 1\n",
            "harvester:\n  farmer_peers:\n    - {host: pi, port: 1}\nx: 1\n",
        ),
        ("x: 1", "x: 1\nharvester:\n  farmer_peers:\n    - {host: pi, port: 1}\n"),
        (
            "harvester:\n  num_threads: 3 # few\n\n# end\nx: 1\n",
            "harvester:\n  num_threads: 3 # few\n  farmer_peers:\n    - {host: pi, port: 1}\n\n# end\nx: 1\n",
        ),
        (
            "harvester: {farmer_peers: []}\n",
            "harvester: {farmer_peers: [{host: pi, port: 1}]}\n",
        ),
    ] {
        assert_eq!(edited(before, |editor| editor.set_farmer_peer(&peer)), after);
    }
}

#[test]
fn words_are_replaced_in_every_style() {
    let set = |text: &str, to: &str| edited(text, |editor| editor.set(&parts("a.b"), &Node::Text(to.to_owned())));
    for (before, to, after) in [
        ("a:\n  b: 'it''s' # c\n", "x", "a:\n  b: x # c\n"),
        ("a:\n  b: \"q\\\"q\" # c\n", "x", "a:\n  b: x # c\n"),
        ("a:\n  b: two words\n", "null", "a:\n  b: \"null\"\n"),
        ("a:\n  b:\n", "C:\\x \"y\"", "a:\n  b: \"C:\\\\x \\\"y\\\"\"\n"),
        ("a:\n  b: # c\n", "x", "a:\n  b: x # c\n"),
        (
            "a:\n  b: &anchor old\nc: *anchor\n",
            "new",
            "a:\n  b: &anchor new\nc: *anchor\n",
        ),
        ("a: {x: 1, b: old, c: 2}\n", "new", "a: {x: 1, b: new, c: 2}\n"),
        ("a: {\"b\": old}\n", "new", "a: {\"b\": new}\n"),
        ("a: {x: 1}\n", "new", ""),
        ("a:\r\n  b: old\r\nc: 1\r\n", "new", "a:\r\n  b: new\r\nc: 1\r\n"),
        (
            "a:\r\n  c: 1\r\nd: 1\r\n",
            "new",
            "a:\r\n  c: 1\r\n  b: new\r\nd: 1\r\n",
        ),
        ("\u{feff}a:\n  b: ä\n", "ö", "\u{feff}a:\n  b: \"ö\"\n"),
        ("a:\n  b: 1", "2020-01-01", "a:\n  b: \"2020-01-01\""),
    ] {
        if after.is_empty() {
            let mut editor = Editor::of_text(before).unwrap();
            let refused = editor.set(&parts("a.b"), &Node::Text(to.to_owned()));
            assert!(matches!(refused, Err(EditError::TooIntricate { .. })), "{before}");
            continue;
        }
        assert_eq!(set(before, to), after);
    }
}

#[test]
fn what_is_written_too_intricately_is_refused_without_a_trace() {
    for text in [
        "a:\n  b: |\n    block\n",
        "a:\n  b: >\n    folded\n",
        "a:\n  b: plain\n    over two lines\n",
        "m: &m {b: 1}\na:\n  <<: *m\n",
        "a: [1]\n",
        "a:\n  ? b\n  : 1\n",
    ] {
        let mut editor = Editor::of_text(text).unwrap();
        let result = editor.set(&parts("a.b"), &Node::Text("x".to_owned()));
        assert!(
            matches!(result, Err(EditError::TooIntricate { ref key, .. }) if key == "a.b"),
            "{text:?}: {result:?}"
        );
        assert_eq!((editor.text().as_str(), editor.outcome), (text, Outcome::AlreadySo));
    }
}

#[test]
fn users_of_one_mapping_change_together() {
    // As in the official software, where an alias is the same object.
    let after = edited("a: &x\n  c: 1\nd: *x\n", |editor| {
        editor.set(&parts("a.b"), &Node::Int(2))
    });
    assert_eq!(after, "a: &x\n  c: 1\n  b: 2\nd: *x\n");
    let after = edited("a: &x\n  c: 1\nd: *x\n", |editor| {
        editor.set(&parts("d.c"), &Node::Int(2))
    });
    assert_eq!(after, "a: &x\n  c: 2\nd: *x\n");
}

#[test]
fn plot_directories_are_added_and_removed_in_every_style() {
    let dir = tempfile::tempdir().unwrap();
    let real = dir.path().canonicalize().unwrap();
    let real = real.to_str().unwrap();
    for (before, after) in [
        (
            "harvester:\n  plot_directories: []\n",
            "harvester:\n  plot_directories:\n    - DIR\n",
        ),
        (
            "harvester:\n  plot_directories: [] # mine\nx: 1\n",
            "harvester:\n  plot_directories: # mine\n    - DIR\nx: 1\n",
        ),
        (
            "harvester:\n  plot_directories: null\n",
            "harvester:\n  plot_directories:\n    - DIR\n",
        ),
        (
            "harvester:\n  plot_directories:\n",
            "harvester:\n  plot_directories:\n    - DIR\n",
        ),
        (
            "harvester:\n  num_threads: 1\n",
            "harvester:\n  num_threads: 1\n  plot_directories:\n    - DIR\n",
        ),
        ("x: 1\n", "x: 1\nharvester:\n  plot_directories:\n    - DIR\n"),
        (
            "harvester: {plot_directories: [/a,]}\n",
            "harvester: {plot_directories: [/a, DIR]}\n",
        ),
        (
            "harvester:\n  plot_directories: [/a, '/b']\n",
            "harvester:\n  plot_directories: [/a, '/b', DIR]\n",
        ),
        (
            "harvester:\n  plot_directories:\n  - /a # first\n  - \"/b c\"\n  # more?\n  port: 1\n",
            "harvester:\n  plot_directories:\n  - /a # first\n  - \"/b c\"\n  - DIR\n  # more?\n  port: 1\n",
        ),
        (
            "harvester:\n  plot_directories:\n      - /a\n\n# end\nfarmer: {}",
            "harvester:\n  plot_directories:\n      - /a\n      - DIR\n\n# end\nfarmer: {}",
        ),
    ] {
        let expected = after.replace("DIR", real);
        let added = edited(before, |editor| editor.add_plot_directory(dir.path()));
        assert_eq!(added, expected);
        let mut editor = Editor::of_text(&added).unwrap();
        assert_eq!(editor.add_plot_directory(dir.path()).unwrap(), Outcome::AlreadySo);
        assert_eq!(editor.remove_plot_directory(dir.path()).unwrap(), Outcome::Changed);
        let left = editor.plot_directories();
        assert!(!left.iter().any(|directory| directory == real), "{left:?}");
        assert_eq!(editor.remove_plot_directory(dir.path()).unwrap(), Outcome::AlreadySo);
    }
}

#[test]
fn removing_leaves_the_neighbours_and_their_comments() {
    let before =
        "harvester:\n  plot_directories:\n  # one\n  - /a\n  # two\n  - /b # gone\n  # three\n  - /c\n  x: 1\n";
    let without_b = edited(before, |editor| editor.remove_plot_directory(Path::new("/b")));
    assert_eq!(without_b, before.replace("  - /b # gone\n", ""));
    let last = edited("harvester:\n  plot_directories: # mine\n  - /a\n", |editor| {
        editor.remove_plot_directory(Path::new("/a"))
    });
    assert_eq!(last, "harvester:\n  plot_directories: [] # mine\n");
}

#[test]
fn what_is_no_directory_is_not_added() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let mut editor = Editor::of_text(COMMENTED).unwrap();
    for path in [file, dir.path().join("missing")] {
        assert!(matches!(
            editor.add_plot_directory(&path),
            Err(EditError::NoDirectory { .. })
        ));
    }
    assert_eq!(editor.text(), COMMENTED);
}

#[test]
fn our_default_settings_can_be_edited_in_every_way() {
    let dir = tempfile::tempdir().unwrap();
    let after = edited(DEFAULT_SETTINGS, |editor| {
        editor.set_log_level(LogLevel::Debug)?;
        editor.set_farmer_peer(&HostPort::new("main", 1))?;
        editor.set_full_node_peer(&HostPort::new("node", 2))?;
        editor.set_farmer_target("xch1farmer")?;
        editor.set_pool_target("xch1pool")?;
        editor.add_plot_directory(dir.path())
    });
    let (old, _) = changed_lines(DEFAULT_SETTINGS, &after);
    assert!(
        old.iter().all(|line| !line.starts_with('#')),
        "a comment was lost: {old:?}"
    );
    let document = Document::parse(Path::new("c.yaml"), after).unwrap();
    let (settings, errors) = Settings::from_document(&document);
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(settings.harvester.logging.log_level, LogLevel::Debug);
    assert_eq!(settings.harvester.farmer_peers, [HostPort::new("main", 1)]);
    assert_eq!(settings.farmer.full_node_peers, [HostPort::new("node", 2)]);
    assert_eq!(settings.farmer.xch_target_address.as_deref(), Some("xch1farmer"));
    assert_eq!(settings.pool_xch_target_address.as_deref(), Some("xch1pool"));
    assert_eq!(
        settings.harvester.plot_directories,
        [dir.path().canonicalize().unwrap()]
    );
}

#[test]
fn file_is_replaced_only_when_something_changed() {
    let dir = tempfile::tempdir().unwrap();
    let root = Root::new(dir.path());
    let file = root.config_file();
    std::fs::create_dir(dir.path().join("config")).unwrap();
    std::fs::write(&file, COMMENTED).unwrap();
    let mut editor = Editor::open(&root).unwrap();
    editor.set_log_level(LogLevel::Debug).unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), COMMENTED);
    assert_eq!(editor.save().unwrap(), Outcome::Changed);
    let after = std::fs::read_to_string(&file).unwrap();
    assert_ne!(after, COMMENTED);
    let before = std::fs::metadata(&file).unwrap().modified().unwrap();
    let mut editor = Editor::open(&root).unwrap();
    editor.set_log_level(LogLevel::Debug).unwrap();
    assert_eq!(editor.save().unwrap(), Outcome::AlreadySo);
    assert_eq!(std::fs::metadata(&file).unwrap().modified().unwrap(), before);
}

#[test]
fn missing_settings_are_not_locked() {
    let dir = tempfile::tempdir().unwrap();
    let error = Editor::open(&Root::new(dir.path())).unwrap_err();
    assert!(matches!(error, EditError::Config(ConfigError::Missing { .. })));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

mod anything {
    use proptest::prelude::*;

    use super::*;

    fn value() -> impl Strategy<Value = String> {
        prop_oneof![
            Just(String::new()),
            "[a-z]{1,4}",
            Just("'a: b # c'".to_owned()),
            Just("\"x\\\" y\" # c".to_owned()),
            Just("[a, {b: c}] # d".to_owned()),
            Just("{q: 1, r: [2]}".to_owned()),
            Just("&k word".to_owned()),
            Just("*self".to_owned()),
            Just("# only a comment".to_owned()),
            Just("|\n    block\n    text".to_owned()),
            Just("\n    - one\n    # c\n    - two".to_owned()),
            Just("\n  - one\n  - {host: h, port: 1}".to_owned()),
            Just("\n    deep: 1\n    log_level: INFO".to_owned()),
        ]
    }

    proptest! {
        /// A change is either exactly the one wanted, or refused and without a trace.
        #[test]
        fn edits_do_what_they_say_or_nothing(values in prop::collection::vec(value(), 6), crlf: bool) {
            let keys = ["farmer_peers", "farmer_peer", "logging", "plot_directories", "x", "y"];
            let mut text = String::from("self: &self me\nharvester: # h\n");
            for (key, value) in keys.iter().zip(&values) {
                text.push_str(&format!("  {key}: {value}\n"));
            }
            text.push_str("# tail\nfarmer:\n  logging: {log_level: ERROR}\n");
            if crlf {
                text = text.replace('\n', "\r\n");
            }
            let Ok(mut editor) = Editor::of_text(&text) else { return Ok(()) };
            let before = editor.text();
            let untouched = editor.document.root().get("self").cloned();
            let peer = HostPort::new("h", 9);
            let outcomes = [
                editor.set_farmer_peer(&peer),
                editor.set_log_level(LogLevel::Debug),
                editor.remove_plot_directory(Path::new("one")),
                editor.add_plot_directory(Path::new("/")),
            ];
            if outcomes.iter().all(Result::is_err) {
                prop_assert_eq!(editor.text(), before);
            }
            let root = editor.document.root();
            prop_assert_eq!(root.get("self").cloned(), untouched);
            if outcomes[0].is_ok() {
                let harvester = root.get("harvester").unwrap();
                let one = harvester.get("farmer_peer").filter(|peer| matches!(peer, Node::Map(_)));
                let first = one.or_else(|| harvester.at(&parts("farmer_peers.0"))).unwrap();
                prop_assert_eq!(first.get("host"), Some(&Node::Text("h".into())));
                prop_assert_eq!(first.get("port"), Some(&Node::Int(9)));
            }
            if outcomes[1].is_ok() {
                let level = root.at(&parts("farmer.logging.log_level"));
                prop_assert_eq!(level, Some(&Node::Text("DEBUG".into())));
            }
            if outcomes[3].is_ok() {
                prop_assert!(editor.plot_directories().contains(&"/".to_owned()));
            }
        }
    }
}
