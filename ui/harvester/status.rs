//! A harvester alone as `summary` and `alarms` print it.

use std::io::{self, Write};

use farmconsole::snapshot::{Concern, FarmerLinkState, MachineSnapshot, MachineStatus, VolumeState, VolumeView};
use serde::Serialize;

use crate::commands::Commands;
use crate::exit::{Ended, Failure};
use crate::format::{chia_bytes, plural, safe, span};
use crate::json::json_line;

/// Version of the JSON object. Fields are only added; a changed meaning raises it.
const VERSION: u32 = 1;

/// What `summary --json` prints.
#[derive(Serialize)]
struct SummaryJson<'a> {
    version: u32,
    role: &'static str,
    status: MachineStatus,
    concerns: Vec<Concern>,
    #[serde(flatten)]
    machine: &'a MachineSnapshot,
}

/// Prints what a harvester does, as text or as one JSON object.
pub(crate) fn summary(
    mut out: impl Write,
    machine: &MachineSnapshot,
    commands: &Commands,
    json: bool,
) -> Result<Ended, Failure> {
    if json {
        let summary = SummaryJson {
            version: VERSION,
            role: "harvester",
            status: machine.status(),
            concerns: machine.concerns(),
            machine,
        };
        serde_json::to_writer_pretty(&mut out, &summary).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        text(&mut out, machine, commands)?;
    }
    Ok(Ended::Fine)
}

/// Prints what is wrong with a harvester: exit status 1 if anything is.
pub(crate) fn alarms(
    mut out: impl Write,
    machine: &MachineSnapshot,
    commands: &Commands,
    json: bool,
) -> Result<Ended, Failure> {
    #[derive(Serialize)]
    struct Line<'a> {
        #[serde(flatten)]
        concern: &'a Concern,
        severity: farmconsole::snapshot::Severity,
        text: String,
        remedy: String,
    }
    let concerns = machine.concerns();
    for concern in &concerns {
        let (severity, text, remedy) = (concern.severity(), concern.to_string(), concern.remedy());
        if json {
            let line = Line {
                concern,
                severity,
                text,
                remedy,
            };
            writeln!(out, "{}", json_line(&line)?)?;
        } else {
            writeln!(out, "{}", safe(&text))?;
            writeln!(out, "         {}", safe(&commands.here(&remedy)))?;
        }
    }
    if concerns.is_empty() {
        if !json {
            writeln!(out, "no alarms")?;
        }
        return Ok(Ended::Fine);
    }
    Ok(Ended::SomethingWrong)
}

fn text(out: &mut impl Write, machine: &MachineSnapshot, commands: &Commands) -> io::Result<()> {
    let ago = |at: u64| span(machine.taken_at_unix_ms.saturating_sub(at) / 1000);
    let farmer = &machine.farmer;
    writeln!(out, "Harvester status: {}", machine.status().word())?;
    writeln!(out, "Network: {}", safe(&machine.network))?;
    let version = if farmer.software_version.is_empty() {
        String::new()
    } else {
        format!(
            ", {} ({})",
            safe(&farmer.software_version),
            safe(&farmer.protocol_version)
        )
    };
    writeln!(
        out,
        "Farmer: {}, {} for {}{version}",
        safe(&farmer.address),
        link_words(&farmer.state),
        ago(farmer.since_unix_ms)
    )?;
    writeln!(
        out,
        "Plot count: {}, {}",
        machine.counts.farmed,
        chia_bytes(machine.plot_bytes as f64)
    )?;
    if machine.counts.not_farmed() > 0 {
        let counts = machine.counts;
        let kinds = [
            (counts.failed, "failed"),
            (counts.no_key, "for other keys"),
            (counts.duplicates, "duplicate"),
            (counts.being_copied, "being copied"),
            (counts.too_compressed, "too compressed"),
        ];
        let kinds: Vec<_> = kinds
            .iter()
            .filter(|(n, _)| *n > 0)
            .map(|(n, what)| format!("{n} {what}"))
            .collect();
        writeln!(out, "Not farmed: {}", kinds.join(", "))?;
    }
    match machine.lookups.last() {
        Some(last) => writeln!(
            out,
            "Last signage point: {} ago, {}/{} plots passed the filter, {}, {}.{:02} s",
            ago(last.at_unix_ms),
            last.passed,
            last.total,
            plural(last.proofs, "proof"),
            last.took_us / 1_000_000,
            last.took_us / 10_000 % 100
        )?,
        None => writeln!(out, "Last signage point: none yet")?,
    }
    writeln!(
        out,
        "Proofs since start: {} (started {} ago)",
        machine.proofs,
        ago(machine.started_at_unix_ms)
    )?;
    for volume in &machine.volumes {
        writeln!(out, "Drive {}: {}", safe(&volume.name), drive(machine, volume))?;
    }
    for concern in machine.concerns() {
        writeln!(out, "Trouble: {}", safe(&concern.to_string()))?;
        writeln!(out, "hint: {}", safe(&commands.here(&concern.remedy())))?;
    }
    Ok(())
}

/// The link to the farmer in words.
pub(crate) fn link_words(state: &FarmerLinkState) -> String {
    match state {
        FarmerLinkState::Connecting => "connecting".to_owned(),
        FarmerLinkState::Failing { .. } => "not connected".to_owned(),
        FarmerLinkState::NoKeys => "connected, no keys yet".to_owned(),
        FarmerLinkState::Syncing { total: 0, .. } => "connected, looking for plots".to_owned(),
        FarmerLinkState::Syncing { told, total } => format!("connected, syncing plots {told}/{total}"),
        FarmerLinkState::Synced => "connected, it knows every plot".to_owned(),
    }
}

/// Whether damaged plots on a drive are a trouble of its harvester: the drive may answer as fast as any.
pub(crate) fn has_damaged_plots(machine: &MachineSnapshot, volume: &VolumeView) -> bool {
    let is_of_it = |concern: &Concern| matches!(concern, Concern::PlotsDamaged { drive, .. } if *drive == volume.name);
    volume.damaged > 0 && machine.concerns().iter().any(is_of_it)
}

/// The state of a drive in a word, with how long it lasts.
pub(crate) fn drive_words(machine: &MachineSnapshot, volume: &VolumeView, now_unix_ms: u64) -> String {
    let lasts = |since: u64| span(now_unix_ms.saturating_sub(since) / 1000);
    match volume.state {
        VolumeState::Fine if has_damaged_plots(machine, volume) => "damaged plots".to_owned(),
        VolumeState::Fine => "fine".to_owned(),
        VolumeState::Slow => "slow".to_owned(),
        VolumeState::Sick { since_unix_ms } => format!("sick for {}", lasts(since_unix_ms)),
        VolumeState::Gone { since_unix_ms } => format!("gone for {}", lasts(since_unix_ms)),
    }
}

fn drive(machine: &MachineSnapshot, volume: &VolumeView) -> String {
    let mut words = format!(
        "{}, {}, {}",
        drive_words(machine, volume, machine.taken_at_unix_ms),
        plural(volume.plots, "plot"),
        chia_bytes(volume.plot_bytes as f64)
    );
    for (count, what) in [(volume.errors, "error"), (volume.missed, "missed look-up")] {
        if count > 0 {
            words.push_str(&format!(", {}", plural(count, what)));
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use farmconsole::snapshot::{FarmerLinkView, FileCounts};

    use super::*;

    fn failing() -> MachineSnapshot {
        MachineSnapshot {
            network: "mainnet".to_owned(),
            taken_at_unix_ms: 100_000,
            farmer: FarmerLinkView {
                address: "10.0.0.1:8447".to_owned(),
                state: FarmerLinkState::Failing {
                    reason: "cannot connect to farmer 10.0.0.1:8447: its certificate is signed by another CA"
                        .to_owned(),
                    hint: "use the same CA".to_owned(),
                },
                since_unix_ms: 90_000,
                ..FarmerLinkView::default()
            },
            counts: FileCounts {
                farmed: 1,
                failed: 2,
                ..FileCounts::default()
            },
            ..MachineSnapshot::default()
        }
    }

    #[test]
    fn summary_says_what_is_wrong_and_what_to_do() {
        let mut out = Vec::new();
        summary(&mut out, &failing(), &Commands::default(), false).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r"
        Harvester status: NO FARMER
        Network: mainnet
        Farmer: 10.0.0.1:8447, not connected for 10 s
        Plot count: 1, 0.000 MiB
        Not farmed: 2 failed
        Last signage point: none yet
        Proofs since start: 0 (started 1 min ago)
        Trouble: cannot connect to farmer 10.0.0.1:8447: its certificate is signed by another CA
        hint: use the same CA
        Trouble: 2 files are not farmed
        hint: the console of this harvester (`farmconsole`) lists them, each with the reason
        ");
    }

    #[test]
    fn a_drive_with_damaged_plots_is_not_fine() {
        let mut machine = failing();
        machine.volumes = vec![VolumeView {
            name: "/".to_owned(),
            plots: 3,
            errors: 57,
            damaged: 57,
            last_damage: Some("read /p/a.plot: plot is damaged".to_owned()),
            last_damage_unix_ms: Some(90_000),
            ..VolumeView::default()
        }];
        let mut out = Vec::new();
        summary(&mut out, &machine, &Commands::default(), false).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.contains("Drive /: damaged plots, 3 plots, 0.000 MiB, 57 errors"),
            "{text}"
        );
    }

    #[test]
    fn alarms_are_one_object_a_line_and_a_status() {
        let mut out = Vec::new();
        let ended = alarms(&mut out, &failing(), &Commands::default(), true).unwrap();
        assert_eq!(ended, Ended::SomethingWrong);
        let lines = String::from_utf8(out).unwrap();
        let kinds: Vec<_> = lines
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["kind"].clone())
            .collect();
        assert_eq!(kinds, ["no_farmer", "not_farmed"]);
        let fine = MachineSnapshot::default();
        assert_eq!(
            alarms(Vec::new(), &fine, &Commands::default(), false).unwrap(),
            Ended::Fine
        );
    }
}
