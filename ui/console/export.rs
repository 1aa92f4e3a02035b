//! The visible table as a file: CSV or JSON, by the ending of its name. What privacy hides on the screen is hidden here
//! too; control characters are escaped.

use farmconsole::snapshot::page::{FileView, Page};
use farmconsole::snapshot::{AttemptOutcome, ProofStage};
use serde_json::{Map, Value};

use super::files::Files;
use super::model::Model;
use super::screen::Screen;
use crate::format::safe;

/// How a table is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Titles, then a line for each row.
    Csv,
    /// An object for each row, one a line.
    Json,
}

impl Format {
    /// What the ending of a file's name asks for.
    pub(super) fn of_name(name: &str) -> Option<Self> {
        let (_, ending) = name.rsplit_once('.')?;
        match ending.to_ascii_lowercase().as_str() {
            "csv" => Some(Self::Csv),
            "json" | "jsonl" | "ndjson" => Some(Self::Json),
            _ => None,
        }
    }
}

/// Rows under titles.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Table {
    titles: &'static [&'static str],
    rows: Vec<Vec<Value>>,
}

/// What of a picture may be told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Discretion {
    /// `None` tells everything.
    hides: Option<super::privacy::Names>,
}

impl Discretion {
    /// As the screen is drawn.
    pub(super) fn of(model: &Model) -> Self {
        Self {
            hides: model.privacy.then(|| model.names.clone()),
        }
    }

    fn text(&self, text: &str) -> Value {
        let text = safe(text);
        match &self.hides {
            Some(names) => names.hide(&text, HIDDEN).into(),
            None => text.into(),
        }
    }

    fn name(&self, name: &str) -> Value {
        match &self.hides {
            Some(names) => names.alias(name).unwrap_or(HIDDEN).into(),
            None => safe(name).into(),
        }
    }

    fn secret(&self, text: &str) -> Value {
        match &self.hides {
            Some(_) => HIDDEN.into(),
            None => safe(text).into(),
        }
    }
}

const HIDDEN: &str = "***";

impl Table {
    /// How many rows.
    pub(super) const fn rows(&self) -> usize {
        self.rows.len()
    }

    /// The table that is on screen; of the lists of files, what is here of them.
    pub(super) fn visible(model: &Model) -> Self {
        let tell = Discretion::of(model);
        match model.screen {
            Screen::Farm => attempts(model, &tell),
            Screen::Harvesters if model.details.is_none() => harvesters(model, &tell),
            Screen::Harvesters | Screen::Plots => match model.file_list().map(|list| &list.files) {
                Some(Files::Ready { page, .. }) => Self::of_page(page, &tell),
                _ => Self::of_page(&Page::default(), &tell),
            },
            Screen::Proofs => proofs(model, &tell),
            Screen::Pools => pools(model, &tell),
            Screen::Messages => messages(model, &tell),
            Screen::Alarms => alarms(model, &tell),
        }
    }

    /// A page of files, or of the drives they are on.
    pub(super) fn of_page(page: &Page, tell: &Discretion) -> Self {
        if page.directories.is_empty() {
            return Self {
                titles: FILE_TITLES,
                rows: page.items.iter().map(|item| file(item, tell)).collect(),
            };
        }
        let rows = page.directories.iter().map(|it| {
            vec![
                tell.name(&it.harvester_name),
                tell.secret(&it.directory),
                it.files.into(),
                it.bytes.into(),
            ]
        });
        Self {
            titles: &["harvester", "directory", "files", "bytes"],
            rows: rows.collect(),
        }
    }

    /// The text of the file; without its titles where it goes on after an earlier part.
    pub(super) fn text(&self, format: Format, part: Part) -> String {
        let mut out = String::new();
        if format == Format::Csv && part == Part::First {
            out.push_str(&self.titles.join(","));
            out.push_str("\r\n");
        }
        for row in &self.rows {
            match format {
                Format::Csv => {
                    let cells: Vec<_> = row.iter().map(csv_cell).collect();
                    out.push_str(&cells.join(","));
                    out.push_str("\r\n");
                }
                Format::Json => {
                    let object: Map<String, Value> = self
                        .titles
                        .iter()
                        .zip(row)
                        .map(|(title, value)| ((*title).to_owned(), value.clone()))
                        .collect();
                    out.push_str(&Value::Object(object).to_string());
                    out.push('\n');
                }
            }
        }
        out
    }
}

/// Which part of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    First,
    Later,
}

fn attempts(model: &Model, tell: &Discretion) -> Table {
    let row = |a: &&farmconsole::snapshot::AttemptView| {
        let (passed, total, proofs, lookup, round_trip) = match a.outcome {
            AttemptOutcome::Answered {
                passed,
                total,
                proofs,
                lookup_ms,
                round_trip_ms,
            } => (Some(passed), total, Some(proofs), Some(lookup_ms), Some(round_trip_ms)),
            AttemptOutcome::NoAnswer { total, .. } => (None, total, None, None, None),
        };
        vec![
            model.zone.date_time(a.at_unix_ms).into(),
            tell.name(&a.harvester_name),
            a.signage_point_index.into(),
            passed.into(),
            total.into(),
            proofs.into(),
            lookup.into(),
            round_trip.into(),
        ]
    };
    Table {
        titles: &[
            "time",
            "harvester",
            "signage_point_index",
            "passed",
            "total",
            "proofs",
            "lookup_ms",
            "round_trip_ms",
        ],
        rows: model.attempts().iter().map(row).collect(),
    }
}

fn harvesters(model: &Model, tell: &Discretion) -> Table {
    let row = |h: &&farmconsole::snapshot::HarvesterView| {
        vec![
            tell.name(&h.name),
            h.state_words().into(),
            tell.secret(&h.host),
            tell.secret(&h.peer_id.to_string()),
            tell.text(&h.software_version),
            tell.text(&h.protocol_version),
            h.plots.into(),
            h.plot_bytes.into(),
            h.failed.into(),
            h.no_key.into(),
            h.duplicates.into(),
            h.shared_plots.into(),
            h.answered.into(),
            h.answered_late.into(),
            h.unanswered.into(),
            h.lookup_p50_ms.into(),
            h.lookup_p95_ms.into(),
            h.lookup_max_ms.into(),
        ]
    };
    Table {
        titles: &[
            "name",
            "state",
            "address",
            "certificate",
            "software",
            "protocol",
            "plots",
            "bytes",
            "failed",
            "no_key",
            "duplicates",
            "farmed_twice",
            "answered",
            "answered_late",
            "unanswered",
            "lookup_p50_ms",
            "lookup_p95_ms",
            "lookup_max_ms",
        ],
        rows: model.harvesters().iter().map(row).collect(),
    }
}

fn proofs(model: &Model, tell: &Discretion) -> Table {
    let row = |p: &&farmconsole::snapshot::ProofView| {
        let (stage, reason) = match &p.stage {
            ProofStage::Found => ("found", Value::Null),
            ProofStage::NotGoodEnough => ("not_good_enough", Value::Null),
            ProofStage::Invalid { reason } => ("invalid", tell.text(reason)),
            ProofStage::Verified => ("verified", Value::Null),
            ProofStage::Declared => ("declared", Value::Null),
            ProofStage::BlockSigned => ("block_signed", Value::Null),
            ProofStage::BlockAccepted { height } => ("block_accepted", (*height).into()),
            ProofStage::Lost { reason } => ("lost", tell.text(reason)),
        };
        vec![
            model.zone.date_time(p.found_at_unix_ms).into(),
            tell.name(&p.harvester_name),
            p.signage_point_index.into(),
            stage.into(),
            reason,
            tell.secret(&p.plot_file),
            tell.secret(&p.plot_id.to_string()),
            p.found_after_ms.into(),
            p.verified_after_ms.into(),
            p.signed_after_ms.into(),
            p.declared_after_ms.into(),
            p.block_signed_after_ms.into(),
        ]
    };
    Table {
        titles: &[
            "time",
            "harvester",
            "signage_point_index",
            "stage",
            "detail",
            "plot_file",
            "plot_id",
            "found_after_ms",
            "verified_after_ms",
            "signed_after_ms",
            "declared_after_ms",
            "block_signed_after_ms",
        ],
        rows: model.proofs().iter().map(row).collect(),
    }
}

fn pools(model: &Model, tell: &Discretion) -> Table {
    let row = |p: &&farmconsole::snapshot::PoolView| {
        let mut cells = vec![
            tell.secret(&p.label()),
            tell.secret(&p.launcher_id.to_string()),
            tell.text(&p.state.to_string()),
            p.difficulty.into(),
            p.points_found_24h.into(),
            p.points_acknowledged_24h.into(),
            p.plots.into(),
            p.expected_partials_24h.into(),
        ];
        cells.extend(p.partials_24h.each().map(|(_, count)| Value::from(count)));
        cells
    };
    Table {
        titles: &[
            "pool",
            "launcher_id",
            "state",
            "difficulty",
            "points_found_24h",
            "points_acknowledged_24h",
            "plots",
            "expected_partials_24h",
            "accepted_24h",
            "stale_24h",
            "late_24h",
            "insufficient_24h",
            "invalid_24h",
            "failed_24h",
            "missing_24h",
        ],
        rows: model.pools().iter().map(row).collect(),
    }
}

fn messages(model: &Model, tell: &Discretion) -> Table {
    let rows = model.entries().map(|entry| {
        vec![
            model.zone.date_time(entry.at_unix_ms).into(),
            entry.level().word().into(),
            tell.text(&entry.text()),
        ]
    });
    Table {
        titles: &["time", "level", "text"],
        rows: rows.collect(),
    }
}

fn alarms(model: &Model, tell: &Discretion) -> Table {
    let row = |a: &&farmconsole::snapshot::AlarmView| {
        let severity = match a.severity {
            farmconsole::snapshot::Severity::Critical => "critical",
            farmconsole::snapshot::Severity::Warning => "warning",
        };
        vec![
            a.number.into(),
            severity.into(),
            model.zone.date_time(a.opened_at_unix_ms).into(),
            a.closed_at_unix_ms
                .map_or(Value::Null, |at| model.zone.date_time(at).into()),
            a.acknowledged.into(),
            tell.text(&a.text),
            tell.text(&a.remedy),
        ]
    };
    Table {
        titles: &[
            "number",
            "severity",
            "opened",
            "closed",
            "acknowledged",
            "text",
            "remedy",
        ],
        rows: model.alarms().iter().map(row).collect(),
    }
}

const FILE_TITLES: &[&str] = &[
    "harvester",
    "file",
    "plot_id",
    "size",
    "compression_level",
    "bytes",
    "modified_unix_s",
    "contract",
    "lost_at_unix_ms",
];

fn file(item: &FileView, tell: &Discretion) -> Vec<Value> {
    let plot = item.plot.as_ref();
    let plot_id = plot.map(|p| p.plot_id).or(item.lost_plot_id);
    vec![
        tell.name(&item.harvester_name),
        tell.secret(&item.filename),
        plot_id.map_or(Value::Null, |id| tell.secret(&id.to_string())),
        plot.map_or(Value::Null, |p| tell.text(&p.size)),
        plot.map(|p| p.compression_level).into(),
        plot.map(|p| p.file_size).into(),
        plot.map(|p| p.time_modified_unix_s).into(),
        plot.and_then(|p| p.contract.as_ref())
            .map_or(Value::Null, |contract| tell.secret(contract)),
        item.lost_at_unix_ms.into(),
    ]
}

/// A text that a spreadsheet would take for a formula is marked as text.
fn csv_cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => {
            let text = if text.starts_with(['=', '+', '-', '@']) {
                format!("'{text}")
            } else {
                text.clone()
            };
            if text.contains([',', '"', '\r', '\n']) {
                format!("\"{}\"", text.replace('"', "\"\""))
            } else {
                text
            }
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    fn harvesters_of(name: &str, private: bool) -> Table {
        let mut farm = samples::one();
        farm.harvesters[0].name = name.to_owned();
        let mut model = samples::model(farm, 120, 36);
        model.screen = Screen::Harvesters;
        if private {
            model.privacy = true;
            model.names = super::super::privacy::Names::of(&model.snapshot.harvesters);
        }
        Table::visible(&model)
    }

    #[test]
    fn cells_keep_to_their_columns_and_are_no_formulas() {
        let text = harvesters_of("=1+1, \"a\"\u{1b}[31m", false).text(Format::Csv, Part::First);
        let mut lines = text.split("\r\n");
        assert!(lines.next().unwrap().starts_with("name,state,address,"));
        let row = lines.next().unwrap();
        assert!(row.starts_with("\"'=1+1, \"\"a\"\"\\u{1b}[31m\",farming,"), "{row}");
        let titles = harvesters_of("a", false).titles.len();
        assert_eq!(row.replace("1, ", "").split(',').count(), titles);
    }

    #[test]
    fn rows_are_objects_and_private_ones_name_nobody() {
        let text = harvesters_of("barn-3", true).text(Format::Json, Part::Later);
        let row: Value = serde_json::from_str(text.trim()).unwrap();
        assert_eq!((&row["name"], &row["address"]), (&"harvester 0".into(), &"***".into()));
        assert_eq!(row["plots"], 864);
    }

    #[test]
    fn endings_say_how_it_is_written() {
        for (name, format) in [
            ("a.csv", Some(Format::Csv)),
            ("a.b.JSON", Some(Format::Json)),
            ("csv", None),
            ("a.txt", None),
        ] {
            assert_eq!(Format::of_name(name), format, "{name}");
        }
    }
}
