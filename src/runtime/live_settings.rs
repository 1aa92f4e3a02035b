//! The settings of a farm or a harvester that runs, read again when somebody asks for it. What can change meanwhile is
//! followed at once, the rest is named, and a mistake in the file changes nothing.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

use super::fleet::Fleet;
use crate::config::{
    self, ConfigError, FarmerSettings, Finding, HarvesterSettings, LoggingSettings, OwnSettings, Root, Settings,
};
use crate::farmer::Input;
use crate::keys::address;
use crate::logging::LogHandle;
use crate::tls::TlsError;

/// What runs by these settings. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LiveSettings(Arc<Live>);

#[derive(Debug)]
struct Live {
    root: Root,
    log: LogHandle,
    farm: Option<Farm>,
    /// What is followed.
    running: Mutex<Settings>,
}

/// What only a farmer has.
#[derive(Debug)]
struct Farm {
    fleet: Arc<Fleet>,
    inputs: mpsc::Sender<Input>,
}

/// Why settings that were read again are not followed.
#[derive(Debug, thiserror::Error)]
pub enum LiveSettingsError {
    /// The file cannot be read, or has a mistake.
    #[error(transparent)]
    Settings(#[from] ConfigError),
    /// The farmer's certificates cannot be used any more.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// What has changed in the file since the start: keys of the settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SettingsChanges {
    /// Followed from now on.
    pub followed: Vec<&'static str>,
    /// Followed from the next start.
    pub waiting: Vec<&'static str>,
}

impl LiveSettings {
    pub(super) fn of_farm(
        root: &Root,
        log: &LogHandle,
        settings: Settings,
        fleet: &Arc<Fleet>,
        inputs: &mpsc::Sender<Input>,
    ) -> Self {
        let farm = Farm {
            fleet: Arc::clone(fleet),
            inputs: inputs.clone(),
        };
        Self::new(root, log, settings, Some(farm))
    }

    pub(super) fn of_harvester(root: &Root, log: &LogHandle, settings: Settings) -> Self {
        Self::new(root, log, settings, None)
    }

    fn new(root: &Root, log: &LogHandle, settings: Settings, farm: Option<Farm>) -> Self {
        Self(Arc::new(Live {
            root: root.clone(),
            log: log.clone(),
            farm,
            running: Mutex::new(settings),
        }))
    }

    /// Reads the file again, and a farmer's certificates. What cannot be followed is an alarm of the farmer until it is
    /// read again and can.
    ///
    /// # Errors
    /// Why nothing has changed.
    pub async fn read_again(&self) -> Result<SettingsChanges, LiveSettingsError> {
        let live = Arc::clone(&self.0);
        let read = tokio::task::spawn_blocking(move || live.read_again());
        let read = read
            .await
            .unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()));
        if let Some(farm) = &self.0.farm {
            let why = read.as_ref().err().map(ToString::to_string);
            // The engine may have ended.
            let _ = farm.inputs.send(Input::SettingsUnreadable { why }).await;
        }
        read
    }
}

impl Live {
    fn read_again(&self) -> Result<SettingsChanges, LiveSettingsError> {
        let file = self.root.config_file();
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let new = Settings::load_again(&file, &running.warnings)?;
        if self.farm.is_some()
            && let Some(mistake) = first_mistake(&file)
        {
            return Err(mistake.into());
        }
        for warning in &new.warnings {
            tracing::warn!(target: "config", "{warning}");
        }
        if let Some(farm) = &self.farm {
            farm.fleet.read_again(new.own.legacy_ca)?;
        }
        let changes = changes(&running, &new, self.farm.is_some());
        let level = |settings: &Settings| self.logging(settings).log_level;
        if level(&running) != level(&new) {
            self.log.set_level(level(&new));
        }
        follow(&mut running, new);
        Ok(changes)
    }

    const fn logging<'a>(&self, settings: &'a Settings) -> &'a LoggingSettings {
        match self.farm {
            Some(_) => &settings.logging,
            None => &settings.harvester.logging,
        }
    }
}

/// The first mistake that a farmer would not start with, also an address that nobody can be paid at.
fn first_mistake(file: &Path) -> Option<ConfigError> {
    config::check(file, &address::check)
        .into_iter()
        .find_map(|finding| match finding {
            Finding::Mistake(error) => Some(error),
            Finding::Doubt(_) => None,
        })
}

/// When a setting that has changed is followed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Followed {
    /// At once, or at the next look at the plot directories.
    Now,
    FromTheNextStart,
}

/// What `new` says otherwise than what is followed. Every setting has its place here; a harvester alone has no use for
/// those of a farmer.
fn changes(running: &Settings, new: &Settings, is_farmer: bool) -> SettingsChanges {
    use Followed::{FromTheNextStart, Now};

    let Settings {
        network,
        constants,
        address_prefix,
        farmer,
        harvester,
        pool_xch_target_address: pool_target,
        logging,
        own,
        warnings: _,
    } = running;
    let is_other_network = *constants != new.constants || *address_prefix != new.address_prefix;
    let of_network = [
        ("selected_network", FromTheNextStart, *network != new.network),
        ("network_overrides", FromTheNextStart, is_other_network),
    ];
    let HarvesterSettings {
        farmer_peers,
        plot_directories: directories,
        recursive_plot_scan: recursive,
        recursive_follow_links: links,
        refresh,
        num_threads,
        parallel_decompressor_count: decompressors,
        max_compression_level_allowed: level,
        parallel_read,
        logging: harvester_logging,
    } = harvester;
    let to = &new.harvester;
    let is_other_peer = !is_farmer && *farmer_peers != to.farmer_peers;
    let of_harvester = [
        ("harvester.farmer_peers", FromTheNextStart, is_other_peer),
        ("harvester.plot_directories", Now, *directories != to.plot_directories),
        (
            "harvester.recursive_plot_scan",
            Now,
            *recursive != to.recursive_plot_scan,
        ),
        (
            "harvester.recursive_follow_links",
            Now,
            *links != to.recursive_follow_links,
        ),
        (
            "harvester.plots_refresh_parameter",
            FromTheNextStart,
            *refresh != to.refresh,
        ),
        (
            "harvester.num_threads",
            FromTheNextStart,
            *num_threads != to.num_threads,
        ),
        (
            "harvester.parallel_decompressor_count",
            Now,
            *decompressors != to.parallel_decompressor_count,
        ),
        (
            "harvester.max_compression_level_allowed",
            Now,
            *level != to.max_compression_level_allowed,
        ),
        (
            "harvester.parallel_read",
            FromTheNextStart,
            *parallel_read != to.parallel_read,
        ),
    ];
    let FarmerSettings {
        port,
        full_node_peers,
        full_node_rpc_port: rpc_port,
        solver_peers,
        xch_target_address: target,
        pool_public_keys: pool_keys,
    } = farmer;
    let to = &new.farmer;
    let of_farmer = [
        ("farmer.port", FromTheNextStart, *port != to.port),
        (
            "farmer.full_node_peers",
            FromTheNextStart,
            *full_node_peers != to.full_node_peers,
        ),
        (
            "full_node.rpc_port",
            FromTheNextStart,
            *rpc_port != to.full_node_rpc_port,
        ),
        (
            "farmer.solver_peers",
            FromTheNextStart,
            *solver_peers != to.solver_peers,
        ),
        // Blocks under way are checked against what was declared.
        (
            "farmer.xch_target_address",
            FromTheNextStart,
            *target != to.xch_target_address,
        ),
        (
            "pool.xch_target_address",
            FromTheNextStart,
            *pool_target != new.pool_xch_target_address,
        ),
        (
            "farmer.pool_public_keys",
            FromTheNextStart,
            *pool_keys != to.pool_public_keys,
        ),
    ];
    let OwnSettings {
        simulated_chain,
        classic_harvester_log: classic,
        full_node_pins: pins,
        legacy_ca,
        harvester_fees: fees,
        // The console's.
        theme: _,
        history,
        alarms,
    } = own;
    let to = &new.own;
    let of_own = [
        (
            "farmconsole.simulated_chain",
            FromTheNextStart,
            *simulated_chain != to.simulated_chain,
        ),
        (
            "farmconsole.full_node_pins",
            FromTheNextStart,
            *pins != to.full_node_pins,
        ),
        (
            "farmconsole.legacy_ca",
            Now,
            to.legacy_ca.is_some() && *legacy_ca != to.legacy_ca,
        ),
        (
            "farmconsole.legacy_ca",
            FromTheNextStart,
            to.legacy_ca.is_none() && legacy_ca.is_some(),
        ),
        (
            "farmconsole.harvester_fees",
            FromTheNextStart,
            *fees != to.harvester_fees,
        ),
        ("farmconsole.history", FromTheNextStart, *history != to.history),
        ("farmconsole.alarms", FromTheNextStart, *alarms != to.alarms),
    ];
    let log_line = [(
        "farmconsole.classic_harvester_log",
        FromTheNextStart,
        *classic != to.classic_harvester_log,
    )];
    let (log, to) = if is_farmer {
        (logging, &new.logging)
    } else {
        (harvester_logging, &new.harvester.logging)
    };
    let same_level = LoggingSettings {
        log_level: log.log_level,
        ..to.clone()
    };
    let of_log = [
        ("logging.log_level", Now, log.log_level != to.log_level),
        ("logging", FromTheNextStart, *log != same_level),
    ];
    let of_farmers = of_farmer.into_iter().chain(of_own).filter(|_| is_farmer);
    let all = of_network
        .into_iter()
        .chain(of_harvester)
        .chain(of_farmers)
        .chain(log_line)
        .chain(of_log);
    let mut changes = SettingsChanges::default();
    for (key, when, has_changed) in all {
        if has_changed {
            match when {
                Now => changes.followed.push(key),
                FromTheNextStart => changes.waiting.push(key),
            }
        }
    }
    changes
}

/// What is followed when `new` was read while `running` was.
fn follow(running: &mut Settings, new: Settings) {
    let waiting = running.clone();
    *running = Settings {
        harvester: HarvesterSettings {
            farmer_peers: waiting.harvester.farmer_peers,
            refresh: waiting.harvester.refresh,
            num_threads: waiting.harvester.num_threads,
            parallel_read: waiting.harvester.parallel_read,
            logging: LoggingSettings {
                log_level: new.harvester.logging.log_level,
                ..waiting.harvester.logging
            },
            ..new.harvester
        },
        logging: LoggingSettings {
            log_level: new.logging.log_level,
            ..waiting.logging
        },
        own: OwnSettings {
            legacy_ca: new.own.legacy_ca.or(waiting.own.legacy_ca),
            ..waiting.own
        },
        warnings: new.warnings,
        ..waiting
    };
}

impl fmt::Display for SettingsChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { followed, waiting } = self;
        match (followed.is_empty(), waiting.is_empty()) {
            (true, true) => f.write_str("nothing has changed"),
            (false, true) => write!(f, "{} followed", followed.join(", ")),
            (true, false) => write!(f, "{} will be followed from the next start", waiting.join(", ")),
            (false, false) => write!(
                f,
                "{} followed; {} will be followed from the next start",
                followed.join(", "),
                waiting.join(", ")
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings_for;
    use crate::ids::PuzzleHash;

    /// The settings of the simulated network with some texts replaced.
    fn settings(replaced: &[(&str, &str)]) -> Settings {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.yaml");
        let mut text = settings_for("simulator1").unwrap();
        for (from, to) in replaced {
            assert!(text.contains(from), "{from}");
            text = text.replacen(from, to, 1);
        }
        std::fs::write(&file, text).unwrap();
        Settings::load_file(&file).unwrap()
    }

    #[test]
    fn what_is_followed_and_what_waits_is_told_by_name() {
        let running = settings(&[]);
        let new = settings(&[
            ("  port: 8447", "  port: 8448"),
            ("log_level: INFO", "log_level: DEBUG"),
            ("plot_directories: []", "plot_directories: [/mnt/d1]"),
            ("num_threads: 30", "num_threads: 7"),
            ("\nfarmconsole:", "\nfarmconsole:\n  legacy_ca: off"),
        ]);
        let told = changes(&running, &new, true);
        assert_eq!(
            told.followed,
            [
                "harvester.plot_directories",
                "farmconsole.legacy_ca",
                "logging.log_level"
            ]
        );
        assert_eq!(told.waiting, ["harvester.num_threads", "farmer.port"]);
        assert_eq!(
            told.to_string(),
            "harvester.plot_directories, farmconsole.legacy_ca, logging.log_level followed; harvester.num_threads, \
             farmer.port will be followed from the next start"
        );
        let of_harvester = changes(&running, &new, false);
        assert_eq!(
            of_harvester.followed,
            ["harvester.plot_directories", "logging.log_level"]
        );
        assert_eq!(of_harvester.waiting, ["harvester.num_threads"]);
        assert_eq!(changes(&new, &new, true).to_string(), "nothing has changed");
    }

    #[test]
    fn what_waits_is_told_again_until_it_is_followed() {
        let mut running = settings(&[]);
        let new = settings(&[
            ("  port: 8447", "  port: 8448"),
            ("log_level: INFO", "log_level: DEBUG"),
            ("num_threads: 30", "num_threads: 7"),
            ("plot_directories: []", "plot_directories: [/mnt/d1]"),
        ]);
        let waiting = changes(&running, &new, true).waiting;
        follow(&mut running, new.clone());
        let told = changes(&running, &new, true);
        assert_eq!((told.followed, told.waiting), (Vec::new(), waiting));
    }

    #[test]
    fn an_address_that_no_farmer_starts_with_is_a_mistake_of_changed_settings() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.yaml");
        let good = address::encode("txch", &PuzzleHash([7; 32])).unwrap();
        let mut bad = good.clone();
        let last = bad.pop();
        bad.push(if last == Some('q') { 'p' } else { 'q' });
        for section in ["farmer", "pool"] {
            let write = |address: &str| {
                let text = format!("selected_network: simulator1\n{section}:\n  xch_target_address: {address}\n");
                std::fs::write(&file, text).unwrap();
            };
            write(&good);
            assert!(first_mistake(&file).is_none());
            write(&bad);
            let mistake = first_mistake(&file).unwrap().to_string();
            let told =
                format!(":3:23: {section}.xch_target_address should be an address that begins with txch1, but is not");
            assert!(mistake.contains(&told), "{mistake}");
        }
    }
}
