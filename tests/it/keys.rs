//! Farming keys from outside: imported, locked, shown, refused.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use serde_json::Value;

use crate::root::{MNEMONIC, Program};

#[test]
fn keys_that_others_can_read_are_refused() {
    let program = Program::simulated();
    let shown = program.ok(&["keys", "show"]);
    assert!(
        shown.contains("Farmer public key") && shown.contains("txch1"),
        "{shown}"
    );
    let secret = fs::read_to_string(program.root().join("farmconsole/farming-keys.yaml")).unwrap();
    assert!(!secret.contains("abandon"), "the mnemonic is kept");
    let file = program.root().join("farmconsole/farming-keys.yaml");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let errors = program.fails(&["--daemon"], 78);
    assert!(errors.contains("hint: chmod 600"), "{errors}");
}

#[test]
fn keys_import_says_that_it_wrote_reward_addresses() {
    let program = Program::new();
    program.ok(&["init", "--network", "simulator1"]);
    let mnemonic = program.dir.path().join("mnemonic");
    fs::write(&mnemonic, MNEMONIC).unwrap();
    let import = ["keys", "import", "--mnemonic-file", mnemonic.to_str().unwrap()];
    assert!(program.ok(&import).contains("Reward addresses written to"));
    assert!(!program.ok(&import).contains("Reward addresses written to"));
    let next = format!("Next: `farmconsole --root {} plots add", program.root().display());
    assert!(program.ok(&import).contains(&next));
    program.ok(&["plots", "add", "-d", program.dir.path().to_str().unwrap()]);
    assert!(!program.ok(&import).contains(&next), "they are named already");
}

#[test]
fn chias_keyring_is_imported_with_and_without_a_passphrase() {
    let program = Program::new();
    program.ok(&["init", "--network", "simulator1"]);
    let open = keyring("default_passphrase.yaml");
    let said = program.ok(&["keys", "import", "--chia-keyring", open.to_str().unwrap()]);
    assert!(said.contains("the one that everybody knows"), "{said}");
    assert!(said.contains("Fingerprint: 2515295459"), "{said}");

    let locked = keyring("passphrase.yaml");
    let passphrase = secret(&program, "keyring-passphrase", "correct horse bättery\n");
    let mut import = vec!["keys", "import", "--chia-keyring", locked.to_str().unwrap()];
    import.extend(["--keyring-passphrase-file", passphrase.to_str().unwrap()]);
    let said = program.ok(&import);
    assert!(said.contains("Skipped 1016162455"), "{said}");
    assert!(said.contains("2 farming keys in"), "{said}");
    import.extend(["--fingerprint", "3781984839", "--replace"]);
    let said = program.ok(&import);
    assert!(
        said.contains("1 farming key in") && said.contains("Fingerprint: 3781984839"),
        "{said}"
    );
    // Rewards go where they went before, and that is somebody else's wallet.
    assert!(said.contains("NOT among the first 50"), "{said}");

    fs::write(&passphrase, "wrong").unwrap();
    let errors = program.fails(&import, 1);
    assert!(errors.contains("wrong passphrase for Chia's keyring"), "{errors}");
    let home = program.dir.path().join(".chia_keys");
    let errors = program.fails(&["keys", "import", "--chia-keyring"], 1);
    assert!(errors.contains(home.to_str().unwrap()), "{errors}");
}

#[test]
fn a_farm_with_locked_keys_starts_with_the_passphrase_only() {
    let mut program = Program::simulated();
    let right = secret(&program, "right", "a passphrase\n");
    let wrong = secret(&program, "wrong", "another one\n");
    let open = secret(&program, "open", "a passphrase\n");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).unwrap();
    let [right, wrong, open] = [&right, &wrong, &open].map(|file| file.to_str().unwrap());
    program.ok(&["keys", "passphrase", "set", "--new-passphrase-file", right]);
    let shown: Value = serde_json::from_str(&program.ok(&["keys", "show", "--json"])).unwrap();
    assert_eq!(shown["locked"], true);
    assert_eq!(shown["keys"].as_array().unwrap().len(), 1);

    let errors = program.fails(&["--daemon", "--passphrase-file", wrong], 78);
    assert!(errors.contains("wrong passphrase for the farming keys"), "{errors}");
    let errors = program.fails(&["--daemon", "--passphrase-file", open], 78);
    assert!(errors.contains(&format!("hint: chmod 600 {open}")), "{errors}");
    let errors = program.fails(&["--daemon", "--passphrase-file", "/no-such/passphrase"], 78);
    assert!(errors.contains("read a secret from /no-such/passphrase"), "{errors}");
    let credentials = program.dir.path().join("credentials");
    fs::create_dir(&credentials).unwrap();
    fs::copy(right, credentials.join("farmconsole-passphrase")).unwrap();
    let mut daemon = program.command(&["--daemon"]);
    daemon.env("CREDENTIALS_DIRECTORY", &credentials);
    program.start_by(daemon);
    let summary = program.until("a signage point", |s| s["signage_points_received"].as_u64() > Some(0));
    assert_eq!(summary["version"], 1);
    program.ok(&["stop"]);

    let of_windows = secret(&program, "of-windows", "\u{feff}a passphrase\r\n");
    let of_windows = of_windows.to_str().unwrap();
    program.ok(&["keys", "passphrase", "remove", "--passphrase-file", of_windows]);
    let shown: Value = serde_json::from_str(&program.ok(&["keys", "show", "--json"])).unwrap();
    assert_eq!(shown["locked"], false);
}

#[test]
fn reward_addresses_change_by_command_and_only_to_addresses_of_the_network() {
    let program = Program::simulated();
    let set = |option, address| program.run(&["configure", option, address]);
    let before = fs::read(program.root().join("config/config.yaml")).unwrap();
    for (address, why) in [
        (OTHER_NETWORK, "address of another network"),
        (&ELSEWHERE[..40], "checksum does not match"),
    ] {
        for option in ["--set-farmer-reward", "--set-pool-reward"] {
            let errors = program.fails(&["configure", option, address], 2);
            assert!(errors.contains(why), "{errors}");
        }
    }
    assert_eq!(fs::read(program.root().join("config/config.yaml")).unwrap(), before);

    let said = set("--set-farmer-reward", ELSEWHERE);
    assert!(said.status.success());
    let shown = program.ok(&["keys", "show"]);
    assert!(
        shown.contains(&format!("Farmer reward address: {ELSEWHERE} (puzzle hash ")),
        "{shown}"
    );
    assert!(!shown.contains("import the key again"), "{shown}");
    // The pool key has signed its rewards over to the old address.
    let said = program.ok(&["configure", "--set-pool-reward", ELSEWHERE]);
    assert!(
        said.contains("Pool reward address updated") && said.contains("import the key again"),
        "{said}"
    );
    assert!(program.ok(&["keys", "show"]).contains("import the key again"));
    let mnemonic = program.dir.path().join("mnemonic");
    program.ok(&["keys", "import", "--mnemonic-file", mnemonic.to_str().unwrap()]);
    assert!(!program.ok(&["keys", "show"]).contains("import the key again"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_farm_leaves_no_core_dump() {
    let mut program = Program::simulated();
    program.start();
    let pid = program.daemon.as_ref().unwrap().id();
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"]);
}

#[test]
fn no_passphrase_is_asked_for_where_there_is_nothing_to_lock() {
    let program = Program::new();
    program.ok(&["init", "--network", "simulator1"]);
    let errors = program.fails(&["keys", "passphrase", "set"], 1);
    assert!(errors.contains("no farming keys at"), "{errors}");
}

#[test]
fn a_mnemonic_is_asked_for_and_never_shown() {
    let program = Program::new();
    program.ok(&["init", "--network", "simulator1"]);
    let pty = native_pty_system().openpty(PtySize::default()).unwrap();
    let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_farmconsole"));
    command.env_clear();
    command.args([
        "--root",
        program.root().to_str().unwrap(),
        "keys",
        "import",
        "--mnemonic",
    ]);
    let mut child = pty.slave.spawn_command(command).unwrap();
    drop(pty.slave);
    let mut output = pty.master.try_clone_reader().unwrap();
    let mut input = pty.master.take_writer().unwrap();
    let mut shown = Vec::new();
    let mut read_until = |end: &str, keys: &str| {
        let mut byte = [0];
        while !String::from_utf8_lossy(&shown).contains(end) && output.read(&mut byte).is_ok_and(|n| n == 1) {
            shown.push(byte[0]);
        }
        if !keys.is_empty() {
            input.write_all(keys.as_bytes()).unwrap();
        }
        String::from_utf8_lossy(&shown).into_owned()
    };
    read_until("(not shown): ", &format!("{}\r", MNEMONIC.replace("about", "abouts")));
    let again = "Word 12 of the mnemonic is not in the BIP-39 list of words: it may be misspelled, try again.\r\n";
    let question = "Mnemonic, 12 to 24 words in one line (not shown): ";
    read_until(&format!("{again}{question}"), &format!("{MNEMONIC}\rls\r"));
    let shown = read_until("no more", "");
    assert!(child.wait().unwrap().success(), "{shown}");
    assert!(shown.contains("Fingerprint: 3781984839"), "{shown}");
    assert!(!shown.contains("abandon"), "{shown}");
}

fn keyring(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/chia_keyring")
        .join(name)
}

/// A file that only its owner reads.
fn secret(program: &Program, name: &str, text: &str) -> PathBuf {
    let path = program.dir.path().join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}

/// Puzzle hash 0707…07 on test networks and on mainnet.
const ELSEWHERE: &str = "txch1qurswpc8qurswpc8qurswpc8qurswpc8qurswpc8qurswpc8qurskhc8nk";
const OTHER_NETWORK: &str = "xch1qurswpc8qurswpc8qurswpc8qurswpc8qurswpc8qurswpc8qursmsl3j9";
