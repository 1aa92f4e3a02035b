//! What every command is given: the root, how to print, and the way to a running farmer.

use std::io::{self, StdoutLock};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use farmconsole::config::{Root, Settings, access, shell_word};
use farmconsole::control::{Answer, Ask, ControlClient, ControlError, Role, Waiter};
use farmconsole::handle::{FeedEvent, RecentKind};
use farmconsole::snapshot::page::{Page, PageRequest};
use farmconsole::snapshot::{FarmSnapshot, MachineSnapshot};

use crate::args::ColorChoice;
use crate::commands::Commands;
use crate::errors::bad_settings;
use crate::exit::{Failure, Status};
use crate::out::Out;

/// Bytes that the path of a Unix socket may have, on every system.
const LONGEST_SOCKET: usize = 103;

/// Root and looks, from the command line and the environment.
#[derive(Debug)]
pub(crate) struct Context {
    /// Where everything lives.
    pub(crate) root: Root,
    /// How the console looks.
    #[cfg_attr(not(feature = "console"), expect(dead_code, reason = "only the console has looks"))]
    pub(crate) looks: Looks,
    /// Where the passphrase of the farming keys is.
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Where the passphrase of the farm's authorities is.
    pub(crate) ca_passphrase_file: Option<PathBuf>,
    /// Whether the console only looks.
    pub(crate) is_read_only: bool,
    /// How commands are typed for this root.
    pub(crate) commands: Commands,
}

/// How the console looks, from the command line.
#[derive(Clone, Debug)]
#[cfg_attr(not(feature = "console"), expect(dead_code, reason = "only the console has looks"))]
pub(crate) struct Looks {
    /// When to use colours.
    pub(crate) color: ColorChoice,
    /// ASCII characters only.
    pub(crate) ascii: bool,
    /// Name of a theme or a file with one.
    pub(crate) theme: Option<String>,
}

impl Context {
    /// Refuses `what`, which is done on a farmer's root, on that of a machine that only harvests: it has joined a farm, and
    /// has no farming keys.
    pub(crate) fn farmers_only(&self, what: &str, status: Status, hint: &str) -> Result<(), Failure> {
        if !self.root.membership_file().exists() || self.root.keys_file().exists() {
            return Ok(());
        }
        let root = self.root.dir().display();
        let why = "it has joined a farm elsewhere as a harvester, and has no farming keys";
        Err(Failure::new(status, format!("{what} on {root}: {why}")).hint(hint))
    }

    /// The root named by `--root` or `FARMCONSOLE_ROOT`, else `<home>/.farmconsole/<name>`.
    pub(crate) fn new(
        root: Option<PathBuf>,
        default_name: &str,
        looks: Looks,
        passphrase_file: Option<PathBuf>,
    ) -> Result<Self, Failure> {
        let dir = match root {
            Some(dir) => std::path::absolute(dir)?,
            None => default_root(default_name).ok_or_else(|| {
                Failure::new(Status::Usage, "find the root: the environment names no home directory")
                    .hint("name the root with `--root DIR`")
            })?,
        };
        let root = Root::new(dir);
        let socket = root.control_socket();
        if socket.as_os_str().len() > LONGEST_SOCKET {
            return Err(Failure::new(
                Status::Usage,
                format!("use {}: its path is too long for a socket in it", root.dir().display()),
            )
            .hint(format!(
                "name a shorter one: {} has {} bytes, {LONGEST_SOCKET} are possible",
                socket.display(),
                socket.as_os_str().len()
            )));
        }
        Ok(Self {
            root,
            looks,
            passphrase_file,
            ca_passphrase_file: None,
            is_read_only: false,
            commands: Commands::default(),
        })
    }

    /// That of a command with `--root dir` and no other option.
    #[cfg(test)]
    pub(crate) fn of_test_root(dir: &Path) -> Result<Self, Failure> {
        let looks = Looks {
            color: ColorChoice::Auto,
            ascii: false,
            theme: None,
        };
        Self::new(Some(dir.to_owned()), "mainnet", looks, None)
    }

    /// Standard output of a list: for people, or as JSON.
    pub(crate) fn out(&self, json: bool) -> Out<StdoutLock<'static>> {
        if json { Out::for_programs() } else { Out::for_people() }
    }

    /// The settings of this root.
    pub(crate) fn settings(&self) -> Result<Settings, Failure> {
        Settings::load(&self.root).map_err(bad_settings)
    }

    /// Connects to whatever runs on this root.
    pub(crate) async fn connect(&self) -> Result<ControlClient, ControlError> {
        ControlClient::connect(&self.root.control_socket()).await
    }

    /// Connects to the farmer or harvester that runs on this root.
    pub(crate) async fn attach_any(&self) -> Result<Attached, Failure> {
        let client = self.connect().await.map_err(not_attached)?;
        Ok(Attached { client })
    }

    /// Connects to the farmer that runs on this root.
    pub(crate) async fn attach(&self) -> Result<Attached, Failure> {
        let attached = self.attach_any().await?;
        match attached.client.hello().role {
            Role::Farmer => Ok(attached),
            Role::Harvester => Err(Failure::new(
                Status::NotRunning,
                format!(
                    "no farmer runs on {}, but a harvester: it cannot answer this",
                    self.root.dir().display()
                ),
            )
            .hint("ask where the farmer runs; `farmconsole summary` and `farmconsole` show this harvester")),
        }
    }
}

/// `<home>/.farmconsole/<name>`, if the environment names a home directory.
pub(crate) fn default_root(name: &str) -> Option<PathBuf> {
    let home = std::env::home_dir().filter(|home| home.is_absolute())?;
    Some(home.join(".farmconsole").join(name))
}

/// A connection to a running farmer.
#[derive(Debug)]
pub(crate) struct Attached {
    pub(crate) client: ControlClient,
}

impl Attached {
    /// The newest snapshot.
    pub(crate) async fn snapshot(&mut self) -> Result<FarmSnapshot, Failure> {
        match self.ask(Ask::Snapshot).await? {
            Answer::Snapshot(snapshot) => Ok(*snapshot),
            other => Err(strange(&other)),
        }
    }

    /// The newest snapshot of a harvester alone.
    pub(crate) async fn machine(&mut self) -> Result<MachineSnapshot, Failure> {
        match self.ask(Ask::Machine).await? {
            Answer::Machine(machine) => Ok(*machine),
            other => Err(strange(&other)),
        }
    }

    /// The last events of a kind, oldest first.
    pub(crate) async fn recent(&mut self, kind: RecentKind, limit: u32) -> Result<Vec<FeedEvent>, Failure> {
        match self.ask(Ask::Recent { kind, limit }).await? {
            Answer::Recent(events) => Ok(events),
            other => Err(strange(&other)),
        }
    }

    /// Part of a long list.
    pub(crate) async fn page(&mut self, request: PageRequest) -> Result<Page, Failure> {
        match self.ask(Ask::Page(request)).await? {
            Answer::Page(page) => Ok(page),
            other => Err(strange(&other)),
        }
    }

    /// Any question.
    pub(crate) async fn ask(&mut self, ask: Ask) -> Result<Answer, Failure> {
        self.client.ask(ask).await.map_err(not_attached)
    }
}

/// A control error as the program reports it.
pub(crate) fn not_attached(error: ControlError) -> Failure {
    match error {
        ControlError::NotRunning { ref path, ref source } if source.kind() == io::ErrorKind::PermissionDenied => {
            let hint = access::hint_of(path, source);
            Failure::new(Status::NotRunning, error).hint_if_any(hint)
        }
        ControlError::NotRunning { ref path, .. } => {
            let demo = default_root("demo").map(Root::new);
            let hint = what_to_start(path, demo.as_ref());
            Failure::new(Status::NotRunning, error).hint(hint)
        }
        ControlError::VersionSkew { .. } => {
            Failure::new(Status::Failed, error).hint("stop it and start it again with this version: `farmconsole stop`")
        }
        ControlError::NoAnswer { .. } => Failure::new(Status::NotRunning, error)
            .hint("it may be suspended (Ctrl-Z), or its machine busy: look at it with `ps`, and at its log"),
        ControlError::Gone { .. } => Failure::new(Status::NotRunning, error),
        ControlError::Refused(_) => Failure::new(Status::Failed, error),
    }
}

/// What can be started on the root of a control socket that nobody listens at, or asked on that of a `demo`.
fn what_to_start(socket: &Path, demo: Option<&Root>) -> String {
    let root = socket.parent().and_then(Path::parent).map(Root::new);
    if let Some(Waiter { pid, what }) = root.as_ref().and_then(|root| Waiter::at(&root.waiting_file())) {
        return format!(
            "process {pid} is starting one, and cannot yet: {what}; ask again soon, or end it with `kill {pid}`"
        );
    }
    let runs = |demo: &&Root| UnixStream::connect(demo.control_socket()).is_ok();
    let has_root = root.as_ref().is_none_or(|root| root.config_file().exists());
    if let (false, Some(demo)) = (has_root, demo.filter(runs)) {
        let demo = shell_word(demo.dir());
        return format!(
            "there is no root yet, and what runs on this machine is the demo: `farmconsole --root {demo}` looks at it, and \
             every command takes `--root {demo}`"
        );
    }
    let hint = match root {
        Some(root) if !root.config_file().exists() => {
            "there is no root yet: make one with `farmconsole init`, or name another with `--root DIR`; \
             `farmconsole demo` needs none"
        }
        Some(root) if root.membership_file().exists() && !root.keys_file().exists() => {
            "start this harvester with `farmconsole harvester run`"
        }
        _ => {
            "start one with `farmconsole --daemon`, or try `farmconsole demo`; a harvester alone with \
             `farmconsole harvester run`"
        }
    };
    hint.to_owned()
}

fn strange(answer: &Answer) -> Failure {
    Failure::new(
        Status::Failed,
        format!("the farmer gave another answer than asked for: {answer:?}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_too_long_for_a_socket_is_refused_at_once() {
        let new = |name: &str| Context::of_test_root(&Path::new("/srv").join(name));
        assert!(new(&"d".repeat(60)).is_ok());
        assert!(new(&"d".repeat(90)).is_err());
    }

    #[test]
    fn whoever_finds_nobody_is_told_what_can_be_started_on_that_root() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        let hint = || what_to_start(&root.control_socket(), None);
        let make = |file: &Path| {
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, "").unwrap();
        };
        assert!(hint().contains("`farmconsole init`"), "{}", hint());
        make(&root.config_file());
        assert!(hint().contains("`farmconsole --daemon`"), "{}", hint());
        make(&root.membership_file());
        assert_eq!(hint(), "start this harvester with `farmconsole harvester run`");
        make(&root.keys_file());
        assert!(hint().contains("`farmconsole --daemon`"), "{}", hint());
    }

    #[test]
    fn whoever_has_no_root_and_runs_the_demo_is_led_to_it() {
        let dir = tempfile::tempdir().unwrap();
        let [root, demo] = ["mainnet", "demo"].map(|name| Root::new(dir.path().join(name)));
        demo.create_state_dir().unwrap();
        let hint = || what_to_start(&root.control_socket(), Some(&demo));
        assert!(hint().contains("`farmconsole init`"), "{}", hint());
        let _running = std::os::unix::net::UnixListener::bind(demo.control_socket()).unwrap();
        let look = format!("`farmconsole --root {}`", demo.dir().display());
        assert!(hint().contains(&look), "{}", hint());
        std::fs::create_dir_all(root.config_file().parent().unwrap()).unwrap();
        std::fs::write(root.config_file(), "").unwrap();
        assert!(hint().contains("`farmconsole --daemon`"), "{}", hint());
    }
}
