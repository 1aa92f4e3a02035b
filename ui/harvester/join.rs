//! `farmconsole harvester join`: makes this machine a harvester of a farm, with a key that never leaves it.

use std::io::{self, Read, Write};
use std::path::PathBuf;

use farmconsole::config::edit::Editor;
use farmconsole::config::{HostPort, Root};
use farmconsole::enrol::official::{self, OfficialError};
use farmconsole::enrol::{self, JoinError, JoinKey, Joined};
use farmconsole::init::{InitError, init_harvester};
use farmconsole::tls::Membership;
use farmconsole::wire::enrol::JoinKind;
use farmconsole::wire::token::{Token, TokenError};

use crate::args::HarvesterJoin;
use crate::configure::not_changed;
use crate::context::Context;
use crate::daemon::{shell_word, with_hint};
use crate::exit::{Ended, Failure, Outcome, Status};

/// Runs the command.
pub(crate) async fn join(context: &Context, options: HarvesterJoin) -> Outcome {
    let token = token(&options.token)?;
    if options.official {
        return official(&token, chia_root(options.chia_root)?).await;
    }
    let root = &context.root;
    let joined = ask(&token, JoinKind::Own).await?;
    init_harvester(root, &joined.network).map_err(not_made)?;
    joined
        .membership
        .save(root)
        .map_err(|error| Failure::new(Status::Failed, error))?;
    let mut editor = Editor::open(root).map_err(not_changed)?;
    editor.set_only_farmer(&joined.farmer).map_err(not_changed)?;
    editor.save().map_err(not_changed)?;
    try_out(&joined.membership, &joined.farmer).await?;
    let root = shell_word(&root.dir().display().to_string());
    writeln!(
        io::stdout().lock(),
        "{} belongs to the farm of {} now (network {}).\nPlots: `farmconsole --root {root} plots add -d DIR`; then \
         `farmconsole --root {root} harvester run`. A harvester that runs on this root already follows by itself.",
        joined.membership.name(),
        joined.farmer,
        joined.network
    )?;
    Ok(Ended::Fine)
}

async fn official(token: &Token, root: Root) -> Outcome {
    official::check(&root).map_err(not_installed)?;
    let joined = ask(token, JoinKind::Official).await?;
    let now = farmconsole::system_clock::unix_now();
    let installed =
        official::install(&root, &joined.membership, &joined.farmer, &joined.network, now).map_err(not_installed)?;
    try_out(&joined.membership, &joined.farmer).await?;
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "{} belongs to the farm of {} now. Start its harvester: `chia start harvester -r`",
        joined.membership.name(),
        joined.farmer
    )?;
    if let Some(backup) = &installed.backup {
        writeln!(out, "The certificates that were there are in {}", backup.display())?;
    }
    if !installed.spare_keys.is_empty() {
        writeln!(
            out,
            "A harvester has no use for these private keys, which open other doors of the farm they came from. Once \
             it farms, remove them (`shred -u`):"
        )?;
        for key in &installed.spare_keys {
            writeln!(out, "  {}", key.display())?;
        }
    }
    writeln!(
        out,
        "Never run `chia init -c` on this machine again: it would put another CA in place of this farm's"
    )?;
    Ok(Ended::Fine)
}

async fn ask(token: &Token, kind: JoinKind) -> Result<Joined, Failure> {
    let key = JoinKey::make().map_err(not_joined)?;
    enrol::join(token, kind, &key).await.map_err(not_joined)
}

async fn try_out(membership: &Membership, farmer: &HostPort) -> Result<(), Failure> {
    enrol::try_out(membership, farmer).await.map_err(|error| {
        Failure::new(Status::Failed, format!("the certificate is here, but {error}"))
            .hint("`farmconsole harvester doctor` on the farmer's machine says why")
    })
}

fn token(text: &str) -> Result<Token, Failure> {
    let mut read = String::new();
    let text = if text == "-" {
        io::stdin().take(4_096).read_to_string(&mut read)?;
        &read
    } else {
        text
    };
    text.parse().map_err(|error: TokenError| {
        Failure::new(Status::Usage, error)
            .hint("`farmconsole harvester invite NAME` on the farmer's machine prints the whole command")
    })
}

fn chia_root(given: Option<PathBuf>) -> Result<Root, Failure> {
    let set = || {
        std::env::var_os("CHIA_ROOT")
            .filter(|it| !it.is_empty())
            .map(PathBuf::from)
    };
    let usual = || Some(std::env::home_dir()?.join(".chia/mainnet"));
    given.or_else(set).or_else(usual).map(Root::new).ok_or_else(|| {
        Failure::new(
            Status::Usage,
            "find the official root: the environment names no home directory",
        )
        .hint("name it with `--chia-root DIR`")
    })
}

fn not_joined(error: JoinError) -> Failure {
    let hint = error.hint();
    Failure::new(Status::Failed, error).hint(hint)
}

fn not_made(error: InitError) -> Failure {
    let hint = error.hint();
    with_hint(Failure::new(Status::Failed, error), hint)
}

fn not_installed(error: OfficialError) -> Failure {
    let hint = error.hint();
    with_hint(Failure::new(Status::Failed, error), hint)
}
