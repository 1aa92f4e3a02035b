//! What a farm's certificates and its registry are worth when files of theirs are damaged or gone.

use super::*;

#[test]
fn a_registry_that_was_damaged_is_an_alarm_until_a_person_has_taken_it_away() {
    let dir = tempfile::tempdir().unwrap();
    let root = Root::new(dir.path());
    let start = || Fleet::open(&root, None, "simulator1", 8447, Clock::start(), None).unwrap();
    let alarms = |fleet: &Fleet| fleet.status().alarms;
    let fleet = start();
    assert_eq!(alarms(&fleet), []);
    // With this change there is a version before.
    fleet.list.change(|_| Ok::<_, RegistryError>(())).unwrap();
    let file = root.registry_file();
    let text = std::fs::read(&file).unwrap();
    std::fs::write(&file, &text[..text.len() / 2]).unwrap();
    let fleet = start();
    assert_eq!(alarms(&fleet), [AlarmKind::RegistryDamaged]);
    fleet.flush();
    assert_eq!(alarms(&fleet), [AlarmKind::RegistryDamaged], "nobody has looked yet");
    let fleet = start();
    assert_eq!(alarms(&fleet), [AlarmKind::RegistryDamaged], "it ended with a restart");
    let damaged = file.with_extension("json.damaged");
    assert_eq!(std::fs::read(&damaged).unwrap(), text[..text.len() / 2]);
    std::fs::remove_file(&damaged).unwrap();
    assert_eq!(alarms(&fleet), []);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(alarms(&start()), [AlarmKind::RegistryDamaged], "a list that is gone");
}

#[test]
fn a_key_of_an_authority_that_is_gone_or_damaged_is_an_alarm_and_nobody_is_invited() {
    let dir = tempfile::tempdir().unwrap();
    let root = Root::new(dir.path());
    let fleet = Fleet::open(&root, None, "simulator1", 8447, Clock::start(), None).unwrap();
    let key = root.farm_ca_dir().join("client_ca.key");
    let text = std::fs::read(&key).unwrap();
    let name: crate::config::HarvesterName = "q9".parse().unwrap();
    let invite = || fleet.desk.invite(&name, Duration::from_secs(60), None, Vec::new());
    for content in [None, Some(b"".as_slice()), Some(b"x")] {
        std::fs::remove_file(&key).unwrap();
        if let Some(content) = content {
            std::fs::write(&key, content).unwrap();
            crate::config::files::set_mode(&key, 0o600).unwrap();
        }
        let alarms = fleet.status().alarms;
        let [AlarmKind::CaKeyUnusable { file, why, remedy }] = alarms.as_slice() else {
            panic!("{alarms:?}");
        };
        assert!(file.ends_with("client_ca.key") && why.contains(file), "{file}: {why}");
        assert!(remedy.contains("restore") && remedy.contains("ca rotate"), "{remedy}");
        let error = invite().unwrap_err();
        assert!(error.to_string().contains("client_ca.key"), "{error}");
        assert!(error.hint().unwrap().contains("restore"), "{:?}", error.hint());
        // As many times as it was tried with a start, too.
        Fleet::open(&root, None, "simulator1", 8447, Clock::start(), None).unwrap();
        std::fs::write(&key, &text).unwrap();
        crate::config::files::set_mode(&key, 0o600).unwrap();
        assert_eq!(fleet.status().alarms, []);
        invite().unwrap();
    }
    // The key of another authority.
    std::fs::copy(root.farm_ca_dir().join("server_ca.key"), &key).unwrap();
    assert!(matches!(fleet.status().alarms[..], [AlarmKind::CaKeyUnusable { .. }]));
}

#[test]
fn lost_authorities_are_not_made_anew_while_a_harvester_relies_on_them() {
    use crate::ids::Bytes32;
    use crate::registry::CertificateRecord;

    let dir = tempfile::tempdir().unwrap();
    let root = Root::new(dir.path());
    let start = || Fleet::open(&root, None, "simulator1", 8447, Clock::start(), None);
    let fleet = start().unwrap();
    std::fs::remove_dir_all(root.farm_ca_dir()).unwrap();
    start().unwrap();
    let record = CertificateRecord {
        sha256: PeerId([1; 32]),
        spki_sha256: Bytes32([1; 32]),
        serial: "01".to_owned(),
        not_before_unix_s: 0,
        not_after_unix_s: 1_000_000,
        issuer: String::new(),
    };
    let name = "rack1".parse().unwrap();
    let enrol = |registry: &mut Registry| Ok::<_, FleetError>(registry.enrol(&name, MemberOrigin::Own, record, 5)?);
    fleet.list.change(enrol).unwrap();
    std::fs::remove_dir_all(root.farm_ca_dir()).unwrap();
    let error = start().unwrap_err();
    let (said, hint) = (error.to_string(), error.hint().unwrap());
    assert!(said.contains("server_ca.crt is missing"), "{said}");
    assert!(
        hint.starts_with("restore") && hint.contains("invite every harvester"),
        "{hint}"
    );
    // What the hint says, word for word.
    let command = hint.split('`').nth(1).unwrap();
    let shell = std::process::Command::new("sh").args(["-c", command]).status().unwrap();
    assert!(shell.success(), "{command}");
    assert_eq!(start().unwrap().status().alarms, []);
}

#[test]
fn the_name_of_the_farmer_s_own_harvester_is_given_to_nobody() {
    let of = |name: &str| name.parse::<crate::config::HarvesterName>().unwrap();
    let invite = |name: &str| FleetAsk::Invite {
        name: of(name),
        ttl_seconds: 60,
        from: None,
        addresses: Vec::new(),
    };
    let rename = FleetAsk::Rename {
        who: "barn".to_owned(),
        name: of("local"),
    };
    assert!(refuse_own_name(&invite("barn")).is_ok());
    for ask in [invite("local"), rename] {
        let refused = refuse_own_name(&ask).unwrap_err().to_string();
        assert!(refused.contains("choose another name"), "{refused}");
    }
}
