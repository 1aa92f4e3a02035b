//! Tests of opening plots, and of their keys.

use super::super::testing::{keys, original, pooled};
use super::open_error::smallest_file;
use super::*;

/// A classic header of this k with pointers beyond the end.
fn start_of_a_plot(k: u8) -> Vec<u8> {
    let mut bytes = b"Proof of Space Plot".to_vec();
    bytes.extend([1; 32]);
    bytes.push(k);
    bytes.extend(b"\x00\x04v1.0\x00\x70");
    bytes.extend([2; 112]);
    for table in 1..=10_u64 {
        bytes.extend((table << 30).to_be_bytes());
    }
    bytes
}

#[test]
fn the_beginning_of_a_large_plot_is_being_copied_and_of_a_small_one_is_broken() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.plot");
    let keys = HarvesterHandshake {
        farmer_public_keys: Vec::new(),
        pool_public_keys: Vec::new(),
    };
    let open = |k| {
        std::fs::write(&path, start_of_a_plot(k)).unwrap();
        LoadedPlot::open(&path, &keys).unwrap_err()
    };
    let large = open(32);
    assert!(
        matches!(large, OpenError::BeingCopied { size: 252, k: 32, .. }),
        "{large}"
    );
    let small = open(25);
    assert!(
        matches!(
            small,
            OpenError::Plot {
                source: PlotError::CutOff { .. },
                ..
            }
        ),
        "{small}"
    );
}

#[test]
fn smallest_file_of_a_k_32_plot_is_what_the_official_software_computes() {
    // int(0.98 * 0.78 * expected_plot_size(32))
    assert_eq!(smallest_file(32), 106_699_872_534);
}

#[test]
fn a_plot_opened_with_known_facts_proves_and_signs_like_one_opened_without() {
    let opened = LoadedPlot::open(pooled(), &keys()).unwrap();
    let facts = opened.facts().unwrap();
    let known = LoadedPlot::open_known(opened.plot_path(), opened.stamp(), opened.volume(), &keys(), &facts).unwrap();
    assert_eq!(known.facts(), opened.facts());
    assert_eq!(known.describe(), opened.describe());
    for byte in 0..8 {
        let challenge = PosChallenge([byte; 32]);
        let file = opened.open_file().unwrap();
        let (of_known, of_opened) = (known.qualities(&file, &challenge), opened.qualities(&file, &challenge));
        assert_eq!(of_known.unwrap(), of_opened.unwrap());
    }
    let message = Bytes32([1; 32]);
    assert_eq!(known.sign(&[message]).unwrap(), opened.sign(&[message]).unwrap());
}

#[test]
fn facts_with_keys_of_another_plot_are_refused() {
    let (opened, other) = (
        LoadedPlot::open(pooled(), &keys()).unwrap(),
        LoadedPlot::open(original(), &keys()),
    );
    let mut facts = opened.facts().unwrap();
    facts.keys = *other.unwrap().known_keys().unwrap();
    let refused =
        LoadedPlot::open_known(opened.plot_path(), opened.stamp(), opened.volume(), &keys(), &facts).unwrap_err();
    assert!(matches!(refused, OpenError::WrongId { .. }), "{refused}");
}

#[test]
fn keys_left_for_later_are_those_worked_out_at_once_and_belong_to_the_id() {
    let (opened, later) = (
        LoadedPlot::open(pooled(), &keys()).unwrap(),
        LoadedPlot::open_without_keys(&pooled().into(), &keys()).unwrap(),
    );
    assert_eq!(
        (later.known_keys(), later.describe(), later.facts()),
        (None, None, None)
    );
    assert!(later.is_same(&opened));
    assert_eq!(later.own_keys().unwrap(), opened.own_keys().unwrap());
    assert_eq!((later.describe(), later.facts()), (opened.describe(), opened.facts()));

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.plot");
    let mut bytes = std::fs::read(pooled()).unwrap();
    bytes[20] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let plot = LoadedPlot::open_without_keys(&path.into(), &keys()).unwrap();
    for _ in 0..2 {
        assert!(matches!(plot.own_keys(), Err(OpenError::WrongId { .. })));
    }
    assert!(matches!(plot.sign(&[Bytes32([1; 32])]), Err(OpenError::WrongId { .. })));
}

#[test]
fn another_plot_under_the_same_name_is_not_signed_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.plot");
    std::fs::copy(original(), &path).unwrap();
    let plot = LoadedPlot::open(&path, &keys()).unwrap();
    std::fs::copy(pooled(), &path).unwrap();
    let refused = plot.sign(&[Bytes32([1; 32])]).unwrap_err();
    assert!(matches!(refused, OpenError::Changed { .. }), "{refused}");
}
