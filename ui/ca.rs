//! `farmconsole ca`: from Chia's private CA to the farm's own authorities, and from those to new ones.

use std::io::{self, Write};

use farmconsole::config::LegacyCa;
use farmconsole::config::edit::Editor;
use farmconsole::control::FleetAsk;

use crate::args::CaCommand;
use crate::configure::not_changed;
use crate::context::Context;
use crate::exit::{Failure, Outcome, Status};
use crate::harvester::fleet::{is_legacy, order, view};

/// Runs the command.
pub(crate) async fn run(context: &Context, command: CaCommand) -> Outcome {
    match command {
        CaCommand::Harden { force } => harden(context, force).await,
        CaCommand::Rotate { finish: false } => {
            order(
                context,
                FleetAsk::Rotate,
                "the farm has new authorities; the old ones count until `farmconsole ca rotate --finish`. Harvesters of \
                 farmconsole follow within a day, official ones have to join again: see `farmconsole harvester members`",
            )
            .await
        }
        CaCommand::Rotate { finish: true } => {
            order(context, FleetAsk::FinishRotation, "the old authorities count no more").await
        }
    }
}

/// Chia's private CA counts no more: in the settings, and at once.
async fn harden(context: &Context, force: bool) -> Outcome {
    let mut attached = context.attach().await?;
    let fleet = view(&mut attached).await?;
    let legacy: Vec<_> = fleet.members.iter().filter(|it| is_legacy(it)).collect();
    if !legacy.is_empty() && !force {
        let names: Vec<_> = legacy.iter().take(8).map(|it| it.shown()).collect();
        let more = if legacy.len() > names.len() { ", …" } else { "" };
        return Err(Failure::new(
            Status::Failed,
            format!(
                "these have certificates of Chia's private CA and would be cut off: {}{more}",
                names.join(", ")
            ),
        )
        .hint("invite each (`farmconsole harvester invite NAME`) and revoke what is gone; `--force` does not wait"));
    }
    let mut editor = Editor::open(&context.root).map_err(not_changed)?;
    editor.set_legacy_ca("off").map_err(not_changed)?;
    editor.save().map_err(not_changed)?;
    let off = FleetAsk::SetLegacy { legacy: LegacyCa::Off };
    let done = order(
        context,
        off,
        "certificates of Chia's private CA count no more: legacy_ca is",
    )
    .await?;
    writeln!(
        io::stdout().lock(),
        "`farmconsole security audit` says where copies of its key still lie"
    )?;
    Ok(done)
}
