//! Which pools a farm has joined: `pooling/pooling_share_state.yaml`, where wallets of release 2.7.2 and later write it,
//! and the older `pool.pool_list` of the settings.
//!
//! Both are Chia's, and only read. The official software writes the first in place, so that a reader may see half of
//! it: whoever watches the file keeps what was good and reads again.

use std::path::Path;

use super::document::{Document, MAX_BYTES, Node};
use super::error::ConfigError;
use super::files;
use super::reader::Reader;
use super::root::Root;
use crate::farmer::PoolMembership;
use crate::snapshot::wrong_address;
use crate::wire::pool::PoolVersion;

/// The plotNFTs of a root, and what could not be read of them.
#[derive(Debug, Default)]
pub struct PoolList {
    /// In the order of the files, one for each contract. The newer file comes first.
    pub pools: Vec<PoolMembership>,
    /// Entries that are left out, and files that cannot be read.
    pub errors: Vec<ConfigError>,
}

impl PoolList {
    /// Reads both places. A file that is missing or empty lists nothing.
    #[must_use]
    pub fn load(root: &Root) -> Self {
        let mut list = Self::default();
        list.add(&root.pooling_file(), "pooling_information");
        list.add(&root.config_file(), SETTINGS_PATH);
        list
    }

    fn add(&mut self, file: &Path, path: &str) {
        match document(file) {
            Ok(Some(document)) => self.add_entries(&document, path),
            Ok(None) => {}
            Err(error) => self.errors.push(error),
        }
    }

    /// What is wrong with the pools in a settings file.
    pub(super) fn mistakes(document: &Document) -> Vec<ConfigError> {
        let mut list = Self::default();
        list.add_entries(document, SETTINGS_PATH);
        list.errors
    }

    fn add_entries(&mut self, document: &Document, path: &str) {
        let mut reader = Reader::new(document);
        match reader.node(path) {
            None => {}
            Some(Node::List(entries)) => {
                for index in 0..entries.len() {
                    let place = format!("{path}.{index}");
                    let Some(entry) = entry(&mut reader, &place) else {
                        continue;
                    };
                    let (launcher_id, contract) = (entry.launcher_id, entry.p2_singleton_puzzle_hash);
                    if self.pools.iter().any(|it| it.p2_singleton_puzzle_hash == contract) {
                        continue;
                    }
                    match self.pools.iter().find(|it| it.launcher_id == launcher_id) {
                        None => self.pools.push(entry),
                        // A plotNFT has one contract for as long as it lives.
                        Some(known) => reader.wrong(
                            &format!("{place}.p2_singleton_puzzle_hash"),
                            &format!(
                                "{}, as it is for plotNFT {launcher_id} elsewhere",
                                known.p2_singleton_puzzle_hash
                            ),
                            &contract.to_string(),
                        ),
                    }
                }
            }
            Some(other) => reader.wrong(path, "a list of pools", &other.describe()),
        }
        self.errors.append(&mut reader.errors);
    }
}

/// The file's values; none if it is not there or empty, as the official software makes it.
fn document(file: &Path) -> Result<Option<Document>, ConfigError> {
    let bytes = match files::read_limited(file, MAX_BYTES) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            return Err(ConfigError::Unreadable {
                file: file.to_path_buf(),
                source,
            });
        }
        Ok(bytes) => bytes,
    };
    if bytes.trim_ascii().is_empty() {
        return Ok(None);
    }
    Document::load(file).map(Some)
}

/// One plotNFT, if all of it can be used.
fn entry(reader: &mut Reader<'_>, path: &str) -> Option<PoolMembership> {
    let mistakes = reader.errors.len();
    let at = |key: &str| format!("{path}.{key}");
    let hash = "64 hex digits";
    let launcher_id = required(reader, &at("launcher_id"), hash);
    let target_puzzle_hash = required(reader, &at("target_puzzle_hash"), hash);
    let p2_singleton_puzzle_hash = required(reader, &at("p2_singleton_puzzle_hash"), hash);
    let owner_public_key = required(reader, &at("owner_public_key"), "96 hex digits");
    let pool_url = reader.text(&at("pool_url")).unwrap_or_default();
    let pool_url = pool_url.trim().trim_end_matches('/');
    if !pool_url.is_empty() && !is_url(pool_url) {
        reader.wrong(
            &at("pool_url"),
            "like https://pool.example",
            &format!("{:?}", wrong_address(pool_url)),
        );
    }
    let payout_instructions = reader.text(&at("payout_instructions")).unwrap_or_default();
    let version = match reader.number(&at("version"), 1, 1..=2) {
        2 => PoolVersion::V2,
        _ => PoolVersion::V1,
    };
    // -1 in entries of the first protocol.
    let index = reader.number(&at("key_derivation_index"), -1, -1..=i64::from(u32::MAX));
    if reader.errors.len() > mistakes {
        return None;
    }
    Some(PoolMembership {
        launcher_id: launcher_id?,
        pool_url: pool_url.to_owned(),
        payout_instructions,
        target_puzzle_hash: target_puzzle_hash?,
        p2_singleton_puzzle_hash: p2_singleton_puzzle_hash?,
        owner_public_key: owner_public_key?,
        version,
        key_derivation_index: u32::try_from(index).ok(),
    })
}

fn is_url(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    host.is_some_and(|it| !it.is_empty() && !it.contains(|c: char| c.is_whitespace() || c.is_control()))
}

fn required<T: std::str::FromStr>(reader: &mut Reader<'_>, path: &str, expected: &str) -> Option<T> {
    let text = reader.text(path).unwrap_or_default();
    let parsed = text.parse().ok();
    if parsed.is_none() {
        let got = if text.is_empty() {
            "nothing".to_owned()
        } else {
            format!("{text:?}")
        };
        reader.wrong(path, expected, &got);
    }
    parsed
}

/// Where the settings file lists pools.
const SETTINGS_PATH: &str = "pool.pool_list";

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(contract: &str, more: &str) -> String {
        format!(
            "- key_derivation_index: -1\n  launcher_id: {}\n  owner_public_key: {}\n  p2_singleton_puzzle_hash: {}\n  payout_instructions: {}\n  pool_url: https://pool.example\n  target_puzzle_hash: {}\n{more}",
            "a1".repeat(32),
            "b1".repeat(48),
            contract.repeat(32),
            "bb".repeat(32),
            "c1".repeat(32)
        )
    }

    fn root(state: Option<&str>, pool_list: &str) -> (tempfile::TempDir, Root) {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        std::fs::create_dir_all(root.config_file().parent().unwrap()).unwrap();
        std::fs::write(root.config_file(), format!("pool:\n  pool_list:{pool_list}")).unwrap();
        if let Some(state) = state {
            std::fs::create_dir_all(root.pooling_file().parent().unwrap()).unwrap();
            std::fs::write(root.pooling_file(), state).unwrap();
        }
        (dir, root)
    }

    #[test]
    fn newer_file_comes_before_the_older_list_and_each_contract_counts_once() {
        let state = format!(
            "pooling_information:\n{}{}",
            entry("d1", "  version: 1\n"),
            entry("d2", "  version: 2\n").replace("index: -1", "index: 4")
        );
        let state = state.replacen(&"a1".repeat(32), &"a2".repeat(32), 1);
        let older = entry("d1", "").replace("pool.example", "old.example")
            + &entry("d3", "").replace(&"a1".repeat(32), &"a3".repeat(32));
        let older = format!("\n{older}").replace('\n', "\n  ");
        let (_dir, root) = root(Some(&state), older.trim_end());
        let list = PoolList::load(&root);
        assert!(list.errors.is_empty(), "{:?}", list.errors);
        let seen: Vec<_> = list
            .pools
            .iter()
            .map(|pool| {
                (
                    pool.p2_singleton_puzzle_hash.0[0],
                    pool.version,
                    pool.key_derivation_index,
                )
            })
            .collect();
        let (v1, v2) = (PoolVersion::V1, PoolVersion::V2);
        assert_eq!(seen, [(0xd1, v1, None), (0xd2, v2, Some(4)), (0xd3, v1, None)]);
        assert_eq!(list.pools[0].pool_url, "https://pool.example");
        assert_eq!(list.pools[0].payout_instructions, "bb".repeat(32));
    }

    #[test]
    fn a_broken_entry_is_told_with_its_place_and_harms_no_other() {
        let broken = entry("d1", "").replace(&"b1".repeat(48), "b1b1");
        let (_dir, root) = root(
            Some(&format!("pooling_information:\n{broken}{}", entry("d2", ""))),
            " []\n",
        );
        let list = PoolList::load(&root);
        assert_eq!(list.pools.len(), 1);
        let [error] = &list.errors[..] else {
            panic!("{:?}", list.errors)
        };
        let text = error.to_string();
        assert!(
            text.contains("pooling_information.0.owner_public_key should be 96 hex digits"),
            "{text}"
        );
    }

    #[test]
    fn a_plotnft_of_two_contracts_is_a_mistake_and_the_first_one_counts() {
        let (_dir, root) = root(
            Some(&format!("pooling_information:\n{}{}", entry("d1", ""), entry("d2", ""))),
            " []\n",
        );
        let list = PoolList::load(&root);
        let contracts: Vec<_> = list
            .pools
            .iter()
            .map(|pool| pool.p2_singleton_puzzle_hash.0[0])
            .collect();
        assert_eq!(contracts, [0xd1]);
        let [error] = &list.errors[..] else {
            panic!("{:?}", list.errors)
        };
        let text = error.to_string();
        let (right, wrong) = ("d1".repeat(32), "d2".repeat(32));
        assert!(
            text.contains(&format!(
                "pooling_information.1.p2_singleton_puzzle_hash should be {right}"
            )) && text.contains(&wrong),
            "{text}"
        );
    }

    #[test]
    fn a_pool_that_cannot_be_asked_is_a_mistake_of_the_settings() {
        let told = |url: &str| {
            let entry = entry("d1", "").replace("https://pool.example", url);
            let (_dir, root) = root(None, format!("\n{entry}").replace('\n', "\n  ").trim_end());
            let findings = crate::config::check(&root.config_file(), &|_, _| Ok(()));
            let of_url: Vec<_> = findings
                .iter()
                .map(ToString::to_string)
                .filter(|it| it.contains("pool_url"))
                .collect();
            of_url.join(", ")
        };
        for good in ["https://pool.example/", "http://10.0.0.9:8080/pool", "''"] {
            assert_eq!(told(good), "", "{good}");
        }
        for secret in [
            "ftp://ann:secret@pool.example",
            "https//ann:secret@pool.example",
            "https:// ann:se/cret@pool.example",
        ] {
            let told = told(secret);
            assert!(told.contains("…@pool.example") && !told.contains("cret"), "{told}");
        }
        for bad in ["not a url", "pool.example", "https://", "ftp://pool.example"] {
            assert!(
                told(bad).contains("pool.pool_list.0.pool_url should be like https://"),
                "{bad}: {}",
                told(bad)
            );
        }
    }

    #[test]
    fn a_file_that_is_missing_or_empty_lists_nothing_and_half_a_file_is_an_error() {
        for state in [None, Some(""), Some("pooling_information: []\n")] {
            let (_dir, root) = root(state, " []");
            let list = PoolList::load(&root);
            assert!(
                list.pools.is_empty() && list.errors.is_empty(),
                "{state:?}: {:?}",
                list.errors
            );
        }
        let (_dir, root) = root(
            Some("pooling_information:\n- key_derivation_index: -1\n  launch"),
            " []\n",
        );
        assert_eq!(PoolList::load(&root).errors.len(), 1);
    }
}
