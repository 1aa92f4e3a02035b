//! The files that a scanner reads and writes for itself: the settings, which say where to look for plots, and the plot
//! cache. What is wrong with them is told, and the scanner goes on with what it knows.

use std::path::PathBuf;

use super::super::cache::{self, CachedPlots};
use super::super::inventory::Inventory;
use super::super::scan::ScanOptions;
use crate::config::{ConfigWarning, Settings};
use crate::logging::target::PLOT_MANAGER;

/// Files of its own that a scanner reads and writes.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct ScannerFiles {
    /// Settings, read again before each refresh: plot directories come and go while the harvester runs.
    pub(in super::super) settings: Option<PathBuf>,
    /// What is known of plots from the last run.
    pub(in super::super) cache: Option<PathBuf>,
}

/// Those files, and what was read from them and written.
#[derive(Debug)]
pub(super) struct OwnFiles {
    files: ScannerFiles,
    /// The options of the last refresh that could read them.
    options: Option<ScanOptions>,
    /// Warnings of the settings when they could last be read; none before the first time.
    warnings: Option<Vec<ConfigWarning>>,
    /// What was wrong with the settings when they were last read.
    trouble: Option<String>,
    cache_is_read: bool,
    /// [`Inventory::version`] of what is in the cache.
    saved: u64,
}

impl OwnFiles {
    /// Files that nothing was read from yet.
    pub(super) const fn new(files: ScannerFiles) -> Self {
        Self {
            files,
            options: None,
            warnings: None,
            trouble: None,
            cache_is_read: false,
            saved: 0,
        }
    }

    /// What the settings file says, and if it says nothing sensible what it said before; `first` if it never did.
    pub(super) fn newest_options(&mut self, first: ScanOptions) -> ScanOptions {
        let Some(file) = &self.files.settings else { return first };
        let read = match &self.warnings {
            Some(before) => Settings::load_again(file, before),
            None => Settings::load_file(file),
        };
        match read {
            Ok(settings) => {
                self.warnings = Some(settings.warnings.clone());
                let options = ScanOptions::of(&settings);
                self.options = Some(options.clone());
                self.trouble = None;
                options
            }
            Err(error) => {
                let trouble = error.to_string();
                if self.trouble.as_ref() != Some(&trouble) {
                    tracing::warn!(target: PLOT_MANAGER, "plot directories stay as they were: {trouble}");
                    self.trouble = Some(trouble);
                }
                self.options.clone().unwrap_or(first)
            }
        }
    }

    /// What was wrong with the settings when they were last read, with the file.
    pub(super) const fn settings_trouble(&self) -> Option<&String> {
        self.trouble.as_ref()
    }

    /// What is known of plots from the last run; given once.
    pub(super) fn load_cache(&mut self) -> Option<CachedPlots> {
        let file = self.files.cache.as_ref()?;
        if std::mem::replace(&mut self.cache_is_read, true) {
            return None;
        }
        match cache::load(file) {
            Ok(cached) => Some(cached),
            Err(error) => {
                tracing::warn!(target: PLOT_MANAGER, "the plot cache {} is not used and made anew: {error}", file.display());
                None
            }
        }
    }

    /// What belongs into the cache, if that has changed since this was last asked.
    pub(super) fn unsaved_cache(&mut self, inventory: &Inventory, now_unix_s: u64) -> Option<Vec<u8>> {
        self.files.cache.as_ref()?;
        let version = inventory.version();
        if std::mem::replace(&mut self.saved, version) == version {
            return None;
        }
        Some(cache::encode(inventory.cacheable(now_unix_s), now_unix_s))
    }

    /// Writes the cache.
    pub(super) fn save_cache(&self, bytes: &[u8]) {
        let Some(file) = &self.files.cache else { return };
        if let Err(error) = cache::save(file, bytes) {
            tracing::warn!(target: PLOT_MANAGER, "write the plot cache {}: {error}", file.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_misspelt_key_takes_no_plot_directories_away() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.yaml");
        let good = "harvester:\n  plot_directories: [/mnt/d1]\n";
        std::fs::write(&file, good).unwrap();
        let first = ScanOptions::of(&Settings::load_file(&file).unwrap());
        let mut files = OwnFiles::new(ScannerFiles {
            settings: Some(file.clone()),
            cache: None,
        });
        let mut refresh = |text: &str| {
            std::fs::write(&file, text).unwrap();
            let options = files.newest_options(first.clone());
            (options.directories, files.settings_trouble().cloned())
        };
        let kept = vec![Path::new("/mnt/d1").to_owned()];
        assert_eq!(refresh(good), (kept.clone(), None));
        for (word, slip) in [("plot_directories:", "plot_directorys:"), ("harvester:", "harvestr:")] {
            let (directories, trouble) = refresh(&good.replace(word, slip));
            assert_eq!(directories, kept, "{slip}");
            assert!(trouble.unwrap().ends_with("is that meant?"), "{slip}");
            assert_eq!(refresh(good), (kept.clone(), None));
        }
        assert_eq!(refresh("harvester:\n  plot_directories: []\n"), (Vec::new(), None));
    }
}
