//! `farmconsole keys`: importing farming keys, showing what is public of them, locking them with a passphrase.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use farmconsole::config::edit::{EditError, Editor, Outcome as Edited};
use farmconsole::config::{PoolList, Settings};
use farmconsole::ids::PuzzleHash;
use farmconsole::keys::{
    self, ADDRESSES_SEARCHED, AddressOwner, ChiaKeyring, ExistingKeys, ImportReport, ImportSource, KeyReport,
    KeyringError, KeysError, Passphrase, PoolKeyFound, PoolKeyReport, PoolsToImport, RewardAddress, RewardAddresses,
    UnlockedKeyring, WalletKeys, address,
};
use serde::Serialize;

use crate::args::KeysImport;
use crate::context::Context;
use crate::environment::variable;
use crate::errors::{bad_keys, not_changed};
use crate::exit::{Ended, Failure, Outcome, Status};
use crate::out::Out;
use crate::secrets;

/// `farmconsole keys import`.
pub(crate) fn import(context: &Context, import: &KeysImport) -> Outcome {
    let settings = context.settings()?;
    one_secret_a_standard_input(context, import)?;
    let existing = if import.replace {
        ExistingKeys::Replace
    } else {
        ExistingKeys::Keep
    };
    let passphrase = passphrase_for_import(context, import, existing)?;
    let source = source(import)?;
    let pools = PoolList::load(&context.root);
    for error in &pools.errors {
        writeln!(Out::for_errors(), "farmconsole: a plotNFT is left out: {error}")?;
    }
    let pools = PoolsToImport {
        pools: &pools.pools,
        wallet_keys: if import.pool_wallet_keys {
            WalletKeys::Take
        } else {
            WalletKeys::LeaveOut
        },
    };
    let (report, settings_file) = import_into(context, &settings, &source, pools, existing, passphrase.as_ref())?;
    let mut out = Out::for_people();
    for key in &report.keys {
        print_key(&mut out, key)?;
    }
    for pool in &report.pools {
        print_pool(&mut out, pool)?;
    }
    print_address(
        &mut out,
        "Farmer rewards go to",
        report.farmer_address.as_ref(),
        &settings.address_prefix,
    )?;
    print_address(
        &mut out,
        "Pool rewards of plots with a pool public key go to",
        report.pool_address.as_ref(),
        &settings.address_prefix,
    )?;
    if settings_file == Edited::Changed {
        writeln!(
            out,
            "Reward addresses written to {}",
            context.root.config_file().display()
        )?;
    }
    writeln!(
        out,
        "{}{} in {}; restart a running farmer to use them",
        crate::format::plural(report.keys_in_file as u64, "farming key"),
        if passphrase.is_some() {
            ", locked with a passphrase,"
        } else {
            ""
        },
        context.root.keys_file().display()
    )?;
    if settings.harvester.plot_directories.is_empty() {
        let add = context.commands.here("`farmconsole plots add -d DIR`");
        let farm = context.commands.here("`farmconsole`");
        writeln!(
            out,
            "Next: {add} for the plots of this machine, if it has any; then {farm} farms"
        )?;
    }
    Ok(Ended::Fine)
}

/// Imports keys; reward addresses that the settings do not name become the wallet's first one and are written there;
/// says whether they were.
pub(crate) fn import_into(
    context: &Context,
    settings: &Settings,
    source: &ImportSource,
    pools: PoolsToImport<'_>,
    existing: ExistingKeys,
    passphrase: Option<&Passphrase>,
) -> Result<(ImportReport, Edited), Failure> {
    let decode = |setting: &str, address: &Option<String>| {
        let decoded = address
            .as_deref()
            .map(|a| address::decode(&settings.address_prefix, a))
            .transpose();
        decoded.map_err(|e| {
            Failure::new(Status::Settings, format!("{setting}: {e}"))
                .hint("set it with `farmconsole configure --set-farmer-reward ADDRESS` or `--set-pool-reward ADDRESS`")
        })
    };
    let given = RewardAddresses {
        farmer: decode("farmer.xch_target_address", &settings.farmer.xch_target_address)?,
        pool: decode("pool.xch_target_address", &settings.pool_xch_target_address)?,
    };
    context.root.create_state_dir()?;
    let file = context.root.keys_file();
    let report = keys::import(&file, source, given, pools, existing, passphrase).map_err(bad_keys)?;
    let new = |given: Option<PuzzleHash>, imported: &Option<RewardAddress>| match (given, imported) {
        (None, Some(made)) => address::encode(&settings.address_prefix, &made.puzzle_hash)
            .map(Some)
            .map_err(|e| Failure::new(Status::Failed, e)),
        _ => Ok(None),
    };
    let edited = set_rewards(
        context,
        new(given.farmer, &report.farmer_address)?.as_deref(),
        new(given.pool, &report.pool_address)?.as_deref(),
    );
    Ok((report, edited.map_err(not_changed)?))
}

/// Writes reward addresses into the settings.
fn set_rewards(context: &Context, farmer: Option<&str>, pool: Option<&str>) -> Result<Edited, EditError> {
    if farmer.is_none() && pool.is_none() {
        return Ok(Edited::AlreadySo);
    }
    let mut editor = Editor::open(&context.root)?;
    if let Some(address) = farmer {
        editor.set_farmer_target(address)?;
    }
    if let Some(address) = pool {
        editor.set_pool_target(address)?;
    }
    editor.save()
}

/// `farmconsole keys show`.
pub(crate) fn show(context: &Context, json: bool) -> Outcome {
    context.farmers_only(
        "show farming keys",
        Status::Failed,
        "ask where the farmer runs; keys stay there",
    )?;
    let settings = context.settings()?;
    let file = context.root.keys_file();
    let reports = keys::show(&file).map_err(bad_keys)?;
    let locked = keys::is_locked(&file).map_err(bad_keys)?;
    let decode = |address: &Option<String>| address.as_deref().map(|a| address::decode(&settings.address_prefix, a));
    let farmer = decode(&settings.farmer.xch_target_address);
    let pool = decode(&settings.pool_xch_target_address);
    let mut out = context.out(json);
    if json {
        let shown = KeysJson {
            version: 1,
            locked,
            farmer_public_keys: reports.iter().map(|k| k.farmer_public_key.to_string()).collect(),
            pool_public_keys: reports
                .iter()
                .filter_map(|k| k.pool_public_key)
                .map(|k| k.to_string())
                .collect(),
            farmer_puzzle_hash: farmer.and_then(Result::ok),
            pool_puzzle_hash: pool.and_then(Result::ok),
            farmer_address: settings.farmer.xch_target_address,
            pool_address: settings.pool_xch_target_address,
            keys: &reports,
        };
        serde_json::to_writer_pretty(&mut out, &shown).map_err(io::Error::from)?;
        writeln!(out)?;
        return Ok(Ended::Fine);
    }
    for report in &reports {
        print_key(&mut out, report)?;
    }
    for (what, address, decoded) in [
        ("Farmer reward address", &settings.farmer.xch_target_address, &farmer),
        ("Pool reward address", &settings.pool_xch_target_address, &pool),
    ] {
        match (address, decoded) {
            (Some(address), Some(Ok(puzzle_hash))) => writeln!(out, "{what}: {address} (puzzle hash {puzzle_hash})")?,
            (_, Some(Err(error))) => writeln!(out, "{what}: NOT USABLE, {error}")?,
            _ => writeln!(out, "{what}: not set")?,
        }
    }
    for line in signed_for_another(&reports, pool.and_then(Result::ok)) {
        writeln!(out, "{line}")?;
    }
    if locked {
        writeln!(out, "Locked with a passphrase: {}", file.display())?;
    }
    Ok(Ended::Fine)
}

/// A line for every pool key that signed its rewards over to another address than the settings name: the network would
/// not take its blocks.
pub(crate) fn signed_for_another(reports: &[KeyReport], pool: Option<PuzzleHash>) -> Vec<String> {
    let signed = |report: &KeyReport| Some((report.pool_public_key?, report.pool_puzzle_hash?));
    let others = reports
        .iter()
        .filter_map(signed)
        .filter(|(_, signed)| pool.is_some_and(|pool| pool != *signed));
    others
        .map(|(key, _)| {
            format!(
                "The pool key {key} has signed for another address than the pool reward address: import the key again"
            )
        })
        .collect()
}

/// `farmconsole keys passphrase set`.
pub(crate) fn set_passphrase(context: &Context, new: Option<&Path>) -> Outcome {
    // Before anybody thinks of a passphrase: there must be something to lock.
    keys::show(&context.root.keys_file()).map_err(bad_keys)?;
    let old = secrets::to_unlock(context)?;
    let new = secrets::new_passphrase("the farming keys", new, "--new-passphrase-file")?;
    change_passphrase(context, old.as_ref(), Some(&new), "locked with the new passphrase")
}

/// `farmconsole keys passphrase remove`.
pub(crate) fn remove_passphrase(context: &Context) -> Outcome {
    let old = secrets::to_unlock(context)?;
    change_passphrase(
        context,
        old.as_ref(),
        None,
        "without a passphrase, protected by its mode 0600",
    )
}

fn change_passphrase(context: &Context, old: Option<&Passphrase>, new: Option<&Passphrase>, said: &str) -> Outcome {
    let file = context.root.keys_file();
    keys::set_passphrase(&file, old, new).map_err(bad_keys)?;
    writeln!(Out::for_people(), "Farming keys in {}: {said}", file.display())?;
    Ok(Ended::Fine)
}

/// Standard input can be read once.
fn one_secret_a_standard_input(context: &Context, import: &KeysImport) -> Result<(), Failure> {
    let files = [
        &context.passphrase_file,
        &import.keyring_passphrase_file,
        &import.source.mnemonic_file,
        &import.source.farmer_sk_file,
    ];
    if files
        .iter()
        .filter(|file| file.as_deref() == Some(Path::new("-")))
        .count()
        > 1
    {
        return Err(Failure::new(
            Status::Usage,
            "only one secret can come from standard input",
        ));
    }
    Ok(())
}

/// The passphrase of the file after the import, if it is to have one.
fn passphrase_for_import(
    context: &Context,
    import: &KeysImport,
    existing: ExistingKeys,
) -> Result<Option<Passphrase>, Failure> {
    let locked = match keys::is_locked(&context.root.keys_file()) {
        // A damaged file is there to be replaced.
        Err(_) if existing == ExistingKeys::Replace => false,
        locked => locked.map_err(bad_keys)?,
    };
    match (locked, existing) {
        (true, ExistingKeys::Keep) if import.passphrase => Err(Failure::new(
            Status::Usage,
            "the farming keys of this root have a passphrase already",
        )
        .hint("change it with `farmconsole keys passphrase set`, and import without --passphrase")),
        (true, ExistingKeys::Keep) => secrets::to_unlock(context),
        // What was locked is not left open by the way.
        (true, ExistingKeys::Replace) => new_passphrase(context),
        (false, _) if import.passphrase => new_passphrase(context),
        (false, _) if context.passphrase_file.is_some() => Err(Failure::new(
            Status::Usage,
            "--passphrase-file names a passphrase, but the farming keys are not locked",
        )
        .hint("add --passphrase to lock them with it")),
        (false, _) => Ok(None),
    }
}

fn new_passphrase(context: &Context) -> Result<Option<Passphrase>, Failure> {
    secrets::new_passphrase(
        "the farming keys",
        context.passphrase_file.as_deref(),
        "--passphrase-file",
    )
    .map(Some)
}

fn source(import: &KeysImport) -> Result<ImportSource, Failure> {
    let source = &import.source;
    if let Some(file) = &source.farmer_sk_file {
        return secrets::read(file).map(ImportSource::FarmerSecretKey);
    }
    wallet(
        source.chia_keyring.as_ref(),
        source.mnemonic_file.as_deref(),
        KeyringChoice {
            fingerprint: import.fingerprint,
            passphrase_file: import.keyring_passphrase_file.as_deref(),
        },
    )
}

/// What is taken from a keyring.
#[derive(Clone, Copy)]
pub(crate) struct KeyringChoice<'a> {
    /// The wallet; all without it.
    pub(crate) fingerprint: Option<u32>,
    /// Where the keyring's passphrase is, if it is not to be asked for.
    pub(crate) passphrase_file: Option<&'a Path>,
}

/// The wallet a person has: in Chia's keyring, in a file, or asked for.
pub(crate) fn wallet(
    keyring: Option<&Option<PathBuf>>,
    mnemonic_file: Option<&Path>,
    choice: KeyringChoice<'_>,
) -> Result<ImportSource, Failure> {
    if let Some(path) = keyring {
        let path = path.clone().map_or_else(default_keyring, Ok)?;
        return unlock_keyring(&path, choice).map(ImportSource::ChiaKeyring);
    }
    match mnemonic_file {
        Some(file) => secrets::read(file).map(ImportSource::Mnemonic),
        None => secrets::ask_mnemonic(secrets::ask)
            .map(ImportSource::Mnemonic)
            .map_err(secrets::not_asked("--mnemonic-file")),
    }
}

/// Where the official software keeps its keyring.
fn default_keyring() -> Result<PathBuf, Failure> {
    if let Some(directory) = variable("CHIA_KEYS_ROOT") {
        return Ok(directory.into());
    }
    let home = std::env::home_dir().filter(|home| home.is_absolute()).ok_or_else(|| {
        Failure::new(
            Status::Usage,
            "find Chia's keyring: the environment names no home directory",
        )
        .hint("name it: --chia-keyring PATH")
    })?;
    Ok(home.join(".chia_keys"))
}

/// Opens Chia's keyring, with the public passphrase if that is enough, and says what is in it.
fn unlock_keyring(path: &Path, choice: KeyringChoice<'_>) -> Result<UnlockedKeyring, Failure> {
    let mut out = Out::for_people();
    let keyring = ChiaKeyring::read(path).map_err(bad_keyring)?;
    let unlocked = match keyring.unlock_with_default().map_err(bad_keyring)? {
        Some(unlocked) => {
            writeln!(
                out,
                "{} has no passphrase of its own: it opened with the one that everybody knows",
                keyring.path().display()
            )?;
            unlocked
        }
        None => {
            let passphrase = match choice.passphrase_file {
                Some(file) => secrets::passphrase_from_file(file)?,
                None => {
                    let hint = keyring
                        .hint()
                        .map(|hint| format!(" (hint: {hint})"))
                        .unwrap_or_default();
                    let question = format!("Passphrase of Chia's keyring {}{hint}: ", keyring.path().display());
                    let wrong = |text: &str| {
                        let opened = keyring.unlock(&Passphrase::new(text.to_owned().into()));
                        matches!(opened, Err(KeyringError::WrongPassphrase { .. })).then(secrets::not_it)
                    };
                    secrets::ask_until_right(secrets::ask, &question, wrong)
                        .map(Passphrase::new)
                        .map_err(secrets::not_asked("--keyring-passphrase-file"))?
                }
            };
            keyring.unlock(&passphrase).map_err(bad_keyring)?
        }
    };
    for observer in unlocked.observers() {
        writeln!(
            out,
            "Skipped {observer}: the keyring holds only its public key, which signs nothing"
        )?;
    }
    match choice.fingerprint {
        Some(fingerprint) => unlocked.choose(fingerprint).map_err(bad_keyring),
        None => Ok(unlocked),
    }
}

fn bad_keyring(error: KeyringError) -> Failure {
    bad_keys(KeysError::from(error))
}

/// The object `keys show --json` prints.
#[derive(Debug, Serialize)]
struct KeysJson<'a> {
    version: u32,
    locked: bool,
    farmer_public_keys: Vec<String>,
    pool_public_keys: Vec<String>,
    farmer_address: Option<String>,
    farmer_puzzle_hash: Option<PuzzleHash>,
    pool_address: Option<String>,
    pool_puzzle_hash: Option<PuzzleHash>,
    keys: &'a [KeyReport],
}

fn print_key(out: &mut impl Write, key: &KeyReport) -> io::Result<()> {
    if let Some(fingerprint) = key.fingerprint {
        writeln!(out, "Fingerprint: {fingerprint}")?;
    }
    writeln!(out, "Farmer public key (m/12381/8444/0/0): {}", key.farmer_public_key)?;
    if let Some(pool) = key.pool_public_key {
        writeln!(out, "Pool public key (m/12381/8444/1/0): {pool}")?;
    }
    Ok(())
}

fn print_pool(out: &mut impl Write, pool: &PoolKeyReport) -> io::Result<()> {
    let what = match pool.found {
        PoolKeyFound::Stored => "its key is stored",
        PoolKeyFound::StoredWalletKey => {
            "its key is stored. IT IS A WALLET KEY: whoever gets at this farmer can spend what lies on its address; keep no coins there and have the pool pay elsewhere"
        }
        PoolKeyFound::WalletKeyLeftOut => {
            "its key is a wallet key and was left out; --pool-wallet-keys stores it, if its address holds no coins"
        }
        PoolKeyFound::NotOurs => "what was imported does not own it",
    };
    let url = if pool.pool_url.is_empty() {
        "no pool"
    } else {
        &pool.pool_url
    };
    writeln!(
        out,
        "PlotNFT {} ({}): {what}",
        pool.launcher_id,
        crate::format::safe(url)
    )
}

fn print_address(
    out: &mut impl Write,
    what: &str,
    address: Option<&RewardAddress>,
    prefix: &str,
) -> Result<(), Failure> {
    let Some(RewardAddress { puzzle_hash, owner }) = address else {
        return Ok(());
    };
    let text = address::encode(prefix, puzzle_hash).map_err(|e| Failure::new(Status::Failed, e))?;
    let whose = match owner {
        AddressOwner::ImportedWallet { fingerprint, index } => format!("address {index} of wallet {fingerprint}"),
        AddressOwner::NotFound => format!("NOT among the first {ADDRESSES_SEARCHED} addresses of what was imported"),
        AddressOwner::NotSearched => "not checked: this key belongs to no known wallet".to_owned(),
    };
    writeln!(out, "{what}: {text} ({whose})")?;
    Ok(())
}
