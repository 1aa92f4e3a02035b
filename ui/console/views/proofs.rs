//! Screen 4: every proof and how far it got, and how long each step took.

use farmconsole::snapshot::{ProofStage, ProofView};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::super::hit::{Hit, Target};
use super::super::model::Model;
use super::super::order::SortBy;
use super::super::screen::Screen;
use super::super::tone::Tone;
use super::super::widgets::pane::{pane, pane_with, title};
use super::super::widgets::table::{Column, Rows, plain, table};
use super::super::widgets::text::span;
use super::{draw_text, fact_lines, list_title, longest, put_nothing};
use crate::format::grouped;

/// Draws it: the list, and the selected (or newest) proof in full.
pub(in super::super) fn draw(model: &Model, area: Rect, buffer: &mut Buffer) -> Vec<Hit> {
    let theme = model.theme;
    let order = model.orders.of(Screen::Proofs);
    let rows = model.proofs();
    let selected = rows.iter().position(|p| Some(p.number) == model.selection.proof);
    let detail = match area.height {
        _ if rows.is_empty() => 0,
        18.. => 10,
        15.. => 8,
        _ => 0,
    };
    let list = Rect {
        height: area.height - detail,
        ..area
    };
    let wins = &model.shown().wins;
    let sums = format!(
        "{} since start · {} invalid · {} lost",
        grouped(wins.proofs),
        wins.invalid,
        wins.lost
    );
    let sums = Line::from(span(theme.plain(sums), theme.style(Tone::Dim)));
    let name = list_title(model, "Proofs", rows.len(), model.shown().proofs.len());
    let inner = pane_with(buffer, list, theme, name, sums);
    if rows.is_empty() {
        put_nothing(model, buffer, inner, "no proof yet: most signage points have none");
        return Vec::new();
    }
    let names = longest(rows.iter().map(|proof| model.name(&proof.harvester_name)));
    let columns = [
        Column::new("time", 11, 0).sorts(SortBy::Natural, order),
        Column::new("harvester", 12, 0)
            .keeps_both_ends()
            .up_to(names)
            .sorts(SortBy::Name, order),
        Column::new("SP", 2, 6).right(),
        Column::new("state", 36, 0).grows().sorts(SortBy::State, order),
        Column::new("verified", 9, 1).right(),
        Column::new("signed", 9, 2).right(),
        Column::new("declared", 9, 3).right(),
        Column::new("in a block", 10, 4).right(),
    ];
    let room = Rect {
        x: inner.x + 1,
        width: inner.width.saturating_sub(2),
        ..inner
    };
    let shown = Rows {
        count: rows.len(),
        selected,
        follows_end: false,
        row: |n: usize| row(model, rows[n]),
    };
    let places = table(buffer, room, theme, &columns, &shown);
    if detail > 0
        && let Some(proof) = selected.map_or_else(|| rows.first(), |n| rows.get(n))
    {
        in_full(
            model,
            proof,
            Rect {
                y: list.bottom(),
                height: detail,
                ..list
            },
            buffer,
        );
    }
    places.hits(|n| Some(Target::Proof(rows.get(n)?.number)))
}

fn row(model: &Model, proof: &ProofView) -> Vec<Line<'static>> {
    let theme = model.theme;
    let dim = theme.style(Tone::Dim);
    let (words, tone) = stage(model, &proof.stage);
    let step = |ms: Option<u32>| match ms {
        Some(ms) => plain(format!("+{} ms", grouped(u64::from(ms))), theme.style(Tone::Plain)),
        None => plain(theme.none(), dim),
    };
    vec![
        plain(model.zone.when(proof.found_at_unix_ms, model.shown_at_unix_ms()), dim),
        plain(model.name(&proof.harvester_name), theme.style(Tone::Plain)),
        plain(proof.signage_point_index.to_string(), dim),
        plain(format!("{} {words}", theme.sign(tone)), theme.style(tone)),
        step(proof.verified_after_ms),
        step(proof.signed_after_ms),
        step(proof.declared_after_ms),
        step(proof.block_signed_after_ms),
    ]
}

fn stage(model: &Model, stage: &ProofStage) -> (String, Tone) {
    let simulated = if model.shown().simulated { "SIMULATED " } else { "" };
    match stage {
        ProofStage::Found => ("found, being verified".to_owned(), Tone::Accent),
        ProofStage::NotGoodEnough => ("valid, not good enough for a block".to_owned(), Tone::Dim),
        ProofStage::Invalid { reason } => (format!("invalid: {}", model.outside(reason)), Tone::Bad),
        ProofStage::Verified => ("verified, being signed".to_owned(), Tone::Accent),
        ProofStage::Declared => ("declared to the node".to_owned(), Tone::Good),
        ProofStage::BlockSigned => ("block signed".to_owned(), Tone::Win),
        ProofStage::BlockAccepted { height } => (
            format!("{simulated}block {} won", grouped(u64::from(*height))),
            Tone::Win,
        ),
        ProofStage::Lost { reason } => (format!("lost: {}", model.outside(reason)), Tone::Bad),
    }
}

/// What happened when: from the signage point to found, and from found to every later step.
fn steps(proof: &ProofView) -> String {
    let steps = [
        (proof.verified_after_ms, "verified"),
        (proof.signed_after_ms, "signed"),
        (proof.declared_after_ms, "declared"),
        (proof.block_asked_after_ms, "asked for the block"),
        (proof.block_signed_after_ms, "block signed"),
    ];
    let found = proof
        .found_after_ms
        .map(|ms| format!("found {} ms after the signage point", grouped(u64::from(ms))));
    let later = steps
        .into_iter()
        .filter_map(|(ms, what)| Some(format!("{what} +{}", grouped(u64::from(ms?)))));
    found.into_iter().chain(later).collect::<Vec<_>>().join(", ")
}

fn in_full(model: &Model, proof: &ProofView, area: Rect, buffer: &mut Buffer) {
    let inner = pane(
        buffer,
        area,
        model.theme,
        title(model.theme, format!("Proof {}", proof.number)),
    );
    draw_text(model.theme, &lines(model, proof, inner.width), 0, inner, buffer);
}

/// The selected (or newest) proof in full, with its title, for a text over the screen.
pub(super) fn full(model: &Model, columns: u16) -> Option<(String, Vec<Line<'static>>)> {
    let rows = model.proofs();
    let selected = rows.iter().find(|it| Some(it.number) == model.selection.proof);
    let proof = selected.or_else(|| rows.first())?;
    Some((format!("Proof {}", proof.number), lines(model, proof, columns)))
}

fn lines(model: &Model, proof: &ProofView, columns: u16) -> Vec<Line<'static>> {
    let (words, tone) = stage(model, &proof.stage);
    let quality = proof.quality.map_or_else(
        || "not known before it is verified".to_owned(),
        |q| model.secret(&q.to_string()),
    );
    let found = model.zone.date_time(proof.found_at_unix_ms);
    let from = format!(
        "{} for signage point {}",
        model.name(&proof.harvester_name),
        proof.signage_point_index
    );
    let facts = vec![
        ("state", words, tone),
        ("steps", model.theme.plain(steps(proof)), Tone::Plain),
        ("plot file", model.secret(&proof.plot_file), Tone::Plain),
        ("plot id", model.secret(&proof.plot_id.to_string()), Tone::Plain),
        ("quality", quality, Tone::Plain),
        ("found", format!("{found} by {from}"), Tone::Plain),
    ];
    fact_lines(model.theme, facts, 10, columns)
}
