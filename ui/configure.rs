//! `farmconsole configure`: changes settings in their file, and the log level of a running farmer at once.

use std::io::Write;

use farmconsole::config::HostPort;
use farmconsole::config::edit::{EditError, Editor, Outcome as Edited};
use farmconsole::control::{Ask, ControlClient, ControlError};
use farmconsole::ids::PuzzleHash;
use farmconsole::keys::address;
use farmconsole::logging::LogLevel;

use crate::args::Configure;
use crate::context::Context;
use crate::errors::not_changed;
use crate::exit::{Ended, Failure, Outcome, Status};
use crate::keys::signed_for_another;
use crate::out::Out;

/// Runs the command.
pub(crate) async fn run(context: &Context, changes: &Configure) -> Outcome {
    let level = changes.log_level.as_deref().map(log_level).transpose()?;
    let farmer = changes.set_farmer_peer.as_deref().map(peer).transpose()?;
    let full_node = changes.set_fullnode_peer.as_deref().map(peer).transpose()?;
    let farmer_reward = changes.set_farmer_reward.as_deref();
    let pool_reward = changes.set_pool_reward.as_deref();
    let pool_puzzle_hash = check_rewards(context, farmer_reward, pool_reward)?;
    let mut editor = Editor::open(&context.root).map_err(not_changed)?;
    let mut said = Vec::new();
    if let Some(level) = level {
        note(editor.set_log_level(level), &mut said, "Logging level updated")?;
    }
    if let Some(peer) = &farmer {
        let text = "Farmer peer updated, make sure your harvester has the proper cert installed";
        note(editor.set_only_farmer(peer), &mut said, text)?;
    }
    if let Some(peer) = &full_node {
        note(editor.set_full_node_peer(peer), &mut said, "Full node peer updated")?;
    }
    if let Some(address) = farmer_reward {
        let text = "Farmer reward address updated";
        note(editor.set_farmer_target(address.trim()), &mut said, text)?;
    }
    if let Some(address) = pool_reward {
        note(
            editor.set_pool_target(address.trim()),
            &mut said,
            "Pool reward address updated",
        )?;
    }
    editor.save().map_err(not_changed)?;
    let mut restart = farmer.is_some() || full_node.is_some() || farmer_reward.is_some() || pool_reward.is_some();
    if let Some(level) = level {
        restart |= !set_running_level(context, level).await?;
    }
    let mut out = Out::for_people();
    for line in &said {
        writeln!(out, "{line}")?;
    }
    if said.is_empty() {
        writeln!(out, "nothing to change: the settings say so already")?;
    } else if restart {
        writeln!(out, "Restart a running farmconsole for changes to take effect")?;
    }
    // A root without keys has none that signed for the old address.
    if let (Some(_), Ok(reports)) = (pool_puzzle_hash, farmconsole::keys::show(&context.root.keys_file())) {
        for line in signed_for_another(&reports, pool_puzzle_hash) {
            writeln!(out, "{line}")?;
        }
    }
    Ok(Ended::Fine)
}

/// Refuses what is no address of this network; the puzzle hash of the pool's.
fn check_rewards(context: &Context, farmer: Option<&str>, pool: Option<&str>) -> Result<Option<PuzzleHash>, Failure> {
    if farmer.is_none() && pool.is_none() {
        return Ok(None);
    }
    let prefix = context.settings()?.address_prefix;
    let decode = |given: Option<&str>| {
        let decoded = given.map(|text| address::decode(&prefix, text)).transpose();
        decoded.map_err(|e| Failure::new(Status::Usage, e))
    };
    decode(farmer)?;
    decode(pool)
}

/// Remembers what was changed.
fn note(edited: Result<Edited, EditError>, said: &mut Vec<&'static str>, text: &'static str) -> Result<(), Failure> {
    if edited.map_err(not_changed)? == Edited::Changed {
        said.push(text);
    }
    Ok(())
}

/// Changes the level of a running farmer; says whether nobody has to restart anything.
async fn set_running_level(context: &Context, level: LogLevel) -> Result<bool, Failure> {
    let mut client = match ControlClient::connect(&context.root.control_socket()).await {
        Ok(client) => client,
        Err(ControlError::NotRunning { .. }) => return Ok(true),
        // One runs that cannot be told: it takes the level when it is started again.
        Err(_) => return Ok(false),
    };
    let changed = client
        .ask(Ask::SetLogLevel {
            level: level.word().to_owned(),
        })
        .await;
    changed.map(|_| true).map_err(crate::context::not_attached)
}

/// A level as the official command takes it.
fn log_level(text: &str) -> Result<LogLevel, Failure> {
    text.parse().map_err(|e| Failure::new(Status::Usage, e))
}

fn peer(text: &str) -> Result<HostPort, Failure> {
    text.parse().map_err(|e| Failure::new(Status::Usage, e))
}
