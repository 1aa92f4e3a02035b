//! `farmconsole harvester list`: the fleet, one line a machine, and the files that are not farmed.

use std::io::Write;
use std::time::Duration;

use farmconsole::control::Ask;
use farmconsole::snapshot::page::{ListKind, PAGE_LIMIT, PageRequest};
use farmconsole::snapshot::{FarmSnapshot, HarvesterView};

use crate::context::{Attached, Context};
use crate::exit::{Ended, Failure, Outcome};
use crate::format::{chia_bytes, lookup_time, plural, safe, span};
use crate::json::json_line;

/// Which lists of files are wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Files {
    /// That could not be opened.
    pub(crate) failed: bool,
    /// Made for other keys.
    pub(crate) no_key: bool,
    /// Duplicates.
    pub(crate) duplicates: bool,
}

/// How long the answers to a refresh are waited for.
const REFRESH_PATIENCE: Duration = Duration::from_secs(60);

/// Runs the command. With `refresh`, the exit status says whether every harvester agrees with what was synced.
pub(crate) async fn list(context: &Context, refresh: bool, files: Files, json: bool) -> Outcome {
    let mut attached = context.attach().await?;
    let snapshot = if refresh {
        refreshed(&mut attached).await?
    } else {
        attached.snapshot().await?
    };
    let kinds = [
        (files.failed, ListKind::Failed),
        (files.no_key, ListKind::NoKey),
        (files.duplicates, ListKind::Duplicates),
    ];
    let kinds: Vec<_> = kinds
        .into_iter()
        .filter_map(|(wanted, kind)| wanted.then_some(kind))
        .collect();
    if !kinds.is_empty() {
        for kind in kinds {
            print_files(context, &mut attached, kind, json).await?;
        }
        return Ok(Ended::Fine);
    }
    let mut out = context.out(json);
    let widths = widths(&snapshot.harvesters);
    for harvester in &snapshot.harvesters {
        if json {
            writeln!(out, "{}", json_line(harvester)?)?;
        } else {
            writeln!(out, "{}", line(harvester, widths, snapshot.taken_at_unix_ms))?;
        }
    }
    if snapshot.harvesters.is_empty() && !json {
        let how = context.commands.here(super::HOW_TO_HAVE_ONE);
        writeln!(out, "no harvester has connected yet: {how}")?;
    }
    let differs = |h: &&HarvesterView| h.cross_check.as_ref().is_some_and(|c| c.missing + c.unexpected > 0);
    let wrong = refresh
        && snapshot
            .harvesters
            .iter()
            .any(|h| differs(&h) || (h.is_connected() && h.cross_check.is_none()));
    Ok(if wrong { Ended::SomethingWrong } else { Ended::Fine })
}

/// Asks every connected harvester for its plots and waits until all have answered.
async fn refreshed(attached: &mut Attached) -> Result<FarmSnapshot, Failure> {
    let before = attached.snapshot().await?.taken_at_unix_ms;
    attached.ask(Ask::Refresh { harvester: None }).await?;
    let deadline = tokio::time::Instant::now() + REFRESH_PATIENCE;
    loop {
        let snapshot = attached.snapshot().await?;
        let waiting = snapshot
            .harvesters
            .iter()
            .any(|h| h.is_connected() && h.cross_check.as_ref().is_none_or(|c| c.at_unix_ms < before));
        if !waiting || tokio::time::Instant::now() > deadline {
            return Ok(snapshot);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn print_files(context: &Context, attached: &mut Attached, list: ListKind, json: bool) -> Result<(), Failure> {
    let mut offset = 0;
    loop {
        let request = PageRequest {
            offset,
            ..PageRequest::first(None, list, PAGE_LIMIT)
        };
        let page = attached.page(request).await?;
        let mut out = context.out(json);
        for item in &page.items {
            if json {
                writeln!(out, "{}", json_line(item)?)?;
            } else {
                writeln!(out, "{}: {}", safe(&item.harvester_name), safe(&item.filename))?;
            }
        }
        if page.total == 0 && !json {
            writeln!(out, "no {}", what(list))?;
        }
        offset += page.items.len() as u64;
        if page.items.is_empty() || offset >= page.total {
            return Ok(());
        }
    }
}

fn what(list: ListKind) -> &'static str {
    match list {
        ListKind::Failed => "file that could not be opened",
        ListKind::NoKey => "plot made for other keys",
        ListKind::Shared => "plot that is farmed twice",
        ListKind::Lost => "lost plot",
        ListKind::Duplicates => "duplicate file",
        ListKind::Plots => "plot",
    }
}

/// The first columns of a row: name, state, version.
fn columns(harvester: &HarvesterView) -> [String; 3] {
    [
        safe(&harvester.name),
        harvester.state_words(),
        safe(&harvester.software()),
    ]
}

/// Characters that the longest of each of these columns takes.
fn widths(harvesters: &[HarvesterView]) -> [usize; 3] {
    let mut widths = [20, 24, 22];
    for harvester in harvesters {
        for (width, text) in widths.iter_mut().zip(columns(harvester)) {
            *width = text.chars().count().max(*width);
        }
    }
    widths
}

fn line(harvester: &HarvesterView, widths: [usize; 3], now_unix_ms: u64) -> String {
    let ago = |at: u64| span(now_unix_ms.saturating_sub(at) / 1000);
    let answer = harvester.last_answer.as_ref().map_or_else(
        || "no answer yet".to_owned(),
        |a| {
            format!(
                "{}/{} {} ago, {}",
                a.passed,
                a.total,
                ago(a.at_unix_ms),
                lookup_time(a.lookup_ms)
            )
        },
    );
    let ([name, state, version], [names, states, versions]) = (columns(harvester), widths);
    let mut text = format!(
        "{name:<names$} {state:<states$} {version:<versions$} {:>12} {:>12}  {answer}",
        plural(harvester.plots, "plot"),
        harvester
            .plot_size()
            .map_or_else(|| "?".to_owned(), |size| chia_bytes(size as f64)),
    );
    for (count, what) in [
        (harvester.failed, "failed"),
        (harvester.no_key, "no-key"),
        (harvester.duplicates, "duplicate"),
    ] {
        if count > 0 {
            text.push_str(&format!("  {count} {what}"));
        }
    }
    if let Some(check) = &harvester.cross_check {
        text.push_str(&format!(
            "  listed {} ({} missing, {} unexpected)",
            check.listed, check.missing, check.unexpected
        ));
    }
    text
}
