//! Settings read as official software and people write them.

use std::path::Path;

use super::document::Document;
use super::*;
use crate::logging::LogLevel;
use crate::pos::constants::Constants;

/// `config.yaml` after `chia init` and `chia configure --log-level DEBUG` of 2.7.5.
const OFFICIAL: &str = include_str!("../../tests/fixtures/official_config/saved-2.7.5.yaml");

fn read(text: &str) -> (Settings, Vec<String>) {
    let document = Document::parse(Path::new("c.yaml"), text.to_owned()).unwrap();
    let (settings, errors) = Settings::from_document(&document);
    (settings, errors.iter().map(ToString::to_string).collect())
}

fn fine(text: &str) -> Settings {
    let (settings, errors) = read(text);
    assert!(errors.is_empty(), "{errors:?}");
    settings
}

fn errors(text: &str) -> Vec<String> {
    read(text).1
}

#[test]
fn official_file_is_read_without_a_doubt() {
    let settings = fine(OFFICIAL);
    assert_eq!(settings.network, "mainnet");
    assert_eq!(Some(settings.constants), Constants::for_network("mainnet"));
    assert_eq!(settings.address_prefix, "xch");
    assert_eq!(settings.farmer.port, 8447);
    assert_eq!(settings.farmer.full_node_peers, [HostPort::new("localhost", 8444)]);
    assert_eq!(settings.harvester.farmer_peers, [HostPort::new("localhost", 8447)]);
    assert_eq!(settings.harvester.refresh.interval_seconds, 120);
    assert_eq!(settings.harvester.num_threads, 30);
    assert!(settings.harvester.plot_directories.is_empty());
    assert_eq!(settings.logging.log_level, LogLevel::Debug);
    assert_eq!(settings.own, OwnSettings::default());
    assert_eq!(settings.warnings, []);
}

#[test]
fn every_missing_key_has_the_official_default() {
    let (mut little, mut much) = (fine("harvester:\n"), fine(OFFICIAL));
    assert_eq!(much.logging.log_level, LogLevel::Debug);
    for settings in [&mut little, &mut much] {
        settings.logging.log_level = LogLevel::Warning;
        settings.harvester.logging.log_level = LogLevel::Warning;
    }
    assert_eq!(little, much);
}

#[test]
fn our_default_settings_mean_the_official_defaults() {
    let mut official = fine(OFFICIAL);
    official.logging.log_level = LogLevel::Warning;
    official.harvester.logging.log_level = LogLevel::Warning;
    let ours = fine(DEFAULT_SETTINGS);
    // A farm of a person who wants to see something: connections and proofs are in the log.
    assert_eq!(ours.logging.log_level, LogLevel::Info);
    let quieter = fine(&DEFAULT_SETTINGS.replace("log_level: INFO", "log_level: WARNING"));
    assert_eq!(quieter, official);
}

#[test]
fn networks_described_in_our_default_settings_are_the_built_in_ones() {
    for network in BUILT_IN_NETWORKS {
        let text = DEFAULT_SETTINGS.replace("&selected_network mainnet", &format!("&selected_network {network}"));
        let settings = fine(&text);
        assert_eq!(settings.network, network);
        assert_eq!(Some(settings.constants), Constants::for_network(network), "{network}");
        assert_eq!(settings.warnings, []);
        let prefix = if network == "mainnet" { "xch" } else { "txch" };
        assert_eq!(settings.address_prefix, prefix);
    }
}

#[test]
fn lists_sets_and_nothing_are_all_lists() {
    let key = "ab".repeat(48);
    for list in [
        format!("!!set {{{key}: null}}"),
        format!("[\"{key}\"]"),
        format!("\n    - 0x{key}"),
    ] {
        let settings = fine(&format!("farmer:\n  pool_public_keys: {list}\n"));
        assert_eq!(settings.farmer.pool_public_keys, [key.parse().unwrap()], "{list}");
    }
    for nothing in ["", "null", "~", "[]", "!!set {}"] {
        let settings = fine(&format!(
            "farmer: {{pool_public_keys: {nothing}}}\nharvester:\n  plot_directories: {nothing}\n"
        ));
        assert!(settings.farmer.pool_public_keys.is_empty() && settings.harvester.plot_directories.is_empty());
    }
}

#[test]
fn one_peer_and_many_are_read_together() {
    let text = "
harvester:
  farmer_peer: {host: old, port: 1}
  farmer_peers:
  - {host: new, port: 2}
  - {host: old, port: 1}
farmer:
  full_node_peer: {host: node, port: 3}
  solver_peers: []
";
    let settings = fine(text);
    assert_eq!(
        settings.harvester.farmer_peers,
        [HostPort::new("old", 1), HostPort::new("new", 2)],
        "the one that `configure --set-farmer-peer` changes comes first"
    );
    assert_eq!(settings.farmer.full_node_peers, [HostPort::new("node", 3)]);
    assert!(settings.farmer.solver_peers.is_empty());
}

#[test]
fn port_of_a_peer_may_be_in_quotes_and_is_a_port_all_the_same() {
    let with_port = |port: &str| format!("harvester:\n  farmer_peers: [{{host: x, port: {port}}}]\n");
    let settings = fine(&with_port("\"8447\""));
    assert_eq!(settings.harvester.farmer_peers, [HostPort::new("x", 8447)]);
    for wrong in ["0", "\"0\"", "65536", "\"farm\"", "8447.0", "\"-1\""] {
        let errors = errors(&with_port(wrong));
        assert!(
            errors[0].contains("harvester.farmer_peers.0.port") && errors[0].contains("from 1 to 65535"),
            "{errors:?}"
        );
    }
}

#[test]
fn section_on_another_network_names_both_lines() {
    let text = "selected_network: mainnet\nfarmer:\n  port: 8447\n  selected_network: testnet11\n";
    let expected =
        "c.yaml:4:21: farmer.selected_network is \"testnet11\", but selected_network is \"mainnet\" (line 1)";
    assert_eq!(errors(text), [expected]);
    let text = "farmer:\n  selected_network: testnet11\n";
    assert!(errors(text)[0].ends_with("is \"mainnet\" (by default)"));
    // `chia configure --testnet true` leaves this behind.
    fine("selected_network: testnet11\nsolver:\n  selected_network: mainnet\n");
}

#[test]
fn overrides_change_constants_and_unknown_ones_are_told() {
    let text = "
selected_network: simulator1
network_overrides: &o
  constants:
    simulator1:
      MIN_PLOT_SIZE: 20
      DIFFICULTY_CONSTANT_FACTOR: 147573952589676412928
      FANCY_CONSTANT: 1
      MEMPOOL_BLOCK_BUFFER: 10
farmer:
  network_overrides: *o
";
    let settings = fine(text);
    assert_eq!(settings.constants.min_plot_size_v1, 20);
    assert_eq!(settings.constants.difficulty_constant_factor, 1 << 67);
    let warnings: Vec<_> = settings.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        ["c.yaml:8:7: no constant is named FANCY_CONSTANT; it is ignored"]
    );
}

#[test]
fn network_of_ones_own_is_described_in_the_file() {
    let text = "selected_network: mynet\nnetwork_overrides: {constants: {mynet: {MIN_PLOT_SIZE_V1: 25}}}\n";
    assert_eq!(fine(text).constants.min_plot_size_v1, 25);
    let (_, errors) = read("selected_network: mynte\nnetwork_overrides: {constants: {mynet: {}}}\n");
    assert_eq!(errors, ["c.yaml:1:19: unknown network \"mynte\""]);
}

#[test]
fn bad_constant_is_told_at_its_place() {
    let text = "network_overrides:\n  constants:\n    mainnet:\n      EPOCH_BLOCKS: many\n";
    assert_eq!(
        errors(text),
        ["c.yaml:4:21: constant EPOCH_BLOCKS: expected a whole number, got \"many\""]
    );
    let text = "network_overrides:\n  constants:\n    mainnet:\n      EPOCH_BLOCKS: [1]\n";
    assert!(errors(text)[0].starts_with("c.yaml:4:21: network_overrides.constants.mainnet.EPOCH_BLOCKS should be"));
}

#[test]
fn harvester_with_other_constants_is_a_doubt() {
    let text = "
farmer:
  network_overrides: {constants: {mainnet: {EPOCH_BLOCKS: 1}}}
harvester:
  network_overrides: {constants: {mainnet: {EPOCH_BLOCKS: 2}}}
";
    let settings = fine(text);
    assert_eq!(settings.constants.epoch_blocks, 1);
    assert!(
        settings.warnings[0]
            .to_string()
            .starts_with("c.yaml:5:3: harvester.network_overrides has other constants")
    );
}

#[test]
fn wrong_kinds_and_ranges_are_told_with_place_and_expectation() {
    for (text, expected) in [
        (
            "farmer: {port: 70000}",
            "c.yaml:1:16: farmer.port should be a whole number from 0 to 65535, but is 70000",
        ),
        (
            "farmer: {port: \"x\"}",
            "c.yaml:1:16: farmer.port should be a whole number from 0 to 65535, but is \"x\"",
        ),
        (
            "farmer:\n- port",
            "c.yaml:2:1: farmer should be a mapping, but is a list",
        ),
        ("harvester: 7", "c.yaml:1:12: harvester should be a mapping, but is 7"),
        (
            "harvester: {recursive_plot_scan: 3}",
            "c.yaml:1:34: harvester.recursive_plot_scan should be true or false, but is 3",
        ),
        (
            "harvester:\n  plot_directories: /mnt/one",
            "c.yaml:2:21: harvester.plot_directories should be a list of texts, but is \"/mnt/one\"",
        ),
        (
            "harvester:\n  farmer_peers:\n  - host: a\n",
            "c.yaml:3:5: harvester.farmer_peers.0 should be a peer with host and port, but is without a port",
        ),
        (
            "harvester:\n  farmer_peers:\n  - null\n",
            "c.yaml:3:5: harvester.farmer_peers.0 should be a peer with host and port, but is nothing",
        ),
        (
            "logging:\n  log_level: LOUD\n",
            "c.yaml:2:14: logging.log_level should be CRITICAL, ERROR, WARNING, INFO, DEBUG or NOTSET, but is \"LOUD\"",
        ),
        (
            "farmer: {pool_public_keys: [beef]}",
            "c.yaml:1:28: farmer.pool_public_keys should be public keys of 96 hex digits, but is \"beef\" among them",
        ),
    ] {
        assert_eq!(errors(text), [expected]);
    }
}

#[test]
fn truth_values_of_yaml_1_1_are_understood() {
    let settings = fine("harvester: {recursive_plot_scan: yes, parallel_read: Off}");
    assert!(settings.harvester.recursive_plot_scan && !settings.harvester.parallel_read);
}

#[test]
fn service_may_log_in_its_own_way() {
    let text = "logging: {log_level: INFO, log_maxfilesrotation: 3}\nfarmer: {logging: {log_level: DEBUG}}\n";
    let settings = fine(text);
    assert_eq!(settings.logging.log_level, LogLevel::Debug);
    assert_eq!(settings.logging.log_maxfilesrotation, 3);
    assert_eq!(settings.harvester.logging.log_level, LogLevel::Info);
}

#[test]
fn log_of_an_adopted_root_lies_apart() {
    let dir = tempfile::tempdir().unwrap();
    let root = Root::new(dir.path());
    let logging = fine("logging: {log_filename: log/farm.log}").logging;
    assert_eq!(logging.log_file(&root), dir.path().join("farmconsole/log/farm.log"));
    root.create_state_dir().unwrap();
    std::fs::write(root.own_marker(), "").unwrap();
    assert_eq!(logging.log_file(&root), dir.path().join("log/farm.log"));
}

#[test]
fn the_classic_log_line_is_asked_for() {
    assert!(!fine("farmconsole: {}").own.classic_harvester_log);
    assert!(
        fine("farmconsole: {classic_harvester_log: yes}")
            .own
            .classic_harvester_log
    );
    assert_eq!(
        errors("farmconsole: {classic_harvester_log: 1}"),
        ["c.yaml:1:38: farmconsole.classic_harvester_log should be true or false, but is 1"]
    );
}

#[test]
fn unknown_own_setting_is_an_error_with_a_suggestion() {
    let text = "selected_network: simulator1\nfarmconsole:\n  simulatedchain: {seed: 1}\n";
    let document = Document::parse(Path::new("c.yaml"), text.to_owned()).unwrap();
    let error = Settings::from_document(&document).1.remove(0);
    assert_eq!(
        error.to_string(),
        "c.yaml:3:3: there is no setting farmconsole.simulatedchain"
    );
    assert_eq!(error.hint().unwrap(), "did you mean farmconsole.simulated_chain?");
    let text = "selected_network: simulator1\nfarmconsole:\n  simulated_chain: {sede: 1}\n";
    assert_eq!(
        errors(text),
        ["c.yaml:3:21: there is no setting farmconsole.simulated_chain.sede"]
    );
}

#[test]
fn fees_of_harvesters_are_percentages_by_name_or_certificate() {
    let barn = "ab".repeat(32);
    let settings = fine(&format!(
        "farmconsole:\n  harvester_fees: {{shelf-1: 3, {barn}: 2.5}}\n"
    ));
    let expected = [("shelf-1".to_owned(), 3.0), (barn.clone(), 2.5)];
    assert_eq!(settings.own.harvester_fees, expected.into());
    for wrong in [
        "{Not a name: 2}".to_owned(),
        format!("{{{barn}: 101}}"),
        format!("{{{barn}: NaN}}"),
    ] {
        let errors = errors(&format!("farmconsole:\n  harvester_fees: {wrong}\n"));
        assert!(errors[0].contains("to percentages from 0 to 100"), "{errors:?}");
    }
}

#[test]
fn pins_of_full_nodes_are_fingerprints_by_peer() {
    let pin = "ab".repeat(32);
    let settings = fine(&format!(
        "full_node:\n  rpc_port: 9555\nfarmconsole:\n  full_node_pins: {{\"node.lan:8444\": {pin}}}\n"
    ));
    let expected = (HostPort::new("node.lan", 8444), pin.parse().unwrap());
    assert_eq!(settings.own.full_node_pins.into_iter().collect::<Vec<_>>(), [expected]);
    assert_eq!(settings.farmer.full_node_rpc_port, 9555);
    for wrong in ["{node.lan: abab}", "[node.lan]"] {
        let text = format!("farmconsole:\n  full_node_pins: {wrong}\n");
        assert!(
            errors(&text)[0].contains("\"HOST:PORT\" to a SHA-256"),
            "{:?}",
            errors(&text)
        );
    }
}

#[test]
fn simulated_chain_is_for_simulator_networks_only() {
    let chain = "farmconsole:\n  simulated_chain: {interval_seconds: 0.5, seed: 18446744073709551615}\n";
    let settings = fine(&format!("selected_network: simulator1\n{chain}"));
    let expected = SimulatedChainSettings {
        interval_seconds: 0.5,
        seed: u64::MAX,
    };
    assert_eq!(settings.own.simulated_chain, Some(expected));
    assert_eq!(
        errors(&format!("selected_network: mainnet\n{chain}")),
        ["c.yaml:3:3: farmconsole.simulated_chain is set, but the network is \"mainnet\""]
    );
    assert_eq!(
        fine("selected_network: simulator1\nfarmconsole:\n").own.simulated_chain,
        None
    );
    for bad in ["0", "-1", ".nan", ".inf", "4000", "fast"] {
        let text =
            format!("selected_network: simulator1\nfarmconsole: {{simulated_chain: {{interval_seconds: {bad}}}}}");
        assert_eq!(errors(&text).len(), 1, "{bad}");
    }
}

#[test]
fn what_is_not_followed_is_told() {
    let text = "logging:\n  log_syslog: true\nfarmer:\n  ssl:\n    private_crt: elsewhere.crt\n";
    let warnings: Vec<_> = fine(text).warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings.len(), 2);
    assert!(warnings[0].starts_with("c.yaml:2:3: logging.log_syslog is not followed"));
    assert!(warnings[1].starts_with("c.yaml:5:5: farmer.ssl.private_crt is not followed"));
}

#[test]
fn keys_that_look_like_missing_ones_are_told_and_those_of_the_official_software_are_not() {
    let text = "farmr:\n  port: 1\nharvester:\n  plot_directorys: []\n  use_gpu_harvesting: false\nwallet: {}\n";
    let warnings: Vec<_> = fine(text).warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "c.yaml:1:1: farmr is no setting that is read, and farmer is missing: is that meant?",
            "c.yaml:4:3: harvester.plot_directorys is no setting that is read, and harvester.plot_directories is \
             missing: is that meant?"
        ]
    );
}

#[test]
fn a_key_misspelt_while_something_runs_is_a_mistake_and_one_that_was_there_before_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.yaml");
    let reads = |text: &str| std::fs::write(&file, text).unwrap();
    reads("harvester:\n  plot_directories: [/a]\n  num_thread: 3\n");
    let before = Settings::load_file(&file).unwrap().warnings;
    assert_eq!(before.len(), 1);
    reads("wallet: {}\nharvester:\n  plot_directories: [/b]\n  num_thread: 4\n");
    let moved = Settings::load_again(&file, &before).unwrap();
    assert_eq!(moved.harvester.plot_directories, [Path::new("/b")]);
    for (text, told) in [
        (
            "harvester:\n  plot_directorys: [/a]\n  num_thread: 3\n",
            ":2:3: harvester.plot_directorys is no setting that is read, and harvester.plot_directories is missing: is \
             that meant?",
        ),
        (
            "harvestr:\n  plot_directories: [/a]\n",
            ":1:1: harvestr is no setting that is read, and harvester is missing: is that meant?",
        ),
    ] {
        reads(text);
        let error = Settings::load_again(&file, &before).unwrap_err();
        assert!(error.to_string().ends_with(told), "{error}");
        assert!(error.position().is_some());
        // At a start it stays a warning.
        Settings::load_file(&file).unwrap();
    }
}

fn no_foo(prefix: &str, address: &str) -> Result<(), String> {
    match address.contains("foo") {
        true => Err(format!("{address} is not an address")),
        false => address.starts_with(prefix).then_some(()).ok_or_else(String::new),
    }
}

#[test]
fn addresses_that_no_farmer_starts_with_are_found_by_check() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.yaml");
    std::fs::write(&file, "farmer:\n  xch_target_address: xch1foo\n").unwrap();
    let findings = check(&file, &no_foo);
    assert_eq!(findings.len(), 1);
    assert!(findings[0].is_mistake());
    assert!(findings[0].to_string().contains(
        ":2:23: farmer.xch_target_address should be an address that begins with xch1, but is not: xch1foo is not an address"
    ), "{}", findings[0]);
}

#[test]
fn file_of_something_else_is_not_said_to_be_fine() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("docker-compose.yaml");
    std::fs::write(&file, "services: {chia: {image: chia}}\n").unwrap();
    let findings = check(&file, &no_foo);
    assert_eq!(findings.len(), 1);
    assert!(!findings[0].is_mistake() && findings[0].to_string().contains("is this the file?"));
}

#[test]
fn check_lists_everything_in_the_order_of_lines() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.yaml");
    let text = "logging:\n  log_syslog: true\nharvester:\n  num_threads: 0\nfarmer:\n  port: x\n";
    std::fs::write(&file, text).unwrap();
    let findings = check(&file, &no_foo);
    let shown: Vec<_> = findings.iter().map(ToString::to_string).collect();
    assert_eq!(shown.len(), 3, "{shown:?}");
    assert!(shown[0].starts_with("warning: ") && shown[0].contains(":2:3: logging.log_syslog"));
    assert!(shown[1].starts_with("error: ") && shown[1].contains(":4:16: harvester.num_threads"));
    assert!(shown[2].contains(":6:9: farmer.port"));
    std::fs::write(&file, "a: [").unwrap();
    assert!(matches!(
        check(&file, &no_foo)[..],
        [Finding::Mistake(ConfigError::Syntax { .. })]
    ));
    std::fs::write(&file, DEFAULT_SETTINGS).unwrap();
    assert!(check(&file, &no_foo).is_empty());
}

#[test]
fn a_plot_directory_that_is_found_from_some_place_only_or_from_none_is_a_doubt() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.yaml");
    let text = "harvester:\n  plot_directories: [/mnt/d1, plots, 'C:\\plots', '\\\\nas\\plots']\n";
    std::fs::write(&file, text).unwrap();
    let shown: Vec<_> = check(&file, &no_foo).iter().map(ToString::to_string).collect();
    assert_eq!(shown.len(), 3, "{shown:?}");
    assert!(shown[0].starts_with("warning: ") && shown[0].contains(":2:3: plots is no absolute path"));
    for (said, path) in shown[1..].iter().zip([r"C:\plots", r"\\nas\plots"]) {
        assert!(said.contains(&format!("{path} is a path of Windows")), "{said}");
    }
    assert_eq!(fine(text).warnings.len(), 3, "whoever starts is told too");
}

#[test]
fn a_section_with_a_slip_in_its_name_is_told_of_with_the_one_that_is_meant() {
    let warnings = fine("harvestr:\n  plot_directories: [/mnt/d1]\n").warnings;
    let said: Vec<_> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        ["c.yaml:1:1: harvestr is no setting that is read, and harvester is missing: is that meant?"]
    );
}

mod anything {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever a file holds, reading it ends in settings or in errors.
        #[test]
        fn never_panics(text in "[a-z:\\-\\[\\]{}&*!#'\"|>?%@, \n\t0-9<]{0,200}") {
            if let Ok(document) = Document::parse(Path::new("c.yaml"), text) {
                let _ = Settings::from_document(&document);
            }
        }

        /// The same for a real file with one line made into something else.
        #[test]
        fn never_panics_on_a_damaged_official_file(line in 0_usize..400, with in "[ ]{0,6}[a-z\\-\\[{&*!#'\"|>?: 0-9]{0,12}") {
            let mut lines: Vec<&str> = OFFICIAL.lines().collect();
            let line = line % lines.len();
            lines[line] = &with;
            if let Ok(document) = Document::parse(Path::new("c.yaml"), lines.join("\n")) {
                let _ = Settings::from_document(&document);
            }
        }
    }
}

#[test]
fn alarms_and_history_are_read_and_checked() {
    let own = fine(
        "farmconsole:\n  alarms:\n    exec: [/bin/on-alarm, --loud]\n    webhook: https://hooks.example/x\n    minimum_severity: critical\n    dead_man_interval_seconds: 30\n  history: {keep_days: 7}\n",
    )
    .own;
    assert_eq!(own.alarms.exec, ["/bin/on-alarm", "--loud"]);
    assert_eq!(own.alarms.webhook.as_ref().map(HookUrl::host), Some("hooks.example"));
    assert_eq!(own.alarms.minimum_severity, crate::snapshot::Severity::Critical);
    assert_eq!(own.alarms.dead_man_interval.as_secs(), 30);
    assert_eq!((own.history.keep_days, own.history.enabled), (7, true));
    let wrong = errors(
        "farmconsole:\n  alarms: {webhook: \"http://hooks.example/SECRET\", minimum_severity: loud, bel: true}\n  history: {keep_days: 0}\n",
    );
    assert_eq!(wrong.len(), 4, "{wrong:?}");
    assert!(wrong.iter().all(|error| !error.contains("SECRET")), "{wrong:?}");
}

#[test]
fn argument_of_a_hook_that_yaml_would_change_is_a_mistake_and_in_quotes_it_is_as_written() {
    let exec = |argument: &str| format!("farmconsole:\n  alarms:\n    exec: [/bin/sms, {argument}]\n");
    for unquoted in ["+491701234567", "0x1F", "1.10", "1e3", "true", "~"] {
        let errors = errors(&exec(unquoted));
        assert!(
            errors[0].contains("farmconsole.alarms.exec.1") && errors[0].contains("in quotes"),
            "{errors:?}"
        );
        let own = fine(&exec(&format!("\"{unquoted}\""))).own;
        assert_eq!(own.alarms.exec, ["/bin/sms", unquoted]);
    }
}
