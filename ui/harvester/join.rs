//! `farmconsole harvester join`: makes this machine a harvester of a farm, with a key that never leaves it.

use std::io::{self, BufRead as _, IsTerminal as _, Read, Write};
use std::path::PathBuf;
use std::time::Duration;

use farmconsole::config::edit::Editor;
use farmconsole::config::{BUILT_IN_NETWORKS, HostPort, Root, shell_word};
use farmconsole::control::{ControlClient, Role};
use farmconsole::enrol::official::{self, OfficialError};
use farmconsole::enrol::{self, JoinError, JoinKey, Joined, SetNetwork};
use farmconsole::init::{InitError, init_harvester, network_of_harvester};
use farmconsole::tls::Membership;
use farmconsole::wire::enrol::JoinKind;
use farmconsole::wire::token::{Token, TokenError};

use crate::args::HarvesterJoin;
use crate::context::Context;
use crate::environment::variable;
use crate::errors::not_changed;
use crate::exit::{Ended, Failure, Outcome, Status};
use crate::out::Out;

/// Runs the command.
pub(crate) async fn join(context: &Context, options: HarvesterJoin) -> Outcome {
    let token = token(&options.token)?;
    if options.official {
        return official(&token, chia_root(options.chia_root.clone())?, &options).await;
    }
    let root = &context.root;
    let running = refuse_farmer(root).await?;
    let network = network_of_harvester(root).map_err(not_made)?;
    let joined = ask(&token, JoinKind::Own, root, network).await?;
    init_harvester(root, &joined.network).map_err(not_made)?;
    joined
        .membership
        .save(root)
        .map_err(|error| Failure::new(Status::Failed, error))?;
    let mut editor = Editor::open(root).map_err(not_changed)?;
    editor.set_only_farmer(&joined.farmer).map_err(not_changed)?;
    editor.save().map_err(not_changed)?;
    try_out(&joined.membership, &joined.farmer).await?;
    let root = shell_word(root.dir());
    writeln!(
        Out::for_people(),
        "{} belongs to the farm of {} now (network {}).\n{}",
        joined.membership.name(),
        joined.farmer,
        joined.network,
        next_steps(&root, running)
    )?;
    Ok(Ended::Fine)
}

/// Whether a harvester runs on the root of a machine that joins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Running {
    Harvester,
    Nothing,
}

/// What to do when a machine has joined. `root` is a word of a shell.
fn next_steps(root: &str, running: Running) -> String {
    let add = format!("Plots: `farmconsole --root {root} plots add -d DIR`");
    match running {
        Running::Nothing => format!("{add}; then `farmconsole --root {root} harvester run`"),
        Running::Harvester => format!(
            "{add}. The harvester that runs on this root goes on with what it had until it is started again: \
             `systemctl restart farmconsole-harvester`, or without that service `farmconsole --root {root} harvester run \
             --replace`"
        ),
    }
}

/// Whoever farms on this root would lose its own harvester to another farm, or join itself.
async fn refuse_farmer(root: &Root) -> Result<Running, Failure> {
    match ControlClient::connect(&root.control_socket()).await {
        Ok(client) if client.hello().role == Role::Farmer => Err(Failure::new(
            Status::Usage,
            format!("a farmer runs on {}, and it harvests here already", root.dir().display()),
        )
        .hint(
            "give it plots with `farmconsole plots add -d DIR`; to harvest for another farm too, name another root with \
             `--root DIR`; the token is still good",
        )),
        Ok(_) => Ok(Running::Harvester),
        Err(_) => Ok(Running::Nothing),
    }
}

/// The certificates of a farm's own root are not to be taken away, and its CA's key may be the only one.
async fn refuse_farm(root: &Root) -> Result<(), Failure> {
    let dir = root.dir().display();
    let client = ControlClient::connect(&root.control_socket()).await;
    let why = if client.is_ok_and(|it| it.hello().role == Role::Farmer) {
        format!("a farmer runs on {dir}, with the certificates that would be replaced")
    } else if let Some(kept) = [root.keys_file(), root.farm_ca_dir()]
        .into_iter()
        .find(|it| it.exists())
    {
        format!("{dir} is the root of a farm, which {} belongs to", kept.display())
    } else {
        return Ok(());
    };
    Err(Failure::new(Status::Usage, format!("{why}: nothing was changed")).hint(format!(
        "run this on the machine that is to harvest, or name its root with `--chia-root DIR`; if this one is to be a \
         harvester only from here on, move {} away first; the token is still good",
        root.state_dir().display()
    )))
}

async fn official(token: &Token, root: Root, options: &HarvesterJoin) -> Outcome {
    let network = official::check(&root).map_err(not_installed)?;
    refuse_farm(&root).await?;
    let restart = wants_restart(&root, options)?;
    let joined = ask(token, JoinKind::Official, &root, Some(network)).await?;
    if restart && official::is_running(&root) {
        // While it still takes orders that show the old certificates.
        chia(&root, &["stop", "-d", "all"]).await.map_err(|failure| {
            failure.hint("nothing was changed, but the token is used up: stop it yourself, and join with a new one")
        })?;
    }
    let now = farmconsole::system_clock::unix_now();
    let installed =
        official::install(&root, &joined.membership, &joined.farmer, &joined.network, now).map_err(not_installed)?;
    try_out(&joined.membership, &joined.farmer).await?;
    say(&format!(
        "{} belongs to the farm of {} now",
        joined.membership.name(),
        joined.farmer
    ))?;
    if let Some(backup) = &installed.backup {
        say(&format!("The certificates that were there are in {}", backup.display()))?;
    }
    clear_away(&root, &installed.spare_keys, options.shred)?;
    say("Never run `chia init -c` on this machine again: it would put another CA in place of this farm's")?;
    if !restart {
        say("Start its harvester: `chia start harvester -r`")?;
        return Ok(Ended::Fine);
    }
    start_anew(&root).await?;
    wait_until_seen(&joined).await
}

/// Whether to start the harvester anew. One that runs would go on with certificates that are no more there.
fn wants_restart(root: &Root, options: &HarvesterJoin) -> Result<bool, Failure> {
    if options.restart || !official::is_running(root) {
        return Ok(options.restart);
    }
    let question = format!(
        "The official software runs on {}. End all of it, and start the harvester anew when it has joined?",
        root.dir().display()
    );
    match confirm(&question) {
        Some(true) => Ok(true),
        _ => Err(Failure::new(
            Status::Failed,
            format!(
                "the official software runs on {}: nothing was changed",
                root.dir().display()
            ),
        )
        .hint("`chia stop -d all` first, or join with --restart; the token is still good")),
    }
}

/// Offers to destroy keys that a harvester has no use for.
fn clear_away(root: &Root, spare: &[PathBuf], without_asking: bool) -> Result<(), Failure> {
    if spare.is_empty() {
        return Ok(());
    }
    say("A harvester has no use for these private keys, which open other doors of the farm they came from:")?;
    for key in spare {
        say(&format!("  {}", key.display()))?;
    }
    if !without_asking && confirm("Overwrite and remove them?") != Some(true) {
        return say("They are still there; once this machine farms, `shred -u` removes them");
    }
    official::shred(root, spare).map_err(not_installed)?;
    say(
        "They are overwritten and removed. On an SSD, on a file system that copies on write (btrfs, ZFS), in snapshots \
         and in backups, copies may live on: if somebody else may come by those, only a new private CA on the main machine \
         makes them worthless",
    )
}

async fn start_anew(root: &Root) -> Result<(), Failure> {
    let started = chia(root, &["start", "harvester", "-r"]).await;
    started.map_err(|failure| failure.hint("run that yourself: the machine has joined"))
}

/// Runs a command of the official software on a root.
async fn chia(root: &Root, arguments: &[&str]) -> Result<(), Failure> {
    let done = tokio::process::Command::new("chia")
        .args(arguments)
        .env("CHIA_ROOT", root.dir())
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status();
    let why = match tokio::time::timeout(CHIA_PATIENCE, done).await {
        Ok(Ok(status)) if status.success() => return Ok(()),
        Ok(Ok(status)) => status.to_string(),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("it takes longer than {} s", CHIA_PATIENCE.as_secs()),
    };
    Err(Failure::new(
        Status::Failed,
        format!("run `chia {}`: {why}", arguments.join(" ")),
    ))
}

async fn wait_until_seen(joined: &Joined) -> Outcome {
    let unseen = |why: String| {
        Failure::new(Status::Failed, format!("the machine has joined, but {why}"))
            .hint("its log/debug.log, and `farmconsole harvester doctor` on the farmer's machine, say why")
    };
    let deadline = tokio::time::Instant::now() + SEEN_PATIENCE;
    let mut last = None;
    while tokio::time::Instant::now() < deadline {
        match enrol::is_seen(&joined.membership, &joined.farmer).await {
            Ok(Some(true)) => {
                say("Its harvester has connected to the farmer")?;
                return Ok(Ended::Fine);
            }
            Ok(Some(false)) => last = None,
            Ok(None) => {
                say("Its harvester was started; this farmer is of a version that does not say whether it has come")?;
                return Ok(Ended::Fine);
            }
            Err(error) => last = Some(error.to_string()),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let patience = SEEN_PATIENCE.as_secs();
    Err(unseen(last.unwrap_or_else(|| {
        format!("its harvester has not connected within {patience} s")
    })))
}

fn say(text: &str) -> Result<(), Failure> {
    Ok(writeln!(Out::for_people(), "{text}")?)
}

/// Asks whoever sits at the terminal; nothing if nobody does.
fn confirm(question: &str) -> Option<bool> {
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return None;
    }
    let mut out = Out::for_people();
    write!(out, "{question} [y/N] ").ok()?;
    out.flush().ok()?;
    let mut answer = String::new();
    io::stdin().lock().take(64).read_line(&mut answer).ok()?;
    Some(matches!(answer.trim(), "y" | "Y" | "yes"))
}

async fn ask(token: &Token, kind: JoinKind, root: &Root, network: Option<String>) -> Result<Joined, Failure> {
    let not_joined = |error: JoinError| {
        let hint = match &error {
            JoinError::OtherNetwork { farm, set, .. } => other_network(kind, root, farm, set),
            JoinError::Refused { .. } | JoinError::HungUp { .. } => joined_before(root, error.hint()),
            _ => error.hint(),
        };
        Failure::new(Status::Failed, error).hint(hint)
    };
    let set = network.map(|name| SetNetwork {
        name,
        file: root.config_file(),
    });
    let key = JoinKey::make().map_err(not_joined)?;
    enrol::join(token, kind, set.as_ref(), &key).await.map_err(not_joined)
}

/// What to do when a token is refused, which the command that is run a second time is, after it has done its work.
fn joined_before(root: &Root, otherwise: String) -> String {
    match Membership::load(root) {
        Ok(Some(membership)) => format!(
            "this machine is a harvester already, {}, and stays that: if this token made it so, all is done; {otherwise}",
            membership.name()
        ),
        _ => otherwise,
    }
}

/// What to do on a machine that is set to another network than the farm, as commands for the shell.
fn other_network(kind: JoinKind, root: &Root, farm: &str, set: &SetNetwork) -> String {
    let edit = format!("set `selected_network: {farm}` in {}", set.file.display());
    match (kind, farm) {
        (JoinKind::Official, "mainnet" | "testnet11") => format!(
            "the token is still good: `CHIA_ROOT={} chia configure --testnet {}`, then join again",
            shell_word(root.dir()),
            farm != "mainnet"
        ),
        (JoinKind::Own, _) if BUILT_IN_NETWORKS.contains(&farm) => format!(
            "the token is still good: `farmconsole --root {} harvester join TOKEN` makes another root for that farm; to \
             have this one changed instead, {edit}, and join again",
            shell_word(&root_for(root, farm, &set.name))
        ),
        _ => format!("the token is still good: {edit}, and join again"),
    }
}

/// Where a root for another network would be, beside this one.
fn root_for(root: &Root, network: &str, set: &str) -> PathBuf {
    let name = root.dir().file_name().unwrap_or_default().to_string_lossy();
    let name = if name == set {
        network.to_owned()
    } else {
        format!("{name}-{network}")
    };
    root.dir().with_file_name(name)
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
    let set = || variable("CHIA_ROOT").map(PathBuf::from);
    let usual = || Some(std::env::home_dir()?.join(".chia/mainnet"));
    given.or_else(set).or_else(usual).map(Root::new).ok_or_else(|| {
        Failure::new(
            Status::Usage,
            "find the official root: the environment names no home directory",
        )
        .hint("name it with `--chia-root DIR`")
    })
}

fn not_made(error: InitError) -> Failure {
    let hint = error.hint();
    Failure::new(Status::Failed, error).hint_if_any(hint)
}

fn not_installed(error: OfficialError) -> Failure {
    let hint = error.hint();
    Failure::new(Status::Failed, error).hint_if_any(hint)
}

/// The official daemon is slow to start and to stop.
const CHIA_PATIENCE: Duration = Duration::from_secs(120);

/// An official harvester reads its settings and dials within seconds; many plots take longer.
const SEEN_PATIENCE: Duration = Duration::from_secs(120);

const LOOK_EVERY: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::Commands;

    #[test]
    fn a_command_for_the_farmer_does_not_name_the_root_of_this_machine() {
        let commands = Commands::new(Some(std::path::Path::new("/srv/barn")), None);
        let address = || HostPort::new("farm.local", 8447);
        let source = io::ErrorKind::ConnectionRefused.into();
        let nobody = JoinError::Unreachable {
            address: address(),
            source,
        };
        for error in [nobody, JoinError::TimedOut { address: address() }] {
            let hint = error.hint();
            assert!(hint.contains("`farmconsole harvester invite NAME"), "{hint}");
            assert_eq!(commands.here(&hint), hint);
        }
    }

    #[test]
    fn a_machine_that_joined_is_told_so_when_the_command_is_run_again() {
        use std::os::unix::fs::PermissionsExt as _;

        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        let otherwise = || "make a new token".to_owned();
        assert_eq!(joined_before(&root, otherwise()), otherwise());
        root.create_state_dir().unwrap();
        let membership = serde_json::json!({
            "version": 1,
            "name": "barn-3",
            "farm_id": "",
            "server_ca": "",
            "certificate": include_str!("../../assets/chia_ca.crt"),
            "key": "",
        });
        let file = root.membership_file();
        std::fs::write(&file, membership.to_string()).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        let hint = joined_before(&root, otherwise());
        assert!(
            hint.contains("already, barn-3,") && hint.ends_with(&otherwise()),
            "{hint}"
        );
    }

    #[tokio::test]
    async fn the_root_of_a_farm_keeps_its_certificates() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        assert!(refuse_farm(&root).await.is_ok());
        root.create_state_dir().unwrap();
        assert!(refuse_farm(&root).await.is_ok(), "it may have been a harvester's");
        for kept in [root.keys_file(), root.farm_ca_dir()] {
            std::fs::create_dir(&kept).unwrap();
            let refused = refuse_farm(&root).await.unwrap_err();
            let refused = refused.sentence();
            assert!(refused.contains(kept.to_str().unwrap()), "{refused}");
            std::fs::remove_dir(&kept).unwrap();
        }
    }

    #[test]
    fn a_harvester_that_runs_is_told_to_be_started_again() {
        let none = next_steps("/srv/x", Running::Nothing);
        assert!(none.ends_with("`farmconsole --root /srv/x harvester run`"), "{none}");
        let running = next_steps("/srv/x", Running::Harvester);
        assert!(running.contains("until it is started again"), "{running}");
        assert!(
            running.contains("`systemctl restart farmconsole-harvester`"),
            "{running}"
        );
        assert!(
            running.ends_with("`farmconsole --root /srv/x harvester run --replace`"),
            "{running}"
        );
    }

    #[test]
    fn a_machine_of_another_network_is_told_the_command_that_joins_it() {
        let told = |kind, root: &str, farm: &str, set: &str| {
            let root = Root::new(root);
            let set = SetNetwork {
                name: set.to_owned(),
                file: root.config_file(),
            };
            other_network(kind, &root, farm, &set)
        };
        for (root, other) in [
            ("/home/ann/.farmconsole/mainnet", "/home/ann/.farmconsole/testnet11"),
            ("/srv/my farm", "'/srv/my farm-testnet11'"),
        ] {
            let own = told(JoinKind::Own, root, "testnet11", "mainnet");
            let command = format!("`farmconsole --root {other} harvester join TOKEN`");
            let edit = format!("set `selected_network: testnet11` in {root}/config/config.yaml,");
            assert!(own.contains(&command) && own.contains(&edit), "{own}");
        }
        let official = told(JoinKind::Official, "/srv/chia", "testnet11", "mainnet");
        assert!(
            official.contains("`CHIA_ROOT=/srv/chia chia configure --testnet true`"),
            "{official}"
        );
        let official = told(JoinKind::Official, "/srv/chia", "mainnet", "testnet11");
        assert!(
            official.contains("`CHIA_ROOT=/srv/chia chia configure --testnet false`"),
            "{official}"
        );
        // No command is made of what somebody calls a network of their own.
        for kind in [JoinKind::Own, JoinKind::Official] {
            let theirs = told(kind, "/srv/x", "$(reboot)", "mainnet");
            assert_eq!(
                theirs,
                "the token is still good: set `selected_network: $(reboot)` in /srv/x/config/config.yaml, and join again"
            );
        }
    }
}
