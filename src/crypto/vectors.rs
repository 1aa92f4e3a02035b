//! What the official software computed, compared with what this module computes. `tests/vectors/keys.json` was written
//! by chia-blockchain 2.7.5; the digests below by the same, over keys that are too many to keep.

use serde_json::Value;

use super::*;
use crate::ids::{Bytes32, PuzzleHash};
use crate::wire::{G1Bytes, G2Bytes, PlotPool};

#[test]
fn key_gen_and_every_derived_key_match_the_official_ones() {
    let v = load();
    let seed = hex::decode(v["master_seed"].as_str().unwrap()).unwrap();
    let master = SecretKey::key_gen(&seed).unwrap();
    assert_key(&master, &v["master"]);
    assert_eq!(
        u64::from(master.public_key().fingerprint()),
        v["fingerprint"].as_u64().unwrap()
    );
    assert_key(&derive::farmer_sk(&master), &v["farmer"]);
    assert_key(&derive::pool_sk(&master), &v["pool"]);
    assert_key(&derive::wallet_sk(&master, 0), &v["wallet_hardened_0"]);
    assert_key(
        &derive::wallet_sk_unhardened(&master, 0).unwrap(),
        &v["wallet_unhardened_0"],
    );
    assert_key(&derive::singleton_owner_sk(&master, 0), &v["singleton_owner_0"]);
    assert_key(&derive::pool_authentication_sk(&master, 0), &v["pool_auth_0_0"]);
    assert_key(&derive::pool_authentication_sk(&master, 3), &v["pool_auth_3_0"]);

    let owner = synthetic_sk(&derive::wallet_sk_unhardened(&master, 4).unwrap()).unwrap();
    assert_key(&owner, &v["v2_owner_synthetic_index4"]);
    assert_key(&owner.derive_child_unhardened(12381).unwrap(), &v["v2_auth_key"]);

    let plot_master = SecretKey::key_gen(&hex::decode(v["local_master_seed"].as_str().unwrap()).unwrap()).unwrap();
    assert_key(&plot_master, &v["local_master"]);
    assert_key(&derive::local_sk(&plot_master), &v["local"]);
    let locals = derive::local_sks(&[plot_master, master]);
    assert_key(&locals[0], &v["local"]);
    assert_eq!(locals.len(), 2);
}

#[test]
fn a_hundred_random_keys_derive_sign_and_hash_as_in_the_official_software() {
    let mut all = Vec::new();
    for i in 0..100_u32 {
        let seed = sha256(&[b"farmconsole key test", &i.to_be_bytes()]);
        let master = SecretKey::key_gen(&seed).unwrap();
        let farmer = derive::farmer_sk(&master);
        let pool = derive::pool_sk(&master);
        let wallet = derive::wallet_sk_unhardened(&master, i).unwrap();
        let synthetic = synthetic_sk(&wallet).unwrap();
        assert_eq!(
            derive::wallet_pk_unhardened(&master.public_key(), i),
            wallet.public_key()
        );
        assert_eq!(synthetic_pk(&wallet.public_key()), synthetic.public_key());

        let signatures = [sign(&farmer, &seed), sign_prepend(&farmer, &pool.public_key(), &seed)];
        assert!(verify(&farmer.public_key(), &seed, &signatures[0]));
        let address = standard_puzzle_hash(&wallet.public_key());
        let (local, hardened) = (derive::local_sk(&master), derive::wallet_sk(&master, i));
        let owner = derive::singleton_owner_sk(&master, i);
        let authentication = derive::pool_authentication_sk(&master, u16::try_from(i).unwrap());
        for key in [
            master,
            farmer,
            pool,
            local,
            hardened,
            wallet,
            owner,
            authentication,
            synthetic,
        ] {
            all.extend_from_slice(key.to_bytes().as_slice());
            all.extend_from_slice(key.public_key().to_g1().as_bytes());
        }
        for signature in signatures {
            all.extend_from_slice(signature.to_g2().as_bytes());
        }
        all.extend_from_slice(address.as_bytes());
    }
    assert_eq!(
        hex::encode(sha256(&[&all])),
        "3015487de9a2dcf6db65cf049c2a18bb8f8af377603ad23bf56bffa65ca79800"
    );
}

#[test]
fn plain_signatures_match_the_official_ones() {
    let v = load();
    let master = secret(&v["master"]);
    let signature = sign(&master, b"hi");
    assert_eq!(signature.to_string(), text(&v["sign_hi"]));
    assert!(verify(&master.public_key(), b"hi", &signature));
    assert!(!verify(&master.public_key(), b"ho", &signature));
    assert!(!verify(&secret(&v["farmer"]).public_key(), b"hi", &signature));
}

#[test]
fn a_pool_target_is_signed_as_in_the_official_software() {
    let v = load();
    let pool = PoolKey::sign(&secret(&v["pool"]), PuzzleHash([0x71; 32]));
    assert_eq!(pool.signature().to_string(), text(&v["pool_target_sig"]["sig"]));
    let message = hex::decode(text(&v["pool_target_sig"]["pool_target"])).unwrap();
    assert!(verify(&secret(&v["pool"]).public_key(), &message, pool.signature()));
}

#[test]
fn plot_keys_and_shares_match_the_official_ones() {
    let v = load();
    let (local, farmer) = (secret(&v["local"]), secret(&v["farmer"]));
    let taproot = taproot_secret_key(&local.public_key(), &farmer.public_key());
    assert_key(&taproot, &v["taproot"]);
    let message: Bytes32 = text(&v["message"]).parse().unwrap();
    let pool_key = PlotPool::PublicKey(g1(&v["pool"]["pk"]));
    let contract = PlotPool::Contract(text(&v["pool_contract_puzzle_hash"]).parse().unwrap());
    let cases = [
        (
            pool_key,
            "plot_pk_og",
            "sig_og",
            vec![("local", &local), ("farmer", &farmer)],
        ),
        (
            contract,
            "plot_pk_contract",
            "sig_contract",
            vec![("local", &local), ("farmer", &farmer), ("taproot", &taproot)],
        ),
    ];
    for (pool, key_name, signatures, parties) in cases {
        let plot_key = plot_public_key(&local.public_key(), &farmer.public_key(), &pool);
        assert_eq!(plot_key.to_string(), text(&v[key_name]));
        let mut shares = Vec::new();
        for (name, key) in parties {
            let share = sign_prepend(key, &plot_key, message.as_bytes());
            assert_eq!(share.to_string(), text(&v[signatures][name]), "{signatures} {name}");
            shares.push(share);
        }
        let whole = Signature::aggregate(&shares);
        assert_eq!(whole.to_string(), text(&v[signatures]["aggregate"]));
        assert!(verify(&plot_key, message.as_bytes(), &whole));
        assert!(!verify(
            &plot_key,
            message.as_bytes(),
            &Signature::aggregate(&shares[1..])
        ));
    }
}

#[test]
fn a_wallet_key_has_the_official_puzzle_hash() {
    let v = load();
    let key = secret(&v["wallet_unhardened_0"]).public_key();
    assert_eq!(
        standard_puzzle_hash(&key).to_string(),
        text(&v["puzzle_hash_unhardened_0"])
    );
}

#[test]
fn points_are_read_as_strictly_as_by_the_official_software() {
    let infinity = |length: usize| [vec![0xc0], vec![0; length - 1]].concat();
    let read_g1 = |bytes: Vec<u8>| PublicKey::from_g1(&G1Bytes(bytes.try_into().unwrap()));
    let read_g2 = |bytes: Vec<u8>| Signature::from_g2(&G2Bytes(bytes.try_into().unwrap()));
    assert!(read_g1(infinity(48)).unwrap().is_infinity());
    assert_eq!(read_g2(infinity(96)), Ok(Signature::aggregate(&[])));

    let v = load();
    let good = hex::decode(text(&v["farmer"]["pk"])).unwrap();
    let not_compressed = [vec![good[0] & 0x7f], good[1..].to_vec()].concat();
    let signed_infinity = [vec![0xe0], vec![0; 47]].concat();
    let crooked_infinity = [infinity(47), vec![1]].concat();
    // x = 4 is on the curve but outside the group, x = 1 is not on the curve; 0xff… is not below the field's modulus.
    let outside_group = [vec![0x80], vec![0; 46], vec![4]].concat();
    let off_curve = [vec![0x80], vec![0; 46], vec![1]].concat();
    for bytes in [
        vec![0; 48],
        vec![0xff; 48],
        not_compressed,
        signed_infinity,
        crooked_infinity,
        outside_group,
        off_curve,
    ] {
        assert_eq!(
            read_g1(bytes.clone()),
            Err(CryptoError::NotAPublicKey),
            "{}",
            hex::encode(bytes)
        );
    }
    for bytes in [
        vec![0; 96],
        vec![0xff; 96],
        [vec![0xe0], vec![0; 95]].concat(),
        [vec![0x80], vec![0; 94], vec![1]].concat(),
    ] {
        assert_eq!(
            read_g2(bytes.clone()),
            Err(CryptoError::NotASignature),
            "{}",
            hex::encode(bytes)
        );
    }
}

#[test]
fn nothing_verifies_under_infinity() {
    let nobody = PublicKey::aggregate(&[]);
    assert!(nobody.is_infinity());
    assert!(!verify(&nobody, b"x", &Signature::aggregate(&[])));
    assert!(!verify(&nobody, b"", &Signature::aggregate(&[])));
    let somebody = secret(&load()["farmer"]);
    assert!(!verify(&somebody.public_key(), b"x", &Signature::aggregate(&[])));
    assert!(!verify(&nobody, b"x", &sign(&somebody, b"x")));
}

#[test]
fn sums_may_be_taken_in_any_order_and_with_infinity() {
    let v = load();
    let (a, b) = (secret(&v["farmer"]).public_key(), secret(&v["pool"]).public_key());
    let nobody = PublicKey::aggregate(&[]);
    assert_eq!(
        PublicKey::aggregate(&[&a, &b]),
        PublicKey::aggregate(&[&b, &nobody, &a])
    );
    // The same point twice is a doubling, which is another formula.
    assert_eq!(PublicKey::aggregate(&[&a, &a, &b]), PublicKey::aggregate(&[&a, &b, &a]));
    assert_eq!(PublicKey::aggregate(&[&a]), a);
}

#[test]
fn zero_and_numbers_beyond_the_group_order_are_no_secret_keys() {
    for bytes in [[0; 32], [0xff; 32]] {
        assert_eq!(SecretKey::from_bytes(&bytes).err(), Some(CryptoError::NotASecretKey));
    }
    assert_eq!(
        SecretKey::key_gen(&[7; 31]).err(),
        Some(CryptoError::SeedTooShort { got: 31 })
    );
}

pub(super) fn load() -> Value {
    serde_json::from_str(include_str!("../../tests/vectors/keys.json")).unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn g1(value: &Value) -> G1Bytes {
    text(value).parse().unwrap()
}

pub(super) fn secret(value: &Value) -> SecretKey {
    SecretKey::from_bytes(&hex::decode(text(&value["sk"])).unwrap().try_into().unwrap()).unwrap()
}

fn assert_key(key: &SecretKey, expected: &Value) {
    assert_eq!(hex::encode(*key.to_bytes()), text(&expected["sk"]));
    assert_eq!(key.public_key().to_string(), text(&expected["pk"]));
}
