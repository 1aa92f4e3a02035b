use std::path::PathBuf;

use super::import::owner_of;
use super::*;
use crate::crypto::{PublicKey, derive, sign, standard_puzzle_hash, verify};
use crate::ids::PuzzleHash;

#[test]
fn a_mnemonic_gives_the_keys_and_the_address_of_the_official_software() {
    let farm = Farm::new();
    let report = farm
        .import(&mnemonic(), RewardAddresses::default(), ExistingKeys::Keep)
        .unwrap();
    let v = test_key();
    assert_eq!(
        u64::from(report.keys[0].fingerprint.unwrap()),
        v["fingerprint"].as_u64().unwrap()
    );
    assert_eq!(
        report.keys[0].farmer_public_key.to_string(),
        v["farmer_pk"].as_str().unwrap()
    );
    assert_eq!(
        report.keys[0].pool_public_key.unwrap().to_string(),
        v["pool_pk"].as_str().unwrap()
    );
    let address = RewardAddress {
        puzzle_hash: reward(),
        owner: AddressOwner::ImportedWallet {
            fingerprint: FINGERPRINT,
            index: 0,
        },
    };
    assert_eq!(
        (report.farmer_address, report.pool_address),
        (Some(address), Some(address))
    );
    assert_eq!(report.keys[0].pool_puzzle_hash, Some(reward()));
    assert_eq!(show(&farm.path).unwrap(), report.keys);
}

#[test]
fn loaded_keys_sign_for_the_farmer_key_and_claim_the_pool_rewards() {
    let farm = Farm::new();
    let report = farm
        .import(&mnemonic(), RewardAddresses::default(), ExistingKeys::Keep)
        .unwrap();
    let keys = load(&farm.path, None).unwrap();
    let farmer = report.keys[0].farmer_public_key;
    let signature = sign(keys.secret_for(&farmer).unwrap(), b"x");
    assert!(verify(&PublicKey::from_g1(&farmer).unwrap(), b"x", &signature));
    let pool = report.keys[0].pool_public_key.unwrap();
    assert!(keys.pool_target_signature(&pool, &reward()).is_ok());
}

#[test]
fn nothing_that_can_spend_reaches_the_file() {
    let farm = Farm::new();
    farm.import(&mnemonic(), RewardAddresses::default(), ExistingKeys::Keep)
        .unwrap();
    let text = std::fs::read_to_string(&farm.path).unwrap();
    let ImportSource::Mnemonic(words) = mnemonic() else {
        unreachable!()
    };
    let master = mnemonic::master_key(&words).unwrap();
    assert!(
        text.contains(&hex::encode(*derive::farmer_sk(&master).to_bytes())),
        "what is looked for could be found"
    );
    let wallet = derive::wallet_sk_unhardened(&master, 0).unwrap();
    for secret in [derive::pool_sk(&master), derive::wallet_sk(&master, 0), wallet, master] {
        assert!(!text.contains(&hex::encode(*secret.to_bytes())));
    }
    assert!(
        !words
            .split(' ')
            .any(|word| text.split_whitespace().any(|in_file| in_file == word && word.len() > 4))
    );
}

#[test]
fn a_new_pool_address_is_signed_by_importing_again() {
    let farm = Farm::new();
    farm.import(&mnemonic(), RewardAddresses::default(), ExistingKeys::Keep)
        .unwrap();
    let elsewhere = PuzzleHash([7; 32]);
    let addresses = RewardAddresses {
        farmer: None,
        pool: Some(elsewhere),
    };
    let report = farm.import(&mnemonic(), addresses, ExistingKeys::Keep).unwrap();
    assert_eq!(report.keys_in_file, 1);
    assert_eq!(
        report.pool_address,
        Some(RewardAddress {
            puzzle_hash: elsewhere,
            owner: AddressOwner::NotFound
        })
    );
    let keys = load(&farm.path, None).unwrap();
    let pool = report.keys[0].pool_public_key.unwrap();
    assert!(keys.pool_target_signature(&pool, &elsewhere).is_ok());
    assert!(keys.pool_target_signature(&pool, &reward()).is_err());
}

#[test]
fn addresses_on_both_paths_of_the_wallet_are_recognized() {
    let ImportSource::Mnemonic(words) = mnemonic() else {
        unreachable!()
    };
    let master = mnemonic::master_key(&words).unwrap();
    let new = standard_puzzle_hash(&derive::wallet_pk_unhardened(&master.public_key(), 49));
    let old = standard_puzzle_hash(&derive::wallet_sk(&master, 3).public_key());
    let beyond = standard_puzzle_hash(&derive::wallet_pk_unhardened(&master.public_key(), 50));
    let found = |index| AddressOwner::ImportedWallet {
        fingerprint: FINGERPRINT,
        index,
    };
    let wallets = [SecretKey::key_gen(&[1; 32]).unwrap(), master];
    assert_eq!(owner_of(&new, &wallets), found(49));
    assert_eq!(owner_of(&old, &wallets), found(3));
    assert_eq!(owner_of(&beyond, &wallets), AddressOwner::NotFound);
}

#[test]
fn a_second_wallet_is_kept_beside_the_first_or_replaces_it() {
    let farm = Farm::new();
    let first = farm
        .import(&mnemonic(), RewardAddresses::default(), ExistingKeys::Keep)
        .unwrap();
    let made_up = ImportSource::MadeUp { seed: 1 };
    let second = farm
        .import(&made_up, RewardAddresses::default(), ExistingKeys::Keep)
        .unwrap();
    assert_eq!(show(&farm.path).unwrap(), [first.keys, second.keys].concat());
    assert_eq!(load(&farm.path, None).unwrap().farmer_public_keys().len(), 2);
    let third = farm.import(
        &ImportSource::MadeUp { seed: 2 },
        RewardAddresses::default(),
        ExistingKeys::Replace,
    );
    assert_eq!(show(&farm.path).unwrap(), third.unwrap().keys);
}

#[test]
fn a_farmer_key_alone_takes_nothing_away_from_what_is_known() {
    let farm = Farm::new();
    let known = farm
        .import(&mnemonic(), RewardAddresses::default(), ExistingKeys::Keep)
        .unwrap();
    let keys = load(&farm.path, None).unwrap();
    let secret = hex::encode(*keys.secret_for(&known.keys[0].farmer_public_key).unwrap().to_bytes());
    let source = ImportSource::FarmerSecretKey(Zeroizing::new(format!("0x{secret}\n")));
    let again = farm
        .import(&source, RewardAddresses::default(), ExistingKeys::Keep)
        .unwrap();
    assert_eq!(
        (again.keys, again.farmer_address, again.pool_address),
        (known.keys, None, None)
    );

    let given = RewardAddresses {
        farmer: Some(reward()),
        pool: None,
    };
    let alone = farm.import(&source, given, ExistingKeys::Replace).unwrap();
    assert_eq!((alone.keys[0].fingerprint, alone.keys[0].pool_public_key), (None, None));
    let unchecked = RewardAddress {
        puzzle_hash: reward(),
        owner: AddressOwner::NotSearched,
    };
    assert_eq!(alone.farmer_address, Some(unchecked));
}

#[test]
fn a_failed_import_leaves_the_file_as_it_was() {
    let farm = Farm::new();
    farm.import(&mnemonic(), RewardAddresses::default(), ExistingKeys::Keep)
        .unwrap();
    let before = std::fs::read(&farm.path).unwrap();
    let wrong = [
        ImportSource::Mnemonic(Zeroizing::new("library cargo".into())),
        ImportSource::FarmerSecretKey(Zeroizing::new("library cargo".into())),
        ImportSource::FarmerSecretKey(Zeroizing::new("00".repeat(32))),
        ImportSource::FarmerSecretKey(Zeroizing::new("ff".repeat(32))),
        ImportSource::FarmerSecretKey(Zeroizing::new("11".repeat(31))),
    ];
    for source in wrong {
        for existing in [ExistingKeys::Keep, ExistingKeys::Replace] {
            assert!(farm.import(&source, RewardAddresses::default(), existing).is_err());
        }
    }
    assert_eq!(std::fs::read(&farm.path).unwrap(), before);
}

#[test]
fn a_damaged_file_is_neither_added_to_nor_farmed_with_but_can_be_replaced() {
    let farm = Farm::new();
    farm.import(&mnemonic(), RewardAddresses::default(), ExistingKeys::Keep)
        .unwrap();
    let text = std::fs::read_to_string(&farm.path)
        .unwrap()
        .replace("farmer_public_key: \"8c", "farmer_public_key: \"8d");
    std::fs::write(&farm.path, text).unwrap();
    let error = load(&farm.path, None).err().unwrap();
    assert!(matches!(error, KeysError::BadEntry { number: 1, .. }), "{error}");
    assert!(
        farm.import(&mnemonic(), RewardAddresses::default(), ExistingKeys::Keep)
            .is_err()
    );
    assert!(
        farm.import(&mnemonic(), RewardAddresses::default(), ExistingKeys::Replace)
            .is_ok()
    );
    assert!(load(&farm.path, None).is_ok());
}

#[test]
fn missing_and_empty_files_tell_how_to_import() {
    let farm = Farm::new();
    let missing = load(&farm.path, None).err().unwrap();
    assert!(matches!(missing, KeysError::Missing { .. }), "{missing}");
    file::write(&farm.path, &[], None).unwrap();
    let empty = load(&farm.path, None).err().unwrap();
    assert!(matches!(empty, KeysError::Empty { .. }), "{empty}");
    assert_eq!(show(&farm.path).unwrap(), []);
    for error in [missing, empty] {
        assert!(error.hint().unwrap().contains("keys import"));
    }
}

#[test]
fn made_up_keys_are_the_same_for_the_same_seed_only() {
    let key = |seed| {
        let farm = Farm::new();
        farm.import(
            &ImportSource::MadeUp { seed },
            RewardAddresses::default(),
            ExistingKeys::Keep,
        )
        .unwrap()
        .keys
    };
    assert_eq!(key(1), key(1));
    assert_ne!(key(1)[0].farmer_public_key, key(2)[0].farmer_public_key);
}

#[test]
fn a_keyring_gives_every_wallet_in_it_and_one_address_for_all_rewards() {
    let farm = Farm::new();
    let source = ImportSource::ChiaKeyring(keyring());
    let report = farm
        .import(&source, RewardAddresses::default(), ExistingKeys::Keep)
        .unwrap();
    // What `chia keys show --json` of 2.7.5 says of the same keyring.
    let official = [
        (FINGERPRINT, "8c4237642213c27b", "9488510418c12b85"),
        (3_781_984_839, "a0b37f085a99bbc9", "89d8893e12416866"),
    ];
    assert_eq!(report.keys.len(), official.len());
    for (key, (fingerprint, farmer, pool)) in report.keys.iter().zip(official) {
        assert_eq!(key.fingerprint, Some(fingerprint));
        assert!(key.farmer_public_key.to_string().starts_with(farmer));
        assert!(key.pool_public_key.unwrap().to_string().starts_with(pool));
        assert_eq!(key.pool_puzzle_hash, Some(reward()));
    }
    assert_eq!(report.farmer_address, report.pool_address);
    assert_eq!(load(&farm.path, None).unwrap().farmer_public_keys().len(), 2);
}

#[test]
fn a_locked_file_takes_more_keys_and_stays_locked() {
    let farm = Farm::new();
    let [right, other] = ["right", "other"].map(|text| Passphrase::new(Zeroizing::new(text.to_owned())));
    let cheap = Cost {
        memory_kib: 8,
        passes: 1,
        lanes: 1,
    };
    file::write(&farm.path, &[], Some((&right, cheap))).unwrap();
    let add = |passphrase| {
        let none = RewardAddresses::default();
        import(
            &farm.path,
            &mnemonic(),
            none,
            PoolsToImport::none(),
            ExistingKeys::Keep,
            passphrase,
        )
    };
    assert!(matches!(add(None), Err(KeysError::Locked { .. })));
    assert!(matches!(add(Some(&other)), Err(KeysError::WrongPassphrase { .. })));
    let report = add(Some(&right)).unwrap();
    assert!(is_locked(&farm.path).unwrap());
    assert_eq!(show(&farm.path).unwrap(), report.keys);
    assert!(matches!(load(&farm.path, None), Err(KeysError::Locked { .. })));
    assert_eq!(load(&farm.path, Some(&right)).unwrap().farmer_public_keys().len(), 1);

    assert!(set_passphrase(&farm.path, Some(&other), None).is_err());
    set_passphrase(&farm.path, Some(&right), None).unwrap();
    assert!(!is_locked(&farm.path).unwrap());
    assert_eq!(load(&farm.path, None).unwrap().farmer_public_keys().len(), 1);
}

struct Farm {
    path: PathBuf,
    _dir: tempfile::TempDir,
}

impl Farm {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self {
            path: dir.path().join("farmconsole/farming-keys.yaml"),
            _dir: dir,
        }
    }

    fn import(
        &self,
        source: &ImportSource,
        addresses: RewardAddresses,
        existing: ExistingKeys,
    ) -> Result<ImportReport, KeysError> {
        import(&self.path, source, addresses, PoolsToImport::none(), existing, None)
    }
}

fn test_key() -> serde_json::Value {
    let v: serde_json::Value = serde_json::from_str(include_str!("../../tests/vectors/keys.json")).unwrap();
    v["test_key"].clone()
}

fn mnemonic() -> ImportSource {
    ImportSource::Mnemonic(Zeroizing::new(test_key()["mnemonic"].as_str().unwrap().to_owned()))
}

fn reward() -> PuzzleHash {
    test_key()["reward_ph"].as_str().unwrap().parse().unwrap()
}

/// Two wallets, of which the first is the test key, and one that can only be looked at.
fn keyring() -> UnlockedKeyring {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/chia_keyring/passphrase.yaml");
    let passphrase = Passphrase::new(Zeroizing::new("correct horse bättery".to_owned()));
    ChiaKeyring::read(&path).unwrap().unlock(&passphrase).unwrap()
}

/// Of the test key.
const FINGERPRINT: u32 = 2_515_295_459;
