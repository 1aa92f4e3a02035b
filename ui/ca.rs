//! `farmconsole ca`: from Chia's private CA to the farm's own authorities, from those to new ones, and a passphrase for
//! their keys.

use std::io::Write;
use std::path::Path;

use farmconsole::config::LegacyCa;
use farmconsole::config::edit::Editor;
use farmconsole::handle::{FleetAsk, SecretText};
use farmconsole::keys::Passphrase;
use farmconsole::tls::{CaKeyState, CaKeys, TlsError};

use crate::args::CaCommand;
use crate::context::Context;
use crate::errors::not_changed;
use crate::exit::{Ended, Failure, Outcome, Status};
use crate::harvester::fleet::{is_legacy, order, view};
use crate::out::Out;
use crate::secrets::{ca_passphrase, new_passphrase};

/// Runs the command.
pub(crate) async fn run(context: &Context, command: CaCommand) -> Outcome {
    match command {
        CaCommand::Protect { new_passphrase_file } => protect(context, new_passphrase_file.as_deref()),
        CaCommand::Unprotect => unprotect(context),
        CaCommand::Unlock => unlock(context).await,
        CaCommand::Harden { force } => harden(context, force).await,
        CaCommand::Rotate { finish: false, .. } => {
            order(
                context,
                FleetAsk::Rotate,
                "the farm has new authorities; the old ones count until `farmconsole ca rotate --finish`. Harvesters of \
                 farmconsole follow within six hours, official ones have to join again: `farmconsole harvester doctor` names who has not",
            )
            .await
        }
        CaCommand::Rotate { finish: true, force } => finish_rotation(context, force).await,
    }
}

/// The old authorities count no more, once nobody needs them.
async fn finish_rotation(context: &Context, force: bool) -> Outcome {
    let mut attached = context.attach().await?;
    let fleet = view(&mut attached).await?;
    if !fleet.rotating {
        return Err(Failure::new(Status::Failed, "no rotation is under way").hint("`farmconsole ca rotate` begins one"));
    }
    if !fleet.not_followed.is_empty() && !force {
        return Err(Failure::new(
            Status::Failed,
            format!(
                "these have certificates of the old authorities and would be cut off: {}",
                first_of(&fleet.not_followed)
            ),
        )
        .hint(
            "a harvester of farmconsole follows within six hours, or a minute after it was restarted; invite each of the \
             others again; `--force` does not wait",
        ));
    }
    order(context, FleetAsk::FinishRotation, "the old authorities count no more").await
}

/// The first few names.
fn first_of(names: &[String]) -> String {
    let more = if names.len() > SHOWN_NAMES { ", …" } else { "" };
    format!("{}{more}", names[..names.len().min(SHOWN_NAMES)].join(", "))
}

/// More say nothing more.
const SHOWN_NAMES: usize = 8;

/// Locks the keys with a passphrase.
fn protect(context: &Context, new: Option<&Path>) -> Outcome {
    let keys = keys(context)?;
    let old = match keys.state() {
        CaKeyState::Plain => None,
        _ => Some(Passphrase::new(ca_passphrase(context)?)),
    };
    let new = new_passphrase("the keys of this farm's authorities", new, "--new-passphrase-file")?;
    keys.protect(old.as_ref(), &new).map_err(not_done)?;
    writeln!(Out::for_people(), "{}", context.commands.here(LOCKED))?;
    Ok(Ended::Fine)
}

/// What to know when the keys have a passphrase.
const LOCKED: &str = "The keys of this farm's authorities are locked. Before the next `harvester invite`, and when a \
    certificate is due, which an alarm tells: `farmconsole ca unlock`. A farmer that signs by itself takes the passphrase \
    from --ca-passphrase-file FILE or the systemd credential farmconsole-ca-passphrase. Copies made before (backups, \
    snapshots, an SSD's spare blocks) are still open: `farmconsole ca rotate` makes them worthless";

/// Keeps the keys without a passphrase.
fn unprotect(context: &Context) -> Outcome {
    let keys = keys(context)?;
    if keys.state() == CaKeyState::Plain {
        return Err(Failure::new(
            Status::Failed,
            "the keys of this farm's authorities have no passphrase",
        ));
    }
    let passphrase = Passphrase::new(ca_passphrase(context)?);
    keys.unprotect(&passphrase).map_err(not_done)?;
    writeln!(
        Out::for_people(),
        "The keys of this farm's authorities are protected by their mode 0600 alone"
    )?;
    Ok(Ended::Fine)
}

/// Lets the farmer sign for a while.
async fn unlock(context: &Context) -> Outcome {
    if keys(context)?.state() == CaKeyState::Plain {
        return Err(Failure::new(
            Status::Failed,
            "the keys of this farm's authorities have no passphrase: nothing is to be unlocked",
        ));
    }
    let passphrase = SecretText::new(ca_passphrase(context)?);
    order(
        context,
        FleetAsk::UnlockCa { passphrase },
        "the farmer can sign for ten minutes, and as long as somebody is invited",
    )
    .await
}

fn keys(context: &Context) -> Result<CaKeys, Failure> {
    let dir = context.root.farm_ca_dir();
    if !dir.exists() {
        return Err(Failure::new(
            Status::Failed,
            format!("{} is not there: this root has no farm", dir.display()),
        )
        .hint("a farmer makes its authorities when it is started for the first time"));
    }
    Ok(CaKeys::of(&context.root))
}

fn not_done(error: TlsError) -> Failure {
    let status = match error {
        TlsError::WrongPassphrase { .. } => Status::Settings,
        _ => Status::Failed,
    };
    let hint = error.hint();
    Failure::new(status, error).hint_if_any(hint)
}

/// Chia's private CA counts no more: in the settings, and at once.
async fn harden(context: &Context, force: bool) -> Outcome {
    let mut attached = context.attach().await?;
    let fleet = view(&mut attached).await?;
    let legacy: Vec<_> = fleet.members.iter().filter(|it| is_legacy(it)).collect();
    if !legacy.is_empty() && !force {
        let names: Vec<_> = legacy.iter().map(|it| it.shown()).collect();
        return Err(Failure::new(
            Status::Failed,
            format!(
                "these have certificates of Chia's private CA and would be cut off: {}",
                first_of(&names)
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
    let audit = context.commands.here("`farmconsole security audit`");
    writeln!(Out::for_people(), "{audit} says where copies of its key still lie")?;
    Ok(done)
}
