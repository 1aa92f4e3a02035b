//! The whole harvester over channels, with real plots.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::Service;
use super::testing::*;
use crate::crypto::{complete_plot_signature, verify};
use crate::ids::{Bytes32, FilterChallenge};
use crate::pos::{ProofContext, verify_proof_of_space};
use crate::snapshot::FarmerLinkState;
use crate::units::{Difficulty, Height};
use crate::wire::*;

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// Puts a plot into a directory under another name.
fn put(plot: &Path, directory: &tempfile::TempDir, name: &str) -> String {
    let path = fs::canonicalize(directory.path()).unwrap().join(name);
    fs::copy(plot, &path).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Lets the refresh end that may be running, and then keeps others from beginning.
async fn hang(service: &Service) -> tokio::sync::OwnedMutexGuard<()> {
    loop {
        match service.hang() {
            Some(hanging) => return hanging,
            None => tokio::task::yield_now().await,
        }
    }
}

/// Checks a proof as a farmer does, has it signed, and checks the signatures as a node does.
async fn prove_and_sign(farmer: &mut Farmer, found: &NewProofOfSpace, id: Option<u16>) {
    let context = ProofContext {
        challenge_hash: found.challenge_hash,
        sp_hash: found.sp_hash,
        signage_point_index: found.signage_point_index,
        peak_height: Height(0),
        last_tx_height: Height(0),
        filter_challenge: None,
    };
    let quality = verify_proof_of_space(&constants(), &found.proof, &context).unwrap();
    assert_eq!(found.plot_identifier[..64], quality.to_string());
    let messages = vec![Bytes32([0xaa; 32]), Bytes32([0xbb; 32])];
    let request = RequestSignatures {
        plot_identifier: found.plot_identifier.clone(),
        challenge_hash: found.challenge_hash,
        sp_hash: found.sp_hash,
        messages: messages.clone(),
        message_data: None,
        rc_block_unfinished: None,
    };
    farmer.send(ToHarvester::RequestSignatures(Box::new(request)), id).await;
    let (FromHarvester::RespondSignatures(response), answered) = farmer.answer().await else {
        panic!("no signatures")
    };
    assert_eq!(answered, id);
    assert_eq!(response.plot_identifier, found.plot_identifier);
    let signatures = complete_plot_signature(&farming_keys(), &found.proof, &response, &messages).unwrap();
    let key = crate::crypto::PublicKey::from_g1(&found.proof.plot_public_key).unwrap();
    assert!(
        signatures
            .iter()
            .zip(&messages)
            .all(|(s, m)| verify(&key, m.as_bytes(), s))
    );
}

#[tokio::test]
async fn everything_named_like_a_plot_is_told_under_what_it_is() {
    let dir = directory();
    let original = put(original(), &dir, "a.plot");
    let copy = put(Path::new(&original), &dir, "b.plot");
    let pooled = put(pooled(), &dir, "c.plot");
    let foreign = {
        let path = dir.path().join("d.plot");
        fs::write(&path, foreign()).unwrap();
        fs::canonicalize(path).unwrap().to_str().unwrap().to_owned()
    };
    fs::write(dir.path().join("e.plot"), b"no plot at all").unwrap();
    let mut farmer = Farmer::meet(service(dir.path()), keys()).await;
    let told = farmer.synced(|_| true).await;
    assert_eq!(told.plots.keys().collect::<Vec<_>>(), [&original, &pooled]);
    assert_eq!(told.duplicates, [copy]);
    assert_eq!(told.keys_missing, [foreign]);
    assert!(matches!(&told.invalid[..], [path] if path.ends_with("/e.plot")));
    assert!(told.initial);
    assert!(
        !farmer.synced(|_| true).await.initial,
        "a refresh later only changes are told"
    );
}

#[tokio::test]
async fn every_layout_of_a_signage_point_is_answered_with_proofs_that_can_be_signed() {
    let dir = directory();
    put(original(), &dir, "a.plot");
    put(pooled(), &dir, "b.plot");
    let mut farmer = Farmer::meet(service(dir.path()), keys()).await;
    farmer.synced(|told| told.plots.len() == 2).await;
    let heights = |filter_challenge| SignagePointFilter::Heights {
        peak_height: Height(0),
        last_tx_height: Height(0),
        filter_challenge,
    };
    let layouts = [
        (HarvesterLayout::V36, SignagePointFilter::PrefixBits(2)),
        (HarvesterLayout::V37, heights(None)),
        (HarvesterLayout::V38, heights(Some(FilterChallenge([9; 32])))),
    ];
    for (layout, filter) in layouts {
        let point = signage_point(&[original(), pooled()], filter);
        let message = ToHarvester::NewSignagePoint(point).encode(None, layout);
        let Some(ToHarvester::NewSignagePoint(point)) = ToHarvester::decode(&message).unwrap() else {
            panic!("no signage point")
        };
        let (proofs, info) = farmer.challenge(point.clone()).await;
        assert!(proofs.len() >= 2, "one of each plot");
        assert_eq!(
            (info.passed, info.proofs, info.total_plots),
            (2, proofs.len().try_into().unwrap(), 2)
        );
        assert_eq!(
            (info.challenge_hash, info.sp_hash),
            (point.challenge_hash, point.sp_hash)
        );
        assert!(info.timestamp > 1_700_000_000 && info.lookup_time > 0);
        for (proof, id) in proofs.iter().zip([None, Some(7), None, Some(8)]) {
            prove_and_sign(&mut farmer, proof, id).await;
        }
    }
}

#[tokio::test]
async fn plots_that_do_not_pass_the_filter_or_are_not_good_enough_are_counted_and_not_sent() {
    let dir = directory();
    put(original(), &dir, "a.plot");
    put(pooled(), &dir, "b.plot");
    let mut farmer = Farmer::meet(service(dir.path()), keys()).await;
    farmer.synced(|told| told.plots.len() == 2).await;
    let point = signage_point(&[original(), pooled()], HEIGHTS);
    let hard = NewSignagePointHarvester {
        sub_slot_iters: IMPOSSIBLE,
        ..point.clone()
    };
    let (proofs, info) = farmer.challenge(hard).await;
    assert_eq!((proofs.len(), info.passed, info.proofs, info.total_plots), (0, 2, 0, 2));
    let narrow = NewSignagePointHarvester {
        filter: SignagePointFilter::PrefixBits(40),
        ..point
    };
    let (proofs, info) = farmer.challenge(narrow).await;
    assert_eq!((proofs.len(), info.passed, info.proofs, info.total_plots), (0, 0, 0, 2));
}

#[tokio::test]
async fn what_a_pool_asks_replaces_what_the_chain_asks_for_plots_of_its_contract_unless_it_costs_blocks() {
    let dir = directory();
    put(original(), &dir, "a.plot");
    put(pooled(), &dir, "b.plot");
    let mut farmer = Farmer::meet(service(dir.path()), keys()).await;
    farmer.synced(|told| told.plots.len() == 2).await;
    let ask = |contract, sub_slot_iters| PoolDifficulty {
        difficulty: Difficulty(1),
        sub_slot_iters,
        pool_contract_puzzle_hash: contract,
    };
    let other = crate::ids::PuzzleHash([1; 32]);
    let point = signage_point(&[original(), pooled()], HEIGHTS);
    let with = |chain, pool_difficulties: Vec<_>| NewSignagePointHarvester {
        sub_slot_iters: chain,
        pool_difficulties,
        ..point.clone()
    };
    let mut pools_of = async |point| {
        let (proofs, _) = farmer.challenge(point).await;
        proofs
            .into_iter()
            .map(|found| found.proof.pool)
            .collect::<std::collections::BTreeSet<_>>()
    };
    let (own, contract) = (
        PlotPool::PublicKey(keys().pool_public_keys[0]),
        PlotPool::Contract(CONTRACT),
    );
    assert_eq!(
        pools_of(with(IMPOSSIBLE, vec![ask(CONTRACT, EASY)])).await,
        [contract].into()
    );
    assert_eq!(
        pools_of(with(EASY, vec![ask(CONTRACT, IMPOSSIBLE)])).await,
        [own, contract].into()
    );
    assert_eq!(pools_of(with(IMPOSSIBLE, vec![ask(other, EASY)])).await, [].into());
    let twice = vec![ask(CONTRACT, IMPOSSIBLE), ask(CONTRACT, EASY)];
    assert_eq!(
        pools_of(with(IMPOSSIBLE, twice)).await,
        [contract].into(),
        "the last one counts"
    );
}

#[tokio::test]
async fn linked_plots_and_plots_whose_names_are_no_text_win_too() {
    let dir = directory();
    let odd = dir.path().join(OsStr::from_bytes(b"odd \xff.plot"));
    fs::copy(original(), &odd).unwrap();
    symlink(pooled(), dir.path().join("link.plot")).unwrap();
    let mut farmer = Farmer::meet(service(dir.path()), keys()).await;
    let told = farmer.synced(|told| told.plots.len() == 2).await;
    assert!(
        told.plots
            .keys()
            .any(|name| name.starts_with("file:///") && name.ends_with("/odd%20%FF.plot"))
    );
    assert!(told.plots.keys().any(|name| name.ends_with("/link.plot")));
    let (proofs, _) = farmer.challenge(signage_point(&[original(), pooled()], HEIGHTS)).await;
    assert!(proofs.len() >= 2);
    for proof in &proofs {
        prove_and_sign(&mut farmer, proof, None).await;
    }
}

#[tokio::test]
async fn a_list_of_plots_is_given_on_request() {
    let dir = directory();
    let path = put(original(), &dir, "a.plot");
    fs::write(dir.path().join("b.plot"), b"").unwrap();
    let mut farmer = Farmer::meet(service(dir.path()), keys()).await;
    farmer.synced(|_| true).await;
    farmer.send(ToHarvester::RequestPlots, Some(3)).await;
    let (FromHarvester::RespondPlots(list), Some(3)) = farmer.answer().await else {
        panic!("no list")
    };
    let [plot] = &list.plots[..] else { panic!("{list:?}") };
    assert_eq!(
        (&plot.filename, plot.file_size.0),
        (&path, fs::metadata(&path).unwrap().len())
    );
    assert_eq!(
        (list.failed_to_open_filenames.len(), list.no_key_filenames.len()),
        (1, 0)
    );
}

#[tokio::test]
async fn a_plot_that_is_not_there_is_not_signed_for() {
    let dir = directory();
    let mut farmer = Farmer::meet(service(dir.path()), keys()).await;
    for plot_identifier in ["", "é".repeat(50).as_str(), &format!("{}/p/x.plot", "0".repeat(64))] {
        let request = RequestSignatures {
            plot_identifier: plot_identifier.to_owned(),
            challenge_hash: crate::ids::ChallengeHash([0; 32]),
            sp_hash: crate::ids::SpHash([0; 32]),
            messages: vec![Bytes32([1; 32])],
            message_data: None,
            rc_block_unfinished: None,
        };
        farmer
            .send(ToHarvester::RequestSignatures(Box::new(request)), Some(4))
            .await;
    }
    farmer.send(ToHarvester::RequestPlots, Some(5)).await;
    assert!(matches!(
        farmer.answer().await,
        (FromHarvester::RespondPlots(_), Some(5))
    ));
}

#[tokio::test]
async fn files_that_go_come_or_change_are_told_in_the_next_syncs() {
    let dir = directory();
    let first = put(original(), &dir, "a.plot");
    let second = put(original(), &dir, "b.plot");
    let mut farmer = Farmer::meet(service(dir.path()), keys()).await;
    let told = farmer.synced(|_| true).await;
    assert!(told.plots.contains_key(&first) && told.duplicates == [second.clone()]);

    fs::remove_file(&first).unwrap();
    let told = farmer.synced(|told| !told.plots.contains_key(&first)).await;
    assert!(told.plots.contains_key(&second), "the copy takes its place");
    assert!(told.duplicates.is_empty() && !told.initial);

    let before = told.plots[&second];
    put(pooled(), &dir, "new");
    fs::rename(dir.path().join("new"), &second).unwrap();
    farmer
        .synced(|told| told.plots.get(&second).is_some_and(|plot| *plot != before))
        .await;
    let (proofs, _) = farmer.challenge(signage_point(&[pooled()], HEIGHTS)).await;
    prove_and_sign(&mut farmer, &proofs[0], None).await;
}

#[tokio::test]
async fn a_file_cut_short_since_the_last_refresh_yields_an_answer_without_proofs() {
    let dir = directory();
    let path = put(original(), &dir, "a.plot");
    let mut service = service(dir.path());
    service.set_refresh_interval(std::time::Duration::from_secs(3600));
    let mut farmer = Farmer::meet(service, keys()).await;
    farmer.synced(|told| told.plots.len() == 1).await;
    fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(1000)
        .unwrap();
    let (proofs, info) = farmer.challenge(signage_point(&[original()], HEIGHTS)).await;
    assert_eq!((proofs.len(), info.passed, info.proofs), (0, 1, 0));
}

#[tokio::test]
async fn a_file_that_a_look_up_misses_is_told_soon_and_not_after_a_long_interval() {
    let dir = directory();
    let path = put(original(), &dir, "a.plot");
    let mut service = service(dir.path());
    service.set_refresh_interval(std::time::Duration::from_secs(3600));
    service.set_early_pause(std::time::Duration::ZERO);
    let mut farmer = Farmer::meet(service, keys()).await;
    farmer.synced(|told| told.plots.len() == 1).await;
    fs::remove_file(&path).unwrap();
    let (proofs, info) = farmer.challenge(signage_point(&[original()], HEIGHTS)).await;
    assert_eq!((proofs.len(), info.passed), (0, 1));
    farmer.synced(|told| told.plots.is_empty()).await;
}

#[tokio::test]
async fn a_farmer_that_refuses_the_sync_is_told_everything_anew() {
    let dir = directory();
    put(original(), &dir, "a.plot");
    let service = service(dir.path());
    let status = service.status();
    let mut farmer = Farmer::meet(service, keys()).await;
    farmer.synced(|told| told.plots.len() == 1).await;
    let (FromHarvester::PlotSync(start), _) = farmer.message().await else {
        panic!("no sync")
    };
    let message = "not a \u{1b}good moment".to_owned();
    let error = PlotSyncError {
        code: 0,
        message,
        expected_identifier: None,
    };
    farmer
        .send(
            ToHarvester::PlotSyncResponse(PlotSyncResponse::new(&start, Some(error))),
            None,
        )
        .await;
    let mut pictures = status.watch();
    let refused = pictures.wait_for(|it| it.farmer.sync_refused.is_some()).await.unwrap();
    let reason = refused.farmer.sync_refused.as_ref().map(|it| it.reason.clone());
    assert_eq!(reason.as_deref(), Some("not a good moment"));
    drop(refused);
    let told = farmer.synced(|_| true).await;
    assert!(told.initial && told.plots.len() == 1);
    let taken = pictures.wait_for(|it| it.farmer.sync_refused.is_none()).await;
    assert!(taken.is_ok());
}

#[tokio::test]
async fn a_new_connection_gets_all_plots_at_once_even_while_a_disk_hangs() {
    let dir = directory();
    put(original(), &dir, "a.plot");
    let mut farmer = Farmer::meet(service(dir.path()), keys()).await;
    farmer.synced(|told| told.plots.len() == 1).await;
    let service = farmer.hang_up().await;
    let hanging = hang(&service).await;
    let mut farmer = Farmer::meet(service, keys()).await;
    let told = farmer.synced(|_| true).await;
    assert!(told.initial && told.plots.len() == 1);
    let (proofs, _) = farmer.challenge(signage_point(&[original()], HEIGHTS)).await;
    assert!(!proofs.is_empty());
    // And other keys are minded, although no file can be looked at.
    let nobody = HarvesterHandshake {
        farmer_public_keys: Vec::new(),
        pool_public_keys: Vec::new(),
    };
    farmer.send(ToHarvester::HarvesterHandshake(nobody), None).await;
    farmer.synced(|told| told.plots.is_empty()).await;
    let service = farmer.stop().await;
    drop(hanging);
    let mut farmer = Farmer::meet(service, keys()).await;
    farmer.synced(|told| told.plots.len() == 1).await;
}

#[tokio::test]
async fn what_is_found_between_two_connections_is_told_in_the_second() {
    let dir = directory();
    put(original(), &dir, "a.plot");
    let mut farmer = Farmer::meet(service(dir.path()), keys()).await;
    farmer.send(ToHarvester::RequestPlots, None).await;
    // By then it has heard of the keys and begun to look for plots.
    farmer.answer().await;
    let service = farmer.hang_up().await;
    let _hanging = hang(&service).await;
    let mut farmer = Farmer::meet(service, keys()).await;
    farmer.synced(|told| told.plots.len() == 1).await;
}

#[tokio::test]
async fn other_keys_turn_plots_into_files_without_key_and_back() {
    let dir = directory();
    let original = put(original(), &dir, "a.plot");
    let pooled = put(pooled(), &dir, "b.plot");
    let mut farmer = Farmer::meet(service(dir.path()), keys()).await;
    farmer.synced(|told| told.plots.len() == 2).await;
    let without_pool = HarvesterHandshake {
        pool_public_keys: Vec::new(),
        ..keys()
    };
    farmer.send(ToHarvester::HarvesterHandshake(without_pool), None).await;
    let told = farmer.synced(|told| !told.keys_missing.is_empty()).await;
    assert_eq!(told.keys_missing, [original]);
    assert_eq!(told.plots.keys().collect::<Vec<_>>(), [&pooled]);
    farmer.send(ToHarvester::HarvesterHandshake(keys()), None).await;
    let told = farmer.synced(|told| told.plots.len() == 2).await;
    assert!(!told.initial);
    farmer.synced(|told| told.keys_missing.is_empty()).await;
}

#[tokio::test]
async fn who_watches_sees_drives_look_ups_and_the_farmer() {
    let dir = directory();
    put(original(), &dir, "a.plot");
    fs::write(dir.path().join("b.plot"), b"").unwrap();
    let service = service(dir.path());
    let status = service.status();
    let mut farmer = Farmer::meet(service, keys()).await;
    farmer.synced(|told| told.plots.len() == 1).await;
    let (proofs, info) = farmer.challenge(signage_point(&[original()], HEIGHTS)).await;
    let mut pictures = status.watch();
    let picture = pictures.wait_for(|p| !p.lookups.is_empty()).await.unwrap().clone();
    assert_eq!((picture.counts.farmed, picture.counts.failed), (1, 1));
    assert_eq!(picture.troubles.len(), 1);
    let [volume] = &picture.volumes[..] else {
        panic!("{:?}", picture.volumes)
    };
    assert_eq!((volume.plots, volume.not_farmed, volume.lookups), (1, 1, 1));
    assert!(volume.p50_us > 0 && volume.p50_us == volume.max_us && volume.errors == 0);
    let [lookup] = &picture.lookups[..] else {
        panic!("{:?}", picture.lookups)
    };
    assert_eq!((lookup.passed, lookup.total, lookup.missed), (1, 1, 0));
    assert_eq!((lookup.proofs, lookup.took_us), (proofs.len() as u64, info.lookup_time));
    assert_eq!((picture.proofs, picture.farmer.connections), (proofs.len() as u64, 1));
    assert!(picture.farmer.last_signage_point_unix_ms.is_some());
    farmer.hang_up().await;
    assert_eq!(status.farmer().state, FarmerLinkState::Connecting);
}
