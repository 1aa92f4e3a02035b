//! Recordings are gone through as they were, and tell nothing private unless they were meant to.

use std::io::BufRead;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use serde_json::Value;

use super::write::is_alike;
use super::*;
use crate::clock::UnixMillis;
use crate::control::RecordedCall;
use crate::farmer::Call;
use crate::farmer::tests::operations::{live, operation};
use crate::farmer::tests::story::*;
use crate::farmer::{
    ExpectedHarvester, FarmerConfig, FarmerKeys, FleetStatus, Input, JoinedPool, NodeLink, NodeStatus, PlotPlace,
    PoolAnswer, PoolMembership, PoolReply, PoolRequest,
};
use crate::ids::{Bytes32, ChallengeHash, LauncherId, PuzzleHash, QualityString};
use crate::logging::{LogLevel, Service};
use crate::snapshot::{AlarmKind, Concern, ConnectedPeer, HarvesterId, Notice, RefusalCause};
use crate::wire::pool::PoolVersion;
use crate::wire::{
    FoliageBlockData, FromHarvester, G1Bytes, G2Bytes, PlotPool, PoolTarget, RequestSignedValues,
    RewardChainBlockUnfinished, Streamable,
};

/// What is private in [`life`].
const SECRETS: [&str; 23] = [
    "pantry",
    "barn",
    "6261726e00",
    "10.20.30.40",
    "/home/ann",
    "my drive",
    "vault",
    "cottage",
    "63656c6c6172",
    "xch1qqqqqqqqqqqqqqqqqqqq",
    "node.lan",
    "pool.example",
    "hush",
    "The Pool",
    "1a1a1a1a1a",
    "bbbbbbbbbb",
    "c0c0c0c0c0",
    "d7d7d7d7d7",
    "f1f1f1f1f1",
    "0101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101",
    "0707070707",
    "5f6d6e745f",
    "9e9e9e9e9e",
];

/// A small farm in which everything happens: plots come and go, a proof becomes a partial and a block, a node explains what
/// it wants signed, pools are asked, strangers knock, names are given.
fn life() -> Story {
    let mut story = Story::of(FarmerConfig {
        keys: FarmerKeys {
            farmer_address: Some("xch1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq".to_owned()),
            pool_rewards: Some(vec![(G1Bytes([0x9e; 48]), PuzzleHash([0x9e; 32]))]),
            ..keys()
        },
        ..config()
    });
    story.input(Input::Node {
        node: NODE,
        status: NodeStatus {
            link: NodeLink::Down {
                why: "open /home/ann/my drive/x.crt: no such file".to_owned(),
            },
            ..node_status("node.lan:8444")
        },
    });
    let lost = AlarmKind::PlotsLost {
        harvester: HarvesterId(3),
        name: "pantry".to_owned(),
        lost: 4,
        directory: Some("/home/ann/my drive".to_owned()),
    };
    story.input(Input::PastAlarms(vec![past_alarm(lost)]));
    story.input(Input::PastPlots([(certificate("cellar"), 412)].into()));
    story.pass(seconds(5));
    story.input(Input::Node {
        node: NODE,
        status: node_status("node.lan:8444"),
    });
    story.input(Input::Pools(vec![pool()]));
    let barn = story.connect_as("barn", "10.20.30.40:51234", "0.0.38");
    story.sync_all(barn, &plots("/home/ann/my drive", 4));
    let shelf = story.connect_as("shelf", "10.20.30.40:51235", "0.0.37");
    let mut others = plots("/mnt/d2", 3);
    others[0].pool = PlotPool::Contract(PuzzleHash([0xd7; 32]));
    story.sync_all(shelf, &[plots("/home/ann/my drive", 1), others].concat());
    pass_with_pools(&mut story, 3);
    for _ in 0..3 {
        let point = story.signage_point();
        // So many pass by their ids, too.
        story.answer_with(barn, &point, 0, 4);
        pass_with_pools(&mut story, 9);
    }
    let point = story.signage_point();
    story.proof(barn, &point, 3);
    let quality = QualityString([9; 32]);
    for job in story.verifications() {
        story.input(Input::Verified {
            job,
            result: Ok(quality),
        });
    }
    for _ in 0..2 {
        story.share_signatures(barn);
        story.sign();
        pass_with_pools(&mut story, 1);
    }
    let request = explained(&mut story, quality);
    story.input(Input::RequestSignedValues { node: NODE, request });
    story.share_signatures(barn);
    story.sign();
    let mut step = SyncStep {
        removed: &["/home/ann/my drive/_home_ann_my drive-1.plot"],
        failed: &["/home/ann/my drive/bad.plot"],
        ..SyncStep::default()
    };
    story.sync(barn, step);
    step.removed = &[];
    story.sync(barn, step);
    story.input(Input::ConnectionRefused {
        address: "10.20.30.40:4".parse().unwrap(),
        cause: RefusalCause::ForeignCa,
    });
    story.embedded("local");
    let damaged = |drive: &str| Concern::PlotsDamaged {
        drive: drive.to_owned(),
        look_ups: 3,
        last: format!("read {drive}/x.plot: plot is damaged"),
    };
    let wants = Concern::LookUpsFail {
        drive: "/srv/our vault".to_owned(),
        last: "open /srv/our vault/y.plot: Too many open files".to_owned(),
    };
    story.input(Input::DriveTroubles {
        troubles: vec![damaged("/srv/our vault"), damaged("/home/ann/my drive"), wants],
    });
    let ca = "/home/ann/my drive/our cottage/farmconsole/ca";
    story.input(Input::Fleet(FleetStatus {
        alarms: vec![AlarmKind::CaKeyUnusable {
            file: format!("{ca}/client_ca.key"),
            why: format!("cannot read {ca}/client_ca.key: no such file"),
            remedy: format!(
                "restore it from a backup of {ca}: `mkdir '/home/ann/my drive/our cottage/farmconsole/lost'`"
            ),
        }],
        expected: vec![ExpectedHarvester {
            peer: ConnectedPeer {
                peer_id: certificate("cellar"),
                address: "10.20.30.40:0".parse().unwrap(),
                software_version: "2.7.5".to_owned(),
                protocol_version: String::new(),
            },
            first_seen: UnixMillis(1),
            last_seen: UnixMillis(2),
        }],
        ..FleetStatus::default()
    }));
    story.disconnect(barn);
    let old = plots("/mnt/old", 2).into_iter().map(|plot| PlotPlace {
        path: format!("/home/ann/my drive/our cottage{}", plot.filename).into(),
        plot_id: plot.plot_id,
    });
    story.input(Input::PlotsMissing {
        harvester: HarvesterId(1),
        plots: old.collect(),
    });
    pass_with_pools(&mut story, 400);
    story
}

fn pool() -> JoinedPool {
    JoinedPool {
        membership: PoolMembership {
            launcher_id: LauncherId([0x1a; 32]),
            pool_url: "https://ann:hush@pool.example".to_owned(),
            payout_instructions: "bb".repeat(32),
            target_puzzle_hash: PuzzleHash([0x7a; 32]),
            p2_singleton_puzzle_hash: CONTRACT,
            owner_public_key: G1Bytes([0x0e; 48]),
            version: PoolVersion::V1,
            key_derivation_index: None,
        },
        authentication_public_key: Some(G1Bytes([0xa0; 48])),
    }
}

/// Lets time pass; the pool answers every second.
fn pass_with_pools(story: &mut Story, for_s: u64) {
    for _ in 0..for_s {
        story.pass(seconds(1));
        let asked = story.take(|output| match output {
            Output::AskPool { job, request, .. } => Some((*job, request.clone())),
            _ => None,
        });
        for (job, request) in asked {
            let reply = match request {
                PoolRequest::Info => PoolReply::Info {
                    name: "The Pool".to_owned(),
                    minimum_difficulty: 1,
                    authentication_token_timeout: 5,
                },
                PoolRequest::Farmer { .. } => PoolReply::Farmer {
                    payout_instructions: "BB".repeat(32),
                    current_difficulty: 1,
                    current_points: 77,
                },
                PoolRequest::Register | PoolRequest::SetPayout => PoolReply::Done,
                PoolRequest::Partial(_) => PoolReply::Accepted { new_difficulty: 1 },
            };
            let answer = PoolAnswer {
                result: Ok(reply),
                server_unix_s: None,
                moved_to: None,
            };
            story.input(Input::PoolAnswered { job, answer });
        }
    }
}

/// What an honest node wants signed for the proof that was declared.
fn explained(story: &mut Story, quality: QualityString) -> Box<RequestSignedValues> {
    let declared = story.declarations().pop().expect("a declaration").1;
    let block = RewardChainBlockUnfinished {
        total_iters: u128::MAX,
        signage_point_index: declared.signage_point_index,
        pos_ss_cc_challenge_hash: ChallengeHash([6; 32]),
        proof_of_space: declared.proof_of_space.clone(),
        challenge_chain_sp_vdf: None,
        challenge_chain_sp_signature: G2Bytes([7; 96]),
        reward_chain_sp_vdf: None,
        reward_chain_sp_signature: G2Bytes([8; 96]),
    };
    let PlotPool::Contract(contract) = declared.proof_of_space.pool else {
        panic!("plots of stories are made for a contract");
    };
    let foliage = FoliageBlockData {
        unfinished_reward_block_hash: block.get_hash(&quality),
        pool_target: PoolTarget {
            puzzle_hash: contract,
            max_height: 0,
        },
        pool_signature: None,
        farmer_reward_puzzle_hash: declared.farmer_puzzle_hash,
        extension_data: Bytes32::default(),
    };
    Box::new(RequestSignedValues {
        quality_string: quality,
        foliage_block_data_hash: foliage.get_hash(),
        foliage_transaction_block_hash: Bytes32::default(),
        foliage_block_data: Some(foliage),
        foliage_transaction_block_data: None,
        rc_block_unfinished: Some(block),
    })
}

/// Records from so many calls on.
fn record(story: &Story, scrubber: Option<Scrubber>, from: usize) -> (String, End) {
    let (beginning, calls) = story.told();
    let mut farmer: Farmer = serde_json::from_str(&beginning).unwrap();
    let mut began = start();
    for (now, call, _) in &calls[..from] {
        farmer.call(*now, call.clone());
        take_outputs(&mut farmer, true, 0);
        began = *now;
    }
    let mut file = Vec::new();
    let farmer = serde_json::to_string(&farmer).unwrap();
    let mut recorder = Recorder::new(&mut file, began, &farmer, scrubber).unwrap();
    for (now, call, outputs) in &calls[from..] {
        let recorded = RecordedCall {
            now: *now,
            call: call.clone(),
            outputs: as_json(outputs).unwrap(),
            is_settled: true,
        };
        recorder.call(recorded).unwrap();
    }
    let logged = LogRecord {
        number: 1,
        at_unix_ms: began.unix,
        level: LogLevel::Info,
        service: Service::Farmer,
        logger: "farmer_server".to_owned(),
        message: "barn (10.20.30.40) has /home/ann/my drive/x.plot, node.lan waits, pool.example answers".to_owned(),
    };
    recorder.log(logged).unwrap();
    let end = recorder.finish("it was long enough".to_owned()).unwrap();
    (String::from_utf8(file).unwrap(), end)
}

/// Goes through a recording: the farmer in the end, and at how many calls it did something else.
fn play(file: &str) -> (Player, usize) {
    let (mut recording, beginning) = Recording::open(file.as_bytes()).unwrap();
    let mut player = Player::new(beginning);
    let mut otherwise = 0;
    while let Some(line) = recording.next_line().unwrap() {
        if let Line::Call(line) = line {
            otherwise += usize::from(!player.play(*line).agrees);
        }
    }
    (player, otherwise)
}

#[test]
fn raw_recording_is_gone_through_as_it_was_from_any_call_on() {
    let story = life();
    let calls = story.told().1.len();
    for from in [0, calls / 3, calls / 2, calls - 1] {
        let (file, end) = record(&story, None, from);
        let (player, otherwise) = play(&file);
        assert_eq!((otherwise, end.calls, end.otherwise), (0, (calls - from) as u64, 0));
        let snapshot = player.farmer().snapshot(story.now);
        assert_eq!(snapshot, story.snapshot(), "from call {from}");
        for secret in SECRETS {
            assert!(from > 0 || file.contains(secret), "{secret} would be no test");
        }
    }
}

#[test]
fn scrubbed_recording_tells_the_same_story_of_nobody() {
    let story = life();
    let calls = story.told().1.len();
    for from in [0, calls / 3, calls / 2] {
        let (file, end) = record(&story, Some(Scrubber::new([7; 32])), from);
        for secret in SECRETS {
            let line = file.lines().find(|line| line.contains(secret));
            assert_eq!(line.map(|line| &line[..line.len().min(2_000)]), None, "{secret}");
        }
        assert_eq!(end.otherwise, 0, "the shadow does what the farmer did");
        let (player, otherwise) = play(&file);
        assert_eq!(otherwise, 0);
        let mut told = player.farmer().snapshot(story.now);
        let mut was = story.snapshot();
        for snapshot in [&mut told, &mut was] {
            assert!(snapshot.wins.blocks_signed == 1 && snapshot.pools[0].points_acknowledged_24h > 0);
            for harvester in &mut snapshot.harvesters {
                // What cannot be the same, and is said.
                harvester.eligibility = Default::default();
            }
        }
        let [told, was] = [told, was].map(|snapshot| serde_json::to_value(snapshot).unwrap());
        assert!(is_alike(&told, &was), "from call {from}:\n{told}\n{was}");
    }
}

#[test]
fn what_a_scrubbed_recording_cannot_tell_is_counted() {
    let mut story = Story::new();
    let barn = story.connect_with("barn", &plots("/mnt/d1", 4));
    for _ in 0..4 {
        let point = story.signage_point();
        // Not one of them passes by its id.
        story.answer_with(barn, &point, 1, 4);
        story.pass(seconds(9));
    }
    let (file, end) = record(&story, Some(Scrubber::new([7; 32])), 0);
    assert!(end.otherwise > 0, "an alarm of eligible plots is missing");
    assert_eq!(play(&file).1, 0, "the replay does what was recorded");
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 48,
        failure_persistence: Some(Box::new(FileFailurePersistence::SourceParallel("tests/regressions"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_life_of_a_farm_can_be_told_of_nobody(operations in vec(operation(), 1..120), from in 0..100_usize) {
        let story = live(operations);
        let from = from.min(story.told().1.len());
        let (file, end) = record(&story, Some(Scrubber::new([7; 32])), from);
        prop_assert_eq!(play(&file).1, 0, "the replay does what was recorded");
        for secret in ["6331000000000000", "10.0.0.", "10.9.9.", "/d1/", "c0c0c0c0c0", "f1f1f1f1f1", "1a1a1a1a1a"] {
            prop_assert!(!file.contains(secret), "{}", secret);
        }
        // From its start on all of it can be told, but what plot ids make; later some that is over may come again.
        let (_, whole) = record(&story, Some(Scrubber::new([7; 32])), 0);
        let is_of_plot_ids = |output: &Output| {
            matches!(output, Output::Notice(Notice::AlarmOpened { alarm })
                if matches!(alarm.kind, AlarmKind::EligibleMismatch { .. }))
        };
        let has_partial_proofs = |call: &Call| {
            matches!(call, Call::Input(input)
                if matches!(**input, Input::HarvesterMessage { message: FromHarvester::PartialProofs(_), .. }))
        };
        let made_up = story.told().1.iter().any(|(_, call, outputs)| {
            has_partial_proofs(call) || outputs.iter().any(is_of_plot_ids)
        });
        prop_assert!(whole.otherwise == 0 || made_up, "{} of {}", whole.otherwise, whole.calls);
        prop_assert!(made_up || end.otherwise * 8 <= end.calls + 200, "{} of {}", end.otherwise, end.calls);
    }
}

#[test]
fn what_is_under_way_when_a_scrubbed_recording_begins_is_known_again() {
    let mut story = Story::new();
    let [barn, shelf] = ["barn", "shelf"].map(|name| story.connect_with(name, &plots("/mnt/d1", 4)));
    let point = story.signage_point();
    story.proof(barn, &point, 0x77);
    let begins = story.told().1.len();
    story.proof(shelf, &point, 0x77);
    assert_eq!(
        story.snapshot().proofs.len(),
        1,
        "the same proof from another harvester"
    );
    let (file, end) = record(&story, Some(Scrubber::new([7; 32])), begins);
    assert_eq!((end.otherwise, play(&file).1), (0, 0));
    assert_eq!(play(&file).0.farmer().snapshot(story.now).proofs.len(), 1);
}

#[test]
fn player_notices_what_it_does_otherwise() {
    let (file, _) = record(&life(), None, 0);
    let changed = file.replacen("\"passed\":0,", "\"passed\":2,", 1);
    assert_ne!(file, changed);
    assert!(play(&changed).1 > 0);
}

#[test]
fn harvesters_with_the_names_of_our_words_do_no_harm() {
    let mut story = Story::new();
    for name in [
        "up", "own", "queued", "network", "timeout", "waiting", "input", "done", "V38",
    ] {
        story.connect_with(name, &plots("/mnt/d1", 1));
        let harvester = story.snapshot().harvesters.last().unwrap().peer_id;
        story.input(Input::Fleet(FleetStatus {
            names: [(harvester, name.to_owned())].into(),
            ..Default::default()
        }));
    }
    story.signage_point();
    story.pass(seconds(60));
    let (file, end) = record(&story, Some(Scrubber::new([7; 32])), 0);
    assert_eq!((end.otherwise, play(&file).1), (0, 0));
}

#[test]
fn what_replaces_what_depends_on_the_salt_alone() {
    let story = life();
    let with = |salt| record(&story, Some(Scrubber::new([salt; 32])), 0).0;
    assert_eq!(with(1), with(1));
    assert_ne!(with(1), with(2));
}

#[test]
fn ids_that_are_shown_short_stay_the_same_ones_and_paths_keep_their_drive() {
    let mut scrubber = Scrubber::new([7; 32]);
    let id = "0123456789abcdef".repeat(4);
    let mut line = serde_json::json!({
        "whole": id,
        "short": format!("plot {} answered 3/864 at 14:02:27 with 0.0.38", &id[..10]),
        "filename": format!("/mnt/my drive/plot-k32-{id}.plot"),
        "other": { "filename": "/mnt/my drive/b.plot" },
        "text": "lost 109 plots in /mnt/my drive on D:\\plots\\x",
        "url": "see https://pool.example/login?token=abc.",
    });
    scrubber.scrub(&mut line);
    let text = |key: &str| line[key].as_str().unwrap().to_owned();
    assert!(text("whole").len() == 64 && text("whole") != id);
    assert_eq!(
        text("short"),
        format!("plot {} answered 3/864 at 14:02:27 with 0.0.38", &text("whole")[..10])
    );
    let drive = text("filename").rsplit_once('/').unwrap().0.to_owned();
    assert!(drive.starts_with("/mnt/") && !drive.contains("drive"), "{drive}");
    assert!(line["other"]["filename"].as_str().unwrap().starts_with(&drive));
    assert!(
        !text("text").contains("\\x") && text("text").starts_with("lost 109 plots in /mnt/"),
        "{}",
        text("text")
    );
    assert!(text("url").starts_with("see https://host-") && !text("url").contains("token"));
}

#[test]
fn other_files_newer_older_damaged_and_cut_ones_are_told_apart() {
    let open = |text: &str| Recording::open(text.as_bytes()).err().map(|error| error.to_string());
    assert_eq!(open("hello\n").as_deref(), Some("it is no recording of farmconsole"));
    assert_eq!(open("").as_deref(), Some("it is no recording of farmconsole"));
    let mut story = Story::new();
    story.signage_point();
    story.pass(Duration::from_secs(1));
    let (file, _) = record(&story, None, 0);
    let version = |version: u32| {
        let field = format!("\"farmconsole_recording\":{version}");
        open(&file.replacen(&format!("\"farmconsole_recording\":{RECORDING_VERSION}"), &field, 1)).unwrap()
    };
    assert!(version(99).contains("version 99") && version(1).contains("older form (version 1)"));
    let lines: Vec<&str> = file.split_inclusive('\n').collect();
    assert!(open(lines[0]).unwrap().contains("cut off before its beginning"));

    let read = |file: &str| {
        let (mut recording, _) = Recording::open(file.as_bytes()).unwrap();
        let mut lines = 0;
        loop {
            match recording.next_line() {
                Ok(Some(_)) => lines += 1,
                Ok(None) => return Ok((lines, recording.end().is_some())),
                Err(error) => return Err(error.to_string()),
            }
        }
    };
    let inner = lines.len() - 3;
    assert_eq!(read(&file), Ok((inner, true)));
    let until_end: String = lines[..lines.len() - 1].concat();
    assert_eq!(read(&until_end), Ok((inner, false)), "no end");
    assert_eq!(
        read(&until_end[..until_end.len() - 5]),
        Ok((inner - 1, false)),
        "no whole line"
    );
    let damaged = [lines[0], lines[1], "{\"call\":{}}\n"].concat();
    assert!(read(&damaged).unwrap_err().starts_with("line 3 cannot be read"));
    let misplaced = [lines[0], lines[1], lines[1]].concat();
    assert!(read(&misplaced).unwrap_err().starts_with("line 3 is no call"));
    assert_eq!(file.as_bytes().lines().count(), lines.len());
    assert!(lines.iter().all(|line| serde_json::from_str::<Value>(line).is_ok()));
}
