//! `farmconsole plots create`: makes plots for the keys of this root, or for others.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use farmconsole::config::Settings;
use farmconsole::config::edit::{EditError, Editor, Outcome as Edited};
use farmconsole::harvester::{
    MakePlotError, NewPlot, PlotFormat, PlotFormatV2, PlotJob, V1_SIZES, available_memory, free_space, random_seed,
};
use farmconsole::keys::{self, address};
use farmconsole::pos::v1::plotter::PlotterError;
use farmconsole::units::{ByteSize, Height};
use farmconsole::wire::{G1Bytes, PlotPool};
use tokio::time::interval;

use super::progress::Progress;
use crate::args::PlotsCreate;
use crate::context::Context;
use crate::errors::not_changed;
use crate::exit::{Ended, Failure, Outcome, Status};
use crate::format::{chia_bytes, safe};
use crate::signals::Signals;

/// Runs the command.
pub(super) async fn run(context: &Context, options: &PlotsCreate) -> Outcome {
    let settings = context.settings()?;
    let format = format(options, &settings)?;
    let plot = NewPlot {
        farmer_public_key: farmer_key(context, options)?,
        pool: pool(context, options, &settings)?,
        format,
    };
    let dir = std::path::absolute(&options.final_dir)?;
    refuse_file(&dir)?;
    check_needs(&dir, format, options.num)?;
    announce(&mut context.out(false), &dir, &plot, options.num, &settings)?;
    let mut signals = Signals::take()?;
    for number in 1..=options.num {
        let path = make(&dir, &plot, (number, options.num), &mut signals).await?;
        writeln!(context.out(false), "{}", safe(&path.display().to_string()))?;
    }
    if !options.exclude_final_dir {
        add_directory(context, &dir)?;
    }
    Ok(Ended::Fine)
}

/// Refuses a file where a directory should be, with the words of `plots add`. One that is missing is made.
fn refuse_file(dir: &Path) -> Result<(), Failure> {
    match dir.metadata() {
        Ok(metadata) if !metadata.is_dir() => Err(not_changed(EditError::NoDirectory {
            path: dir.to_path_buf(),
            reason: "it is a file".to_owned(),
        })),
        _ => Ok(()),
    }
}

/// Kind and size, by the options and the network's constants.
fn format(options: &PlotsCreate, settings: &Settings) -> Result<PlotFormat, Failure> {
    let (constants, network) = (&settings.constants, &settings.network);
    let usage = |error: MakePlotError| Failure::new(Status::Usage, error);
    let (format, farmed) = if options.v2 {
        let k = options.size.unwrap_or(constants.plot_size_v2);
        let format = PlotFormat::V2(PlotFormatV2 {
            k,
            strength: options.strength.unwrap_or(constants.min_plot_strength),
            plot_index: options.plot_index,
            meta_group: options.meta_group,
            testnet: constants.testnet,
        });
        (format, constants.plot_size_v2..=constants.plot_size_v2)
    } else {
        let k = options.size.unwrap_or(constants.min_plot_size_v1);
        (
            PlotFormat::V1 { k },
            constants.min_plot_size_v1..=constants.max_plot_size_v1,
        )
    };
    if let PlotFormat::V1 { k } = format
        && k > *V1_SIZES.end()
    {
        return Err(Failure::new(
            Status::Usage,
            format!(
                "cannot make a v1 plot of k {k}: farmconsole makes those of k {} to {} only, for trying things out",
                V1_SIZES.start(),
                V1_SIZES.end()
            ),
        )
        .hint(
            "make large ones with bladebit (`chia plotters bladebit`), madmax (`chia plotters madmax`) or `chia plots \
             create`, for the same -f and -p or -c; plots of Gigahorse are in a closed format that no other harvester \
             reads. v2 plots are made here: `--v2`",
        ));
    }
    format.check().map_err(usage)?;
    let strengths = constants.min_plot_strength..=constants.max_plot_strength;
    if let PlotFormat::V2(v2) = format
        && !strengths.contains(&v2.strength)
    {
        return Err(Failure::new(
            Status::Usage,
            format!(
                "v2 plots of strength {} are not farmed on {network}: expected {} to {}",
                v2.strength,
                strengths.start(),
                strengths.end()
            ),
        ));
    }
    if !farmed.contains(&format.k()) && !options.override_k {
        let farmed = if farmed.start() == farmed.end() {
            format!("of k {}", farmed.start())
        } else {
            format!("of k {} and more", farmed.start())
        };
        let kind = if options.v2 { "v2" } else { "v1" };
        return Err(Failure::new(
            Status::Usage,
            format!(
                "a {kind} plot of k {} is not farmed on {network}, only those {farmed} are",
                format.k()
            ),
        )
        .hint("`--override-k` makes it nevertheless; small plots are farmed on simulator1"));
    }
    Ok(format)
}

/// The farmer key given, else the first of this root.
fn farmer_key(context: &Context, options: &PlotsCreate) -> Result<G1Bytes, Failure> {
    match &options.farmer_public_key {
        Some(text) => public_key("-f", text),
        None => Ok(first_key(context, "-f FARMER_PUBLIC_KEY")?.farmer_public_key),
    }
}

/// The contract or pool key given, else the pool key that belongs to the first farmer key of this root.
fn pool(context: &Context, options: &PlotsCreate, settings: &Settings) -> Result<PlotPool, Failure> {
    if let Some(text) = &options.pool_public_key {
        return public_key("-p", text).map(PlotPool::PublicKey);
    }
    if let Some(text) = &options.pool_contract_address {
        let contract = address::decode(&settings.address_prefix, text);
        return contract.map(PlotPool::Contract).map_err(|error| {
            Failure::new(Status::Usage, format!("-c: {error}")).hint(format!(
                "`chia plotnft show` prints the contract address; on {} it begins with {}1",
                settings.network, settings.address_prefix
            ))
        });
    }
    let key = first_key(context, "-p POOL_PUBLIC_KEY or -c CONTRACT_ADDRESS")?;
    key.pool_public_key.map(PlotPool::PublicKey).ok_or_else(|| {
        Failure::new(
            Status::Usage,
            "the farming key of this root was imported without a pool key",
        )
        .hint("say who is paid: -c CONTRACT_ADDRESS or -p POOL_PUBLIC_KEY")
    })
}

fn first_key(context: &Context, instead: &str) -> Result<keys::KeyReport, Failure> {
    let file = context.root.keys_file();
    let reports = keys::show(&file).map_err(|error| {
        let hint = match &error {
            keys::KeysError::Missing { .. } if context.root.membership_file().exists() => Some(format!(
                "name the key to plot for with {instead}: `farmconsole keys show` on the farmer's machine prints it"
            )),
            keys::KeysError::Missing { .. } => Some(format!(
                "name the key to plot for with {instead}, or import keys with `farmconsole keys import --mnemonic`"
            )),
            other => other.hint(),
        };
        Failure::new(Status::Failed, error).hint_if_any(hint)
    })?;
    reports.into_iter().next().ok_or_else(|| {
        Failure::new(Status::Failed, format!("no key in {}", file.display()))
            .hint(format!("name the key to plot for with {instead}"))
    })
}

fn public_key(option: &str, text: &str) -> Result<G1Bytes, Failure> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let bad = |reason: String| {
        Failure::new(Status::Usage, format!("{option} {}: {reason}", safe(text)))
            .hint("a public key has 96 hex digits; `farmconsole keys show` and `chia keys show` print yours")
    };
    let key: G1Bytes = digits.parse().map_err(|_| bad("not a public key".to_owned()))?;
    farmconsole::crypto::PublicKey::from_g1(&key)
        .map(|_| key)
        .map_err(|error| bad(error.to_string()))
}

/// That the machine has the memory and the disk the space.
fn check_needs(dir: &Path, format: PlotFormat, count: u32) -> Result<(), Failure> {
    let memory = format.memory();
    if let Some(available) = available_memory()
        && available < memory
    {
        return Err(Failure::new(
            Status::Failed,
            format!(
                "make a plot of k {}: it takes about {} of memory, and {} are available",
                format.k(),
                bytes(memory),
                bytes(available)
            ),
        )
        .hint("end other programs, or make the plot on a machine with more memory"));
    }
    let space = ByteSize(format.file_size().0.saturating_mul(count.into()));
    let free = free_space(dir).map_err(|error| {
        Failure::new(
            Status::Failed,
            format!("look for free space at {}: {error}", dir.display()),
        )
    })?;
    if free < space {
        return Err(Failure::new(
            Status::Failed,
            format!(
                "make {count} of k {} in {}: up to {} are needed, and {} are free",
                format.k(),
                dir.display(),
                bytes(space),
                bytes(free)
            ),
        )
        .hint("name another directory with -d, or fewer plots with -n"));
    }
    Ok(())
}

/// Says what is about to be made.
fn announce(out: &mut impl Write, dir: &Path, plot: &NewPlot, count: u32, settings: &Settings) -> Result<(), Failure> {
    let (kind, strength) = match plot.format {
        PlotFormat::V1 { .. } => ("v1", String::new()),
        PlotFormat::V2(v2) => ("v2", format!(", strength {}", v2.strength)),
    };
    let plots = crate::format::plural(count.into(), &format!("{kind} plot"));
    writeln!(
        out,
        "Making {plots} of k {}{strength} for {} in {}",
        plot.format.k(),
        settings.network,
        safe(&dir.display().to_string())
    )?;
    writeln!(out, "Farmer public key: {}", plot.farmer_public_key)?;
    match &plot.pool {
        PlotPool::PublicKey(key) => writeln!(out, "Pool public key: {key}")?,
        PlotPool::Contract(contract) => {
            let address = address::encode(&settings.address_prefix, contract);
            let address = address.map_err(|error| Failure::new(Status::Settings, error))?;
            writeln!(out, "Pool contract address: {address}")?;
        }
    }
    writeln!(
        out,
        "Each takes about {} of memory while it is made, and up to {} of space",
        bytes(plot.format.memory()),
        bytes(plot.format.file_size())
    )?;
    let from = settings.constants.hard_fork2_height;
    if matches!(plot.format, PlotFormat::V2(_)) && from >= NOT_SCHEDULED {
        writeln!(
            out,
            "{} does not farm v2 plots yet: from which height on is not decided",
            settings.network
        )?;
    }
    Ok(())
}

/// Makes one plot; a signal ends it without a trace.
async fn make(
    dir: &Path,
    plot: &NewPlot,
    (number, count): (u32, u32),
    signals: &mut Signals,
) -> Result<PathBuf, Failure> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        let seed =
            random_seed().map_err(|error| Failure::new(Status::Failed, format!("make a secret key: {error}")))?;
        let job = Arc::new(PlotJob::begin(dir, plot, &seed).map_err(not_made)?);
        let thousandths = Arc::new(AtomicU32::new(0));
        let (worker, done) = (Arc::clone(&job), Arc::clone(&thousandths));
        let mut working = tokio::task::spawn_blocking(move || {
            worker.run(&mut |share| {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "it is from 0 to 1000"
                )]
                done.store((share * 1000.0) as u32, Ordering::Relaxed);
            })
        });
        let mut progress = Progress::begin();
        let mut ticks = interval(TICK);
        let made = loop {
            tokio::select! {
                made = &mut working => break made,
                () = signals.next() => {
                    job.discard();
                    return Err(Failure::new(
                        Status::Failed,
                        format!("stopped: plot {number} of {count} was not made, and nothing of it is left"),
                    ));
                }
                _ = ticks.tick() => {
                    #[expect(clippy::cast_precision_loss, reason = "it is at most 1000")]
                    let share = thousandths.load(Ordering::Relaxed) as f32 / 1000.0;
                    // The v2 plotter does not say how far it is.
                    let share = matches!(plot.format, PlotFormat::V1 { .. }).then_some(share);
                    progress.show(share, &format!("plot {number} of {count}"));
                }
            }
        };
        drop(progress);
        match made.map_err(|error| Failure::new(Status::Failed, format!("make the plot: {error}")))? {
            Ok(path) => return Ok(path),
            Err(MakePlotError::Plotter(PlotterError::Unlucky { .. })) if attempt < ATTEMPTS => {}
            Err(error) => return Err(not_made(error)),
        }
    }
}

fn not_made(error: MakePlotError) -> Failure {
    let hint = match &error {
        MakePlotError::Processor { .. } => {
            Some("make it on a machine with an x86-64 processor since about 2010 or a 64-bit ARM with AES".to_owned())
        }
        MakePlotError::Write { .. } => Some("name a directory that you may write in with -d".to_owned()),
        _ => None,
    };
    Failure::new(Status::Failed, error).hint_if_any(hint)
}

/// The harvester of this root looks for the plots, as after the official command.
fn add_directory(context: &Context, dir: &Path) -> Result<(), Failure> {
    let mut editor = Editor::open(&context.root).map_err(not_changed)?;
    let edited = editor.add_plot_directory(dir).map_err(not_changed)?;
    editor.save().map_err(not_changed)?;
    if edited == Edited::Changed {
        writeln!(
            context.out(false),
            "Added {} to the plot directories of this root",
            safe(&dir.display().to_string())
        )?;
    }
    Ok(())
}

fn bytes(size: ByteSize) -> String {
    #[expect(clippy::cast_precision_loss, reason = "it is printed with four digits")]
    let bytes = size.0 as f64;
    chia_bytes(bytes)
}

/// Heights from here on stand for "not scheduled".
const NOT_SCHEDULED: Height = Height(u32::MAX - 100);

/// Between two looks at the progress.
const TICK: Duration = Duration::from_millis(200);

/// Plot ids that are tried; hardly one in thousands is unlucky.
const ATTEMPTS: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_only_harvests_is_not_told_to_import_keys() {
        let dir = tempfile::tempdir().unwrap();
        let context = Context::of_test_root(dir.path()).unwrap();
        let hint = || format!("{:?}", first_key(&context, "-f FARMER_PUBLIC_KEY").unwrap_err());
        assert!(hint().contains("`farmconsole keys import --mnemonic`"), "{}", hint());
        context.root.create_state_dir().unwrap();
        std::fs::write(context.root.membership_file(), "").unwrap();
        assert!(
            hint().contains("-f FARMER_PUBLIC_KEY") && !hint().contains("import"),
            "{}",
            hint()
        );
    }

    #[test]
    fn a_file_is_no_directory_for_plots_and_a_missing_one_is_made_later() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        let refused = format!("{:?}", refuse_file(&file).unwrap_err());
        assert!(refused.contains("is no directory: it is a file"), "{refused}");
        assert!(refuse_file(dir.path()).is_ok());
        assert!(refuse_file(&dir.path().join("missing")).is_ok());
    }
}
