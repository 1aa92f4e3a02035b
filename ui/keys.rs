//! `farmconsole keys`: importing farming keys and showing what is public of them.

use std::io::{self, Read, Write};
use std::path::Path;

use farmconsole::config::Settings;
use farmconsole::config::edit::{Editor, Outcome as Edited};
use farmconsole::keys::{
    self, ADDRESSES_SEARCHED, AddressOwner, ExistingKeys, ImportReport, ImportSource, KeyReport, KeysError,
    RewardAddress, RewardAddresses, address,
};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::args::KeysImport;
use crate::configure::not_changed;
use crate::context::Context;
use crate::daemon::{settings, with_hint};
use crate::exit::{Ended, Failure, Outcome, Status};

/// Longest key file that is read, bytes.
const MAX_SECRET: u64 = 16 * 1024;

/// `farmconsole keys import`.
pub(crate) fn import(context: &Context, import: &KeysImport) -> Outcome {
    let settings = settings(context)?;
    let source = match (&import.source.mnemonic_file, &import.source.farmer_sk_file) {
        (Some(file), _) => ImportSource::Mnemonic(read_secret(file)?),
        (None, Some(file)) => ImportSource::FarmerSecretKey(read_secret(file)?),
        (None, None) => {
            return Err(Failure::new(
                Status::Usage,
                "name a key to import: --mnemonic-file or --farmer-sk-file",
            ));
        }
    };
    let (report, settings_file) = import_into(context, &settings, &source, import.replace)?;
    let mut out = io::stdout().lock();
    print_key(&mut out, &report.key)?;
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
        "{} in {}; restart a running farmer to use them",
        crate::format::plural(report.keys_in_file as u64, "farming key"),
        context.root.keys_file().display()
    )?;
    Ok(Ended::Fine)
}

/// Imports a key; reward addresses that the settings do not name become the wallet's first one and are written there;
/// says whether they were.
pub(crate) fn import_into(
    context: &Context,
    settings: &Settings,
    source: &ImportSource,
    replace: bool,
) -> Result<(ImportReport, Edited), Failure> {
    let decode = |setting: &str, address: &Option<String>| {
        let decoded = address
            .as_deref()
            .map(|a| address::decode(&settings.address_prefix, a))
            .transpose();
        decoded.map_err(|e| {
            Failure::new(Status::Settings, format!("{setting}: {e}"))
                .hint("correct the address in the settings file first")
        })
    };
    let addresses = RewardAddresses {
        farmer: decode("farmer.xch_target_address", &settings.farmer.xch_target_address)?,
        pool: decode("pool.xch_target_address", &settings.pool_xch_target_address)?,
    };
    context.root.create_state_dir()?;
    let existing = if replace {
        ExistingKeys::Replace
    } else {
        ExistingKeys::Keep
    };
    let report = keys::import(&context.root.keys_file(), source, addresses, existing).map_err(bad_keys)?;
    let encode = |given: &Option<String>, imported: &Option<RewardAddress>| match (given, imported) {
        (Some(address), _) => Ok(address.clone()),
        (None, Some(made)) => {
            address::encode(&settings.address_prefix, &made.puzzle_hash).map_err(|e| Failure::new(Status::Failed, e))
        }
        (None, None) => Ok(String::new()),
    };
    let farmer = encode(&settings.farmer.xch_target_address, &report.farmer_address)?;
    let pool = encode(&settings.pool_xch_target_address, &report.pool_address)?;
    if farmer.is_empty() || pool.is_empty() {
        return Ok((report, Edited::AlreadySo));
    }
    let mut editor = Editor::open(&context.root).map_err(not_changed)?;
    let edited = editor.set_target_addresses(&farmer, &pool).map_err(not_changed)?;
    editor.save().map_err(not_changed)?;
    Ok((report, edited))
}

/// `farmconsole keys show`.
pub(crate) fn show(context: &Context, json: bool) -> Outcome {
    let settings = settings(context)?;
    let reports = keys::show(&context.root.keys_file()).map_err(bad_keys)?;
    let mut out = io::stdout().lock();
    if json {
        let shown = KeysJson {
            version: 1,
            farmer_public_keys: reports.iter().map(|k| k.farmer_public_key.to_string()).collect(),
            pool_public_keys: reports
                .iter()
                .filter_map(|k| k.pool_public_key)
                .map(|k| k.to_string())
                .collect(),
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
    for (what, address) in [
        ("Farmer reward address", settings.farmer.xch_target_address),
        ("Pool reward address", settings.pool_xch_target_address),
    ] {
        writeln!(out, "{what}: {}", address.as_deref().unwrap_or("not set"))?;
    }
    Ok(Ended::Fine)
}

/// The object `keys show --json` prints.
#[derive(Debug, Serialize)]
struct KeysJson<'a> {
    version: u32,
    farmer_public_keys: Vec<String>,
    pool_public_keys: Vec<String>,
    farmer_address: Option<String>,
    pool_address: Option<String>,
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
        AddressOwner::ImportedWallet { index } => format!("address {index} of this wallet"),
        AddressOwner::NotFound => format!("NOT among the first {ADDRESSES_SEARCHED} addresses of this wallet"),
        AddressOwner::NotSearched => "not checked: this key belongs to no known wallet".to_owned(),
    };
    writeln!(out, "{what}: {text} ({whose})")?;
    Ok(())
}

/// Reads a secret from a file, or from standard input for `-`.
fn read_secret(file: &Path) -> Result<Zeroizing<String>, Failure> {
    let mut text = Zeroizing::new(String::new());
    let read = if file == Path::new("-") {
        io::stdin().lock().take(MAX_SECRET).read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|f| f.take(MAX_SECRET).read_to_string(&mut text))
    };
    read.map_err(|e| {
        Failure::new(
            Status::Failed,
            format!("cannot read a key from {}: {e}", file.display()),
        )
    })?;
    Ok(text)
}

fn bad_keys(error: KeysError) -> Failure {
    let hint = error.hint();
    with_hint(Failure::new(Status::Failed, error), hint)
}
