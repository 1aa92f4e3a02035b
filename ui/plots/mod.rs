//! `farmconsole plots`: making plots, checking them, and the directories in which this root's harvester looks for them.

mod check;
mod create;
mod directories;
mod progress;
mod report;

use crate::args::PlotsCommand;
use crate::context::Context;
use crate::exit::Outcome;

/// Runs one of the commands.
pub(crate) async fn run(context: &Context, command: PlotsCommand) -> Outcome {
    match command {
        PlotsCommand::Create(create) => create::run(context, &create).await,
        PlotsCommand::Check(check) => check::run(context, check).await,
        PlotsCommand::Add { dir } => directories::add(context, &dir).await,
        PlotsCommand::Remove { dir } => directories::remove(context, &dir).await,
        PlotsCommand::Show { output } => directories::show(context, output.json).await,
    }
}
