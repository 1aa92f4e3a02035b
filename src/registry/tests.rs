//! What the registry decides.

use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

use super::*;

pub(super) fn name(text: &str) -> HarvesterName {
    text.parse().unwrap()
}

pub(super) fn certificate(n: u8) -> CertificateRecord {
    CertificateRecord {
        sha256: PeerId([n; 32]),
        spki_sha256: Bytes32([n; 32]),
        serial: format!("{n:02x}"),
        not_before_unix_s: 0,
        not_after_unix_s: 1_000_000,
        issuer: String::new(),
    }
}

#[test]
fn who_has_joined_and_still_counts_may_renew_and_nobody_else() {
    let mut registry = Registry::new("0".repeat(8));
    let name: HarvesterName = "barn".parse().unwrap();
    registry.handle_stranger(certificate(1), LegacyCa::Open, 5);
    registry
        .rename(&certificate(1).sha256.to_string(), name.clone())
        .unwrap();
    let renew = |registry: &mut Registry, old, new| {
        registry.renew(certificate(old).sha256, MemberOrigin::Own, certificate(new))
    };
    assert_eq!(
        renew(&mut registry, 1, 2),
        Err(ChangeError::NotJoined),
        "with one of Chia's CA"
    );
    registry.enrol(&name, MemberOrigin::Own, certificate(3), 6).unwrap();
    renew(&mut registry, 3, 4).unwrap();
    assert_eq!(registry.judge(certificate(4).sha256), Verdict::Allowed);
    registry.revoke("barn", 7).unwrap();
    assert_eq!(renew(&mut registry, 4, 5), Err(ChangeError::NotJoined), "revoked");
    assert_eq!(renew(&mut registry, 9, 5), Err(ChangeError::NotJoined), "unknown");
    assert_eq!(registry.judge(certificate(5).sha256), Verdict::Unknown);
}

#[test]
fn record_of_an_older_version_is_written_as_it_was() {
    let text = serde_json::to_string(&certificate(1)).unwrap();
    assert!(!text.contains("issuer"), "{text}");
    assert_eq!(
        serde_json::from_str::<CertificateRecord>(&text).unwrap(),
        certificate(1)
    );
}

fn registry() -> Registry {
    Registry::new("00112233".to_owned())
}

fn peer(n: u8) -> PeerId {
    PeerId([n; 32])
}

#[test]
fn unlisted_certificate_is_nobody_and_a_revoked_one_stays_out_with_its_key() {
    let mut registry = registry();
    assert_eq!(registry.judge(peer(1)), Verdict::Unknown);
    registry
        .enrol(&name("a"), MemberOrigin::Own, certificate(1), 5)
        .unwrap();
    assert_eq!(registry.judge(peer(1)), Verdict::Allowed);
    assert_eq!(registry.revoke("a", 6).unwrap(), "a");
    assert_eq!(registry.judge(peer(1)), Verdict::Revoked);
    let again = CertificateRecord {
        sha256: peer(9),
        ..certificate(1)
    };
    assert_eq!(registry.handle_stranger(again, LegacyCa::Open, 7), Verdict::Revoked);
    registry
        .enrol(&name("a"), MemberOrigin::Own, certificate(2), 8)
        .unwrap();
    assert_eq!(
        (registry.judge(peer(1)), registry.judge(peer(2))),
        (Verdict::Revoked, Verdict::Allowed)
    );
}

#[test]
fn strangers_of_the_old_ca_are_let_in_remembered_or_refused_as_set() {
    let mut registry = registry();
    assert_eq!(
        registry.handle_stranger(certificate(1), LegacyCa::Off, 5),
        Verdict::Unknown
    );
    assert_eq!(
        registry.handle_stranger(certificate(1), LegacyCa::Open, 5),
        Verdict::Allowed
    );
    assert_eq!(
        registry.handle_stranger(certificate(2), LegacyCa::Approve, 5),
        Verdict::Pending
    );
    assert_eq!(registry.judge(peer(2)), Verdict::Pending);
    registry.approve(&peer(2).short(), Some(name("b"))).unwrap();
    assert_eq!(registry.judge(peer(2)), Verdict::Allowed);
    assert_eq!(registry.names(), BTreeMap::from([(peer(2), "b".to_owned())]));
}

#[test]
fn whoever_holds_the_old_ca_cannot_fill_the_registry_by_waiting() {
    let mut registry = registry();
    for n in 0..200 {
        registry.handle_stranger(certificate(n), LegacyCa::Approve, 5);
    }
    assert_eq!(registry.members().len(), MAX_PENDING);
    assert_eq!(registry.judge(peer(199)), Verdict::Pending);
}

#[test]
fn old_certificate_counts_until_the_new_one_has_connected() {
    let mut registry = registry();
    registry
        .enrol(&name("a"), MemberOrigin::Own, certificate(1), 5)
        .unwrap();
    assert!(!registry.handle_connected(peer(1), "10.0.0.7", "x", 6));
    registry
        .enrol(&name("a"), MemberOrigin::Own, certificate(2), 7)
        .unwrap();
    assert!(!registry.handle_connected(peer(1), "10.0.0.7", "x", 8));
    assert!(registry.handle_connected(peer(2), "10.0.0.8", "x", 9));
    assert_eq!(
        (registry.judge(peer(1)), registry.judge(peer(2))),
        (Verdict::Unknown, Verdict::Allowed)
    );
    let member = &registry.members()[0];
    assert_eq!((member.first_seen_unix_s, member.last_seen_unix_s), (Some(6), Some(9)));
}

#[test]
fn harvesters_are_found_by_name_fingerprint_or_address_and_never_by_guess() {
    let mut registry = registry();
    for n in [1, 2] {
        registry.handle_stranger(certificate(n), LegacyCa::Open, 5);
        registry.handle_connected(peer(n), "10.0.0.7", "x", 6);
    }
    assert_eq!(
        registry.rename("10.0.0.7", name("a")),
        Err(ChangeError::Ambiguous {
            who: "10.0.0.7".to_owned()
        })
    );
    // The answer says which of the two it was.
    assert_eq!(registry.note("01010101", "attic").unwrap(), "10.0.0.7 (0101010101)");
    assert_eq!(registry.rename("01010101", name("a")).unwrap(), "10.0.0.7 (0101010101)");
    assert_eq!(registry.note("02020202", "cellar").unwrap(), "10.0.0.7");
    assert_eq!(
        registry.rename("02020202", name("a")),
        Err(ChangeError::NameTaken { name: name("a") })
    );
    assert_eq!(registry.rename("a", name("b")).unwrap(), "a");
    assert!(matches!(
        registry.revoke("0101", 7),
        Err(ChangeError::NoSuchHarvester { .. })
    ));
    assert_eq!(registry.revoke("b", 7).unwrap(), "b");
    assert_eq!(
        registry.revoke("b", 8),
        Err(ChangeError::Revoked { who: "b".to_owned() })
    );
}

#[test]
fn only_who_waits_is_let_in_and_the_address_it_came_from_names_it() {
    let mut registry = registry();
    registry
        .enrol(&name("rack1"), MemberOrigin::Own, certificate(1), 5)
        .unwrap();
    registry.handle_connected(peer(1), "127.0.0.1", "x", 6);
    let no_one = |who: &str| ChangeError::NotWaiting { who: who.to_owned() };
    for who in ["127.0.0.1", "rack1", "01010101"] {
        assert_eq!(registry.approve(who, None), Err(no_one(who)));
    }
    registry.handle_stranger(certificate(2), LegacyCa::Approve, 7);
    assert!(registry.handle_waiting(peer(2), "127.0.0.1"));
    assert!(!registry.handle_waiting(peer(2), "127.0.0.1"), "nothing new");
    assert!(!registry.handle_waiting(peer(1), "10.0.0.9"), "it does not wait");
    registry.approve("127.0.0.1", Some(name("rack2"))).unwrap();
    assert_eq!(registry.names()[&peer(2)], "rack2");
    assert_eq!(registry.judge(peer(2)), Verdict::Allowed);
    // Two that wait at one address are told apart by their ids alone.
    for n in [3, 4] {
        registry.handle_stranger(certificate(n), LegacyCa::Approve, 8);
        registry.handle_waiting(peer(n), "10.0.0.8");
    }
    let ambiguous = registry.approve("10.0.0.8", None);
    assert!(matches!(ambiguous, Err(ChangeError::Ambiguous { .. })), "{ambiguous:?}");
    registry.approve("04040404", None).unwrap();
    registry.approve("10.0.0.8", None).unwrap();
    assert_eq!(registry.judge(peer(3)), Verdict::Allowed);
}

#[test]
fn harvesters_that_came_before_and_not_since_the_start_are_missing() {
    let mut registry = registry();
    for (n, origin) in [
        (1, MemberOrigin::Own),
        (2, MemberOrigin::Own),
        (3, MemberOrigin::Official),
    ] {
        let name = name(&format!("h{n}"));
        registry.enrol(&name, origin, certificate(n), 5).unwrap();
    }
    registry.handle_stranger(certificate(4), LegacyCa::Open, 5);
    // The third was invited and never came.
    for n in [1, 2, 4] {
        registry.handle_connected(peer(n), "10.0.0.7", "x", 100);
    }
    let list = AllowList::in_memory(registry, LegacyCa::Open);
    let missing = |legacy_from: u64| -> Vec<_> {
        let missing = list.missing(legacy_from).into_iter();
        missing.map(|it| it.newest().unwrap().sha256).collect()
    };
    assert_eq!(missing(100), [peer(1), peer(2), peer(4)]);
    assert_eq!(missing(101), [peer(1), peer(2)]);
    let mut changes = list.changes();
    changes.mark_unchanged();
    // The clock of the machine may have been set back since.
    list.handle_connected(peer(1), "10.0.0.7", "x", 50);
    assert!(changes.has_changed().unwrap(), "whoever told of it looks again");
    assert_eq!(missing(100), [peer(2), peer(4)]);
    list.change(|registry| {
        registry
            .revoke("h2", 200)
            .map_err(|_| RegistryError::NoChance(getrandom::Error::UNSUPPORTED))
    })
    .unwrap();
    assert_eq!(missing(101), []);
    list.set_legacy(LegacyCa::Off);
    assert_eq!(missing(100), []);
}

#[test]
fn harvester_that_was_revoked_stays_out_with_the_certificate_it_had_before_it_joined() {
    let mut registry = registry();
    assert_eq!(
        registry.handle_stranger(certificate(1), LegacyCa::Open, 5),
        Verdict::Allowed
    );
    registry.rename("01010101", name("barn")).unwrap();
    let joined = registry.enrol(&name("barn"), MemberOrigin::Official, certificate(2), 6);
    assert_eq!(joined, Ok(()));
    assert!(registry.handle_connected(peer(2), "10.0.0.7", "x", 7));
    let written = serde_json::to_string(&registry).unwrap();
    let mut registry: Registry = serde_json::from_str(&written).unwrap();
    registry.reindex();
    // A machine that goes back to it is let in, as anybody of that CA is.
    let mut back = registry.clone();
    assert_eq!(
        back.handle_stranger(certificate(1), LegacyCa::Open, 8),
        Verdict::Allowed
    );
    registry.revoke("barn", 8).unwrap();
    for legacy in [LegacyCa::Open, LegacyCa::Approve, LegacyCa::Off] {
        assert_eq!(
            registry.handle_stranger(certificate(1), legacy, 9),
            Verdict::Revoked,
            "{legacy:?}"
        );
    }
    assert_eq!(
        registry.handle_stranger(certificate(3), LegacyCa::Open, 9),
        Verdict::Allowed
    );
}

/// One thing that may happen to a registry; numbers choose certificates, keys and names.
#[derive(Clone, Copy, Debug)]
enum Operation {
    Stranger(u8, u8),
    Enrol(u8),
    Connect(u8),
    Rename(u8, u8),
    Revoke(u8),
    Approve(u8, u8),
}

fn operation() -> impl Strategy<Value = Operation> {
    use Operation::*;
    prop_oneof![
        3 => (0_u8..8, 0_u8..3).prop_map(|(n, legacy)| Stranger(n, legacy)),
        3 => (0_u8..4).prop_map(Enrol),
        4 => any::<u8>().prop_map(Connect),
        2 => (any::<u8>(), 0_u8..4).prop_map(|(n, name)| Rename(n, name)),
        2 => any::<u8>().prop_map(Revoke),
        1 => (any::<u8>(), 0_u8..5).prop_map(|(n, name)| Approve(n, name)),
    ]
}

fn named(n: u8) -> HarvesterName {
    name(&format!("h{n}"))
}

/// Fingerprint of the newest certificate of some member, or of nobody.
fn somebody(registry: &Registry, n: u8) -> String {
    let members = registry.members();
    let member = (!members.is_empty()).then(|| &members[usize::from(n) % members.len()]);
    let certificate = member
        .and_then(Member::newest)
        .map_or_else(|| peer(0xff), |it| it.sha256);
    certificate.to_string()
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::SourceParallel("tests/regressions"))),
        ..ProptestConfig::default()
    })]

    /// Whoever was revoked stays out, and everybody else is who they were.
    #[test]
    fn any_life_of_a_registry_lets_nobody_back_in(operations in proptest::collection::vec(operation(), 1..80)) {
        let mut registry = registry();
        let (mut enrolled, mut gone) = (0x80_u8, BTreeSet::new());
        for operation in operations {
            let before = registry.clone();
            let mut changed = true;
            match operation {
                Operation::Stranger(n, legacy) => {
                    let legacy = [LegacyCa::Open, LegacyCa::Approve, LegacyCa::Off][usize::from(legacy)];
                    let verdict = registry.handle_stranger(certificate(n), legacy, 1);
                    prop_assert!(!gone.contains(&Bytes32([n; 32])) || verdict == Verdict::Revoked);
                }
                Operation::Enrol(n) => {
                    enrolled += 1;
                    registry.enrol(&named(n), MemberOrigin::Own, certificate(enrolled), 1).unwrap();
                    prop_assert_eq!(registry.judge(peer(enrolled)), Verdict::Allowed);
                }
                Operation::Connect(n) => {
                    let certificate = somebody(&registry, n).parse().unwrap();
                    if registry.judge(certificate) == Verdict::Allowed {
                        registry.handle_connected(certificate, &format!("10.0.0.{}", n % 3), "x", 2);
                    }
                }
                Operation::Rename(n, to) => changed = registry.rename(&somebody(&registry, n), named(to)).is_ok(),
                Operation::Revoke(n) => {
                    let who = somebody(&registry, n);
                    changed = registry.revoke(&who, 3).is_ok();
                    if let Some(member) = registry.member(who.parse().unwrap()).filter(|it| it.is_revoked()) {
                        gone.extend(member.certificates.iter().map(|it| it.spki_sha256));
                        // Who has come with such a key since is another one, to be revoked by itself.
                        let keys = member.former_keys.iter().copied();
                        gone.extend(keys.filter(|key| registry.members().iter().all(|it| !it.has_key(*key))));
                    }
                }
                Operation::Approve(n, to) => {
                    let to = (to < 4).then(|| named(to));
                    changed = registry.approve(&somebody(&registry, n), to).is_ok();
                }
            }
            prop_assert!(changed || registry == before, "an order that is refused changes nothing: {:?}", operation);
            let mut names = BTreeSet::new();
            let mut certificates = BTreeSet::new();
            for member in registry.members() {
                prop_assert!(!member.certificates.is_empty());
                prop_assert!(member.is_revoked() || member.name.as_ref().is_none_or(|it| names.insert(it.clone())));
                for it in &member.certificates {
                    prop_assert!(certificates.insert(it.sha256), "listed twice");
                    let verdict = registry.judge(it.sha256);
                    prop_assert_eq!(verdict == Verdict::Revoked, member.is_revoked());
                    prop_assert!(!gone.contains(&it.spki_sha256) || member.is_revoked());
                }
            }
            for key in &gone {
                prop_assert!(registry.is_key_revoked(*key));
            }
            let written = serde_json::to_string(&registry).unwrap();
            let mut read: Registry = serde_json::from_str(&written).unwrap();
            read.reindex();
            prop_assert_eq!(&read, &registry);
        }
    }
}
