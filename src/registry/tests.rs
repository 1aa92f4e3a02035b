//! What the registry decides.

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
    assert_eq!(registry.rename("01010101", name("a")).unwrap(), "10.0.0.7");
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
