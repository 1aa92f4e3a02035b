//! New, half-made, adopted and refused roots.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::config::SimulatedChainSettings;
use crate::registry::AllowList;
use crate::tls::{
    CertificateAuthority, CertificateFacts, FarmCa, Identity, ServiceName, farmer_server_config,
    harvester_client_config, node_client_config,
};

/// 2024-06-01.
const NOW: UnixMillis = UnixMillis(1_717_200_000_000);

const OFFICIAL_SSL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/official_ssl");
const OFFICIAL_CONFIG: &str = include_str!("../../tests/fixtures/official_config/saved-2.7.5.yaml");

fn plain() -> InitOptions {
    InitOptions {
        ca_dir: None,
        network: None,
        now: NOW,
    }
}

fn with_ca(dir: &Path) -> InitOptions {
    InitOptions {
        ca_dir: Some(dir.to_path_buf()),
        ..plain()
    }
}

fn on(network: &str) -> InitOptions {
    InitOptions {
        network: Some(network.to_owned()),
        ..plain()
    }
}

struct TestDir(tempfile::TempDir);

impl TestDir {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A root that is not there yet.
    fn root(&self) -> Root {
        Root::new(self.0.path().join("root"))
    }

    /// An untouched root of the official software.
    fn official(&self) -> Root {
        let root = self.root();
        copy_tree(Path::new(OFFICIAL_SSL), &root.ssl_dir());
        fs::write(root.config_file(), OFFICIAL_CONFIG).unwrap();
        root
    }
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
            // As the official software leaves its keys; this repository keeps no modes.
            if target.extension().is_some_and(|kind| kind == "key") {
                files::set_mode(&target, files::PRIVATE_FILE).unwrap();
            }
        }
    }
}

/// Every file below a directory, with mode and content.
fn files_below(dir: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut left = vec![dir.to_path_buf()];
    while let Some(dir) = left.pop() {
        for path in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                left.push(path);
            } else {
                let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
                found.insert(path.clone(), (mode, fs::read(&path).unwrap()));
            }
        }
    }
    found
}

fn peer_id(root: &Root, service: ServiceName) -> crate::ids::PeerId {
    Identity::load(&SslLayout::of(root).leaf(CertificateAuthority::Private, service))
        .unwrap()
        .peer_id()
}

fn is_usable(root: &Root) {
    Settings::load(root).unwrap();
    farmer_server_config(root).unwrap();
    harvester_client_config(root).unwrap();
    node_client_config(root).unwrap();
}

#[test]
fn new_root_has_the_official_files_and_only_its_owner_reads_its_secrets() {
    let dir = TestDir::new();
    let root = dir.root();
    let report = init(&root, &plain()).unwrap();
    is_usable(&root);
    assert_eq!((report.kind, report.network.as_str()), (RootKind::Own, "mainnet"));
    let made = InitStep::MadeCertificates { private: 9, public: 7 };
    assert_eq!(
        report.steps,
        [
            InitStep::MadeStateDirectory,
            InitStep::MadePrivateCa,
            made,
            InitStep::WroteSettings
        ]
    );
    let files = files_below(root.dir());
    assert_eq!(files.len(), 2 * (2 + 9 + 7) + 3, "{:?}", files.keys());
    for (path, (mode, _)) in &files {
        let expected = if path.extension().is_some_and(|ext| ext == "crt") {
            0o644
        } else {
            0o600
        };
        assert_eq!(*mode, expected, "{}: {mode:o}", path.display());
    }
    for inside in [
        "",
        "config",
        "config/ssl",
        "config/ssl/ca",
        "config/ssl/farmer",
        "farmconsole",
    ] {
        let mode = fs::metadata(root.dir().join(inside)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o700, "{inside}");
    }
}

#[test]
fn second_init_changes_nothing_and_says_so() {
    let dir = TestDir::new();
    let root = dir.root();
    init(&root, &plain()).unwrap();
    let before = files_below(root.dir());
    for options in [plain(), on("mainnet")] {
        let report = init(&root, &options).unwrap();
        assert!(!report.changed(), "{report:?}");
        assert!(
            report
                .to_string()
                .contains("set up already (network mainnet); nothing was changed")
        );
    }
    assert_eq!(files_below(root.dir()), before);
}

#[test]
fn interrupted_init_is_completed_by_the_next_wherever_it_stopped() {
    let dir = TestDir::new();
    let root = dir.root();
    init(&root, &plain()).unwrap();
    let whole: Vec<PathBuf> = files_below(root.dir()).into_keys().collect();
    // The order in which files appear; everything from one of them on is not there yet.
    let layout = SslLayout::of(&root);
    let mut order = vec![root.own_marker()];
    for authority in [CertificateAuthority::Private, CertificateAuthority::Chia] {
        let leaves = ServiceName::with_certificate_of(authority)
            .iter()
            .map(|name| layout.leaf(authority, *name));
        for pair in [layout.ca(authority)].into_iter().chain(leaves) {
            order.extend([pair.key, pair.crt]);
        }
    }
    order.push(root.config_file());
    for stopped in 0..order.len() {
        for missing in &order[stopped..] {
            fs::remove_file(missing).unwrap();
        }
        fs::write(layout.dir().join("ca/.private_ca.key.1234.tmp"), "half a key").unwrap();
        let report = init(&root, &plain()).unwrap();
        assert!(report.changed() || stopped == 0, "stopped at {stopped}");
        is_usable(&root);
        assert_eq!(root.kind(), RootKind::Own);
        assert_eq!(
            files_below(root.dir()).into_keys().collect::<Vec<_>>(),
            whole,
            "stopped at {stopped}"
        );
        assert!(!init(&root, &plain()).unwrap().changed());
    }
}

#[test]
fn every_network_can_be_chosen() {
    for network in BUILT_IN_NETWORKS {
        let dir = TestDir::new();
        let root = dir.root();
        init(&root, &on(network)).unwrap();
        let settings = Settings::load(&root).unwrap();
        assert_eq!(settings.network, network);
        assert_eq!(settings.warnings, []);
        let port = settings.farmer.full_node_peers[0].port;
        assert_eq!(
            port,
            match network {
                "mainnet" => 8444,
                "simulator1" => 18444,
                _ => 58444,
            }
        );
        let simulated = (network == "simulator1").then(SimulatedChainSettings::default);
        assert_eq!(settings.own.simulated_chain, simulated);
    }
    let dir = TestDir::new();
    assert!(matches!(
        init(&dir.root(), &on("nonet")),
        Err(InitError::UnknownNetwork { .. })
    ));
    assert!(!dir.root().dir().exists());
}

#[test]
fn network_of_a_root_stays() {
    let dir = TestDir::new();
    let root = dir.root();
    init(&root, &plain()).unwrap();
    let before = files_below(root.dir());
    let error = init(&root, &on("testnet11")).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("is set to the network \"mainnet\", not \"testnet11\""),
        "{error}"
    );
    assert_eq!(files_below(root.dir()), before);
}

#[test]
fn untouched_official_root_is_adopted_and_nothing_of_it_changes() {
    let dir = TestDir::new();
    let root = dir.official();
    let before = files_below(root.dir());
    let report = init(&root, &plain()).unwrap();
    assert_eq!((report.kind, report.harvester_only), (RootKind::Adopted, false));
    let state = root.state_dir();
    let mut after = files_below(root.dir());
    after.retain(|path, _| !path.starts_with(&state));
    assert_eq!(after, before);
    assert_eq!(root.log_file(), state.join("log/debug.log"));
    farmer_server_config(&root).unwrap();
    assert!(!init(&root, &plain()).unwrap().changed());
}

#[test]
fn official_root_of_a_harvester_is_adopted_as_one() {
    let dir = TestDir::new();
    let root = dir.official();
    // What a hardened harvester machine has: no CA key, no other service's certificate.
    fs::remove_file(root.ssl_dir().join("ca/private_ca.key")).unwrap();
    fs::remove_dir_all(root.ssl_dir().join("farmer")).unwrap();
    let report = init(&root, &plain()).unwrap();
    assert!(report.harvester_only && report.to_string().ends_with("now run `farmconsole harvester run`."));
    harvester_client_config(&root).unwrap();
}

#[test]
fn official_root_without_certificates_is_refused_untouched() {
    let dir = TestDir::new();
    let root = dir.official();
    fs::remove_dir_all(root.ssl_dir()).unwrap();
    let before = files_below(root.dir());
    let error = init(&root, &plain()).unwrap_err();
    assert!(matches!(error, InitError::CannotAdopt { .. }), "{error}");
    assert!(error.hint().unwrap().contains("chia init"));
    assert_eq!(files_below(root.dir()), before);
    assert!(!root.state_dir().exists());
}

#[test]
fn given_ca_makes_a_new_root_and_signs_its_certificates() {
    let dir = TestDir::new();
    let root = dir.root();
    let ca_dir = Path::new(OFFICIAL_SSL).join("ca");
    let report = init(&root, &with_ca(&ca_dir)).unwrap();
    assert!(
        report
            .steps
            .contains(&InitStep::CopiedPrivateCa { from: ca_dir.clone() })
    );
    assert!(!report.steps.contains(&InitStep::MadePrivateCa));
    for file in ["private_ca.crt", "private_ca.key"] {
        assert_eq!(
            fs::read(root.ssl_dir().join("ca").join(file)).unwrap(),
            fs::read(ca_dir.join(file)).unwrap()
        );
    }
    is_usable(&root);
}

#[test]
fn given_ca_replaces_the_one_there_which_is_kept_aside() {
    let dir = TestDir::new();
    let root = dir.root();
    init(&root, &plain()).unwrap();
    let old_ca = fs::read(root.ssl_dir().join("ca/private_ca.key")).unwrap();
    let old = (
        peer_id(&root, ServiceName::Harvester),
        fs::read(root.ssl_dir().join("farmer/public_farmer.crt")).unwrap(),
    );
    let report = init(&root, &with_ca(&Path::new(OFFICIAL_SSL).join("ca"))).unwrap();
    let aside = root.ssl_dir().join("ca.bak-1717200000");
    assert!(report.steps.contains(&InitStep::KeptOldCa { to: aside.clone() }));
    assert_eq!(fs::read(aside.join("private_ca.key")).unwrap(), old_ca);
    assert!(
        report
            .steps
            .contains(&InitStep::MadeCertificates { private: 9, public: 0 })
    );
    assert_ne!(peer_id(&root, ServiceName::Harvester), old.0);
    assert_eq!(
        fs::read(root.ssl_dir().join("farmer/public_farmer.crt")).unwrap(),
        old.1
    );
    is_usable(&root);
}

#[test]
fn copied_certificates_get_ids_of_their_own() {
    let dir = TestDir::new();
    let (main, copy) = (Root::new(dir.0.path().join("main")), dir.root());
    init(&main, &plain()).unwrap();
    copy_tree(main.dir(), copy.dir());
    let ca_dir = copy.ssl_dir().join("ca");
    // Its own CA directory is as good as any; the official software would delete it first.
    let report = init(&copy, &with_ca(&ca_dir)).unwrap();
    assert_eq!(report.steps[0], InitStep::MadeCertificates { private: 9, public: 0 });
    assert_ne!(
        peer_id(&main, ServiceName::Harvester),
        peer_id(&copy, ServiceName::Harvester)
    );
    assert_eq!(
        fs::read(ca_dir.join("private_ca.key")).unwrap(),
        fs::read(main.ssl_dir().join("ca/private_ca.key")).unwrap()
    );
}

#[test]
fn unusable_ca_directories_are_refused_before_anything_is_written() {
    let dir = TestDir::new();
    let root = dir.root();
    let ca_dir = dir.0.path().join("ca");
    let refused = |expected: &str| {
        let error = init(&root, &with_ca(&ca_dir)).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(!root.dir().exists());
    };
    refused("does not exist");
    fs::create_dir(&ca_dir).unwrap();
    refused("there is no private_ca.crt in");
    fs::copy(
        Path::new(OFFICIAL_SSL).join("ca/private_ca.crt"),
        ca_dir.join("private_ca.crt"),
    )
    .unwrap();
    refused("there is no private_ca.key in");
    fs::copy(
        Path::new(OFFICIAL_SSL).join("farmer/private_farmer.key"),
        ca_dir.join("private_ca.key"),
    )
    .unwrap();
    refused("does not belong to the certificate");
    fs::write(ca_dir.join("private_ca.key"), "no key").unwrap();
    refused("holds no usable private key");
    fs::copy(
        Path::new(OFFICIAL_SSL).join("farmer/private_farmer.key"),
        ca_dir.join("private_ca.key"),
    )
    .unwrap();
    fs::copy(
        Path::new(OFFICIAL_SSL).join("farmer/private_farmer.crt"),
        ca_dir.join("private_ca.crt"),
    )
    .unwrap();
    refused("it is not the certificate of a CA");
}

#[test]
fn given_ca_changes_an_official_root_as_the_official_command_does() {
    let dir = TestDir::new();
    let root = dir.official();
    let main = Root::new(dir.0.path().join("main"));
    init(&main, &plain()).unwrap();
    let report = init(&root, &with_ca(&main.ssl_dir().join("ca"))).unwrap();
    assert_eq!(report.kind, RootKind::Adopted);
    assert_eq!(fs::read_to_string(root.config_file()).unwrap(), OFFICIAL_CONFIG);
    harvester_client_config(&root).unwrap();
    let ca = root.ssl_dir().join("ca/private_ca.crt");
    assert_eq!(
        fs::read(ca).unwrap(),
        fs::read(main.ssl_dir().join("ca/private_ca.crt")).unwrap()
    );
}

#[test]
fn given_ca_is_refused_where_the_one_there_is_in_use() {
    let dir = TestDir::new();
    let (root, other) = (dir.root(), Root::new(dir.0.path().join("other")));
    init(&root, &plain()).unwrap();
    init(&other, &plain()).unwrap();
    let given = other.ssl_dir().join("ca");
    let refused = |expected: &str| {
        let before = files_below(root.dir());
        let error = init(&root, &with_ca(&given)).unwrap_err();
        assert_eq!(files_below(root.dir()), before);
        assert!(error.to_string().contains(expected), "{error}");
        error.hint().unwrap()
    };

    // A farmer's, and a harvester has come with a certificate of it.
    let list = AllowList::open(&root, LegacyCa::Open).unwrap();
    let harvester = Identity::load(&SslLayout::of(&root).leaf(CertificateAuthority::Private, ServiceName::Harvester));
    let facts = CertificateFacts::of(harvester.unwrap().leaf()).unwrap();
    list.handle_legacy(facts.record, NOW.seconds());
    list.flush().unwrap();
    let hint = refused("harvesters connect with its certificates: ");
    assert!(hint.contains("config/ssl/ca.bak-before`"), "{hint}");
    let own = root.ssl_dir().join("ca");
    init(&root, &with_ca(&own)).unwrap();
    // Put in place of it all the same, it may come back.
    let aside = root.ssl_dir().join("ca.bak-before");
    fs::rename(&own, &aside).unwrap();
    init(&root, &with_ca(&given)).unwrap();
    init(&root, &with_ca(&aside)).unwrap();

    // A harvester's that has joined a farm, of our own or of the official software.
    fs::remove_file(root.registry_file()).unwrap();
    fs::write(root.membership_file(), "{}").unwrap();
    let hint = refused("it has joined a farm");
    assert!(hint.contains("farmconsole/membership.json.before`"), "{hint}");
    fs::remove_file(root.membership_file()).unwrap();
    let farm = FarmCa::open_or_make(&other, "00112233", NOW).unwrap();
    fs::write(own.join("private_ca.crt"), farm.server_ca_pem().unwrap()).unwrap();
    let hint = refused("it has joined a farm");
    assert!(hint.contains("config/ssl.before`"), "{hint}");
    fs::rename(root.ssl_dir(), root.dir().join("config/ssl.before")).unwrap();
    init(&root, &with_ca(&given)).unwrap();
    is_usable(&root);
}

#[test]
fn lost_ca_is_not_replaced_by_a_new_one() {
    let dir = TestDir::new();
    let root = dir.root();
    init(&root, &plain()).unwrap();
    fs::remove_file(root.ssl_dir().join("ca/private_ca.crt")).unwrap();
    let before = files_below(root.dir());
    let error = init(&root, &plain()).unwrap_err();
    assert!(matches!(error, InitError::CaLost { .. }), "{error}");
    assert_eq!(files_below(root.dir()), before);

    // A damaged one: no hint leads back to where one was.
    fs::write(root.ssl_dir().join("ca/private_ca.crt"), b"").unwrap();
    let hint = init(&root, &plain()).unwrap_err().hint().unwrap();
    assert!(hint.starts_with("restore") && hint.contains("init -c"), "{hint}");
}

#[test]
fn lost_certificate_of_the_farms_own_authority_is_made_again_from_its_key_when_a_person_says_so() {
    let dir = TestDir::new();
    let root = dir.root();
    init(&root, &plain()).unwrap();
    let key = FarmCa::open_or_make(&root, "00112233", NOW)
        .unwrap()
        .server_key()
        .unwrap();
    let file = root.farm_ca_dir().join("server_ca.crt");
    fs::remove_file(&file).unwrap();
    assert!(FarmCa::open_or_make(&root, "00112233", NOW).is_err());
    let report = init(&root, &plain()).unwrap();
    assert_eq!(report.steps, [InitStep::MendedFarmCa { file: file.clone() }]);
    let farm = FarmCa::open_or_make(&root, "00112233", NOW).unwrap();
    assert_eq!(farm.server_key().unwrap(), key);
    fs::remove_file(&file).unwrap();
    fs::remove_file(root.farm_ca_dir().join("server_ca.key")).unwrap();
    let error = init(&root, &plain()).unwrap_err();
    assert!(error.to_string().contains("server_ca.crt is missing"), "{error}");
    assert!(error.hint().unwrap().starts_with("restore"), "{:?}", error.hint());
}

#[test]
fn harvester_without_the_ca_key_is_in_order() {
    let dir = TestDir::new();
    let root = dir.root();
    init(&root, &plain()).unwrap();
    fs::remove_file(root.ssl_dir().join("ca/private_ca.key")).unwrap();
    assert!(!init(&root, &plain()).unwrap().changed());
    fs::remove_file(root.ssl_dir().join("harvester/private_harvester.crt")).unwrap();
    assert!(matches!(
        init(&root, &plain()),
        Err(InitError::Tls(TlsError::Unreadable { .. }))
    ));
}

#[test]
fn directory_with_other_things_is_not_made_a_root() {
    let dir = TestDir::new();
    let root = dir.root();
    fs::create_dir(root.dir()).unwrap();
    fs::write(root.dir().join("holiday.jpg"), "").unwrap();
    let error = init(&root, &plain()).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("is not empty and no root (it holds holiday.jpg)"),
        "{error}"
    );
    assert_eq!(fs::read_dir(root.dir()).unwrap().count(), 1);
}

#[test]
fn secrets_that_others_can_read_are_closed_again() {
    let dir = TestDir::new();
    let root = dir.root();
    init(&root, &plain()).unwrap();
    let key = root.ssl_dir().join("farmer/private_farmer.key");
    files::set_mode(&key, 0o644).unwrap();
    files::set_mode(&root.config_file(), 0o640).unwrap();
    let report = init(&root, &plain()).unwrap();
    assert_eq!(report.steps, [InitStep::ClosedToOthers { paths: 2 }]);
    assert_eq!(files::mode_of(&fs::metadata(&key).unwrap()), 0o600);
}

#[test]
fn two_inits_at_once_are_kept_apart() {
    let dir = TestDir::new();
    let root = dir.root();
    let mut report = InitReport::new(&root, RootKind::Own, "mainnet");
    let held = start(&root, &mut report).unwrap();
    assert!(held.is_some());
    assert!(matches!(init(&root, &plain()), Err(InitError::Busy { .. })));
    drop(held);
    init(&root, &plain()).unwrap();
}

#[test]
fn report_reads_like_this() {
    let dir = TestDir::new();
    let root = dir.root();
    let shown = init(&root, &on("simulator1")).unwrap().to_string();
    let expected = "\
New root ROOT, network simulator1:
  made the directory farmconsole/
  made a private CA: config/ssl/ca/private_ca.crt
  made 9 private and 7 public certificates
  wrote the settings: config/config.yaml
More machines join while a farmer runs here: `farmconsole harvester invite NAME` prints the command for them.";
    assert_eq!(shown.replace(&root.dir().display().to_string(), "ROOT"), expected);
    // Whoever names a root of the official software expects one.
    let not_there = init(&Root::new(dir.0.path().join(".chia/mainnet")), &plain()).unwrap();
    assert!(
        not_there
            .to_string()
            .contains("Chia's own software was never set up there")
    );
}

#[test]
fn machine_that_joins_a_farm_is_told_how_to_harvest() {
    let (main, other) = (TestDir::new(), TestDir::new());
    let (main, root) = (main.root(), other.root());
    init(&main, &plain()).unwrap();
    for _ in 0..2 {
        let shown = init(&root, &with_ca(&main.ssl_dir().join("ca"))).unwrap().to_string();
        assert!(shown.ends_with("and now run `farmconsole harvester run`."), "{shown}");
    }
}

#[test]
fn root_that_was_made_before_the_clock_was_set_is_good_when_it_is() {
    for wrong in [UnixMillis(60_000), UnixMillis(2_000_000_000_000)] {
        let dir = TestDir::new();
        let at = |now: UnixMillis| InitOptions { now, ..plain() };
        init(&dir.root(), &at(wrong)).unwrap();
        let made = files_below(dir.root().dir());
        for now in [crate::system_clock::unix_now(), wrong] {
            init(&dir.root(), &at(now)).unwrap();
            assert!(files_below(dir.root().dir()) == made, "{wrong:?} {now:?}");
        }
    }
}
