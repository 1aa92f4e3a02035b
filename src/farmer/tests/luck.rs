//! Luck, effort, and our own count of eligible plots.

use super::story::*;
use crate::farmer::{FarmerConfig, Input, Output};
use crate::ids::{FilterChallenge, NodeId, PlotId, QualityString};
use crate::pos::filter::{bits_v2, passes_v1, passes_v2};
use crate::pos::{Constants, iterations};
use crate::snapshot::{AlarmKind, EligibilityView, FarmRecord, LuckVerdict, QuarterCounts};
use crate::units::{Difficulty, Height, PlotSize, SubSlotIters};
use crate::wire::{NewSignagePoint, Plot, plot_group_id_v2, plot_id_v2};

/// Mainnet's filter at the stories' height: 1 of 256 plots passes.
const PREFIX_BITS: u8 = 8;

/// Hard fork 2, in [`forked`].
const FORK: Height = Height(6_000_000);

/// Plots whose ids are as random as real ones.
fn random_plots(count: usize) -> Vec<Plot> {
    let mut plots = plots("/mnt/d1", count);
    for (number, plot) in plots.iter_mut().enumerate() {
        plot.plot_id = PlotId(crate::crypto::sha256(&[&number.to_be_bytes()]));
    }
    plots
}

fn eligible(plots: &[Plot], point: &NewSignagePoint) -> u32 {
    let passes = |plot: &&Plot| {
        passes_v1(
            PREFIX_BITS,
            &plot.plot_id,
            &point.challenge_hash,
            &point.challenge_chain_sp,
        )
    };
    u32::try_from(plots.iter().filter(passes).count()).expect("few")
}

/// Hard fork 2 comes in the middle of the stories, and filters let many plots pass.
fn forked() -> Constants {
    Constants {
        hard_fork2_height: FORK,
        number_zero_bits_plot_filter_v1: 4,
        number_zero_bits_plot_filter_v2: 2,
        ..config().constants
    }
}

/// Thirty plots of each format; the v2 ones of both strengths, and in several groups and turns.
fn mixed_plots() -> Vec<Plot> {
    let mut plots = random_plots(60);
    for (number, plot) in (0_u8..30).zip(&mut plots) {
        let strength = 2 + number % 2;
        plot.size = PlotSize::V2 { strength };
        plot.file_size = iterations::expected_plot_size(&forked(), plot.size);
        plot.plot_public_key.0[0] = number / 10;
        (plot.plot_index, plot.meta_group) = (u16::from(number), number % 5);
        let group = plot_group_id_v2(strength, &plot.plot_public_key, &plot.pool);
        plot.plot_id = plot_id_v2(&group, plot.plot_index, plot.meta_group);
    }
    plots
}

/// The next signage point at this height, as a node tells it.
fn point_at(story: &mut Story, height: Height, filter_challenge: Option<FilterChallenge>) -> NewSignagePoint {
    NewSignagePoint {
        last_tx_height: height,
        filter_challenge,
        ..story.next_point()
    }
}

/// How many of these v1 and v2 plots an official harvester finds eligible.
fn eligible_mixed(plots: &[Plot], point: &NewSignagePoint) -> [u32; 2] {
    let constants = forked();
    let mut passed = [0; 2];
    for plot in plots {
        match (plot.size, point.filter_challenge) {
            (PlotSize::V1 { .. }, _) => {
                let sp_hash = &point.challenge_chain_sp;
                passed[0] += u32::from(passes_v1(3, &plot.plot_id, &point.challenge_hash, sp_hash));
            }
            (PlotSize::V2 { strength }, Some(challenge)) if point.last_tx_height >= FORK => {
                let group = plot_group_id_v2(strength, &plot.plot_public_key, &plot.pool);
                let bits = bits_v2(&constants, point.last_tx_height, strength);
                let index = point.signage_point_index;
                passed[1] += u32::from(passes_v2(bits, &group, plot.meta_group, &challenge, index));
            }
            _ => {}
        }
    }
    passed
}

/// A harvester of a version lists `listed` and answers for `plots`, from shortly before hard fork 2 to shortly after: how
/// many v2 plots passed, and what came of it.
fn across_the_fork(version: &str, listed: &[Plot], plots: &[Plot]) -> (u32, EligibilityView, Vec<AlarmKind>) {
    let mut story = Story::of(FarmerConfig {
        constants: forked(),
        ..config()
    });
    let barn = story.connect_as("barn", "10.0.0.7:1", version);
    story.sync_all(barn, listed);
    let mut passed_v2 = 0;
    for height in FORK.0 - 4..FORK.0 + 12 {
        // One node knows no filter challenge once.
        let challenge = (height != FORK.0 + 1).then_some(FilterChallenge([9; 32]));
        let point = point_at(&mut story, Height(height), challenge);
        story.bring(NODE, &point);
        let [v1, v2] = eligible_mixed(plots, &point);
        story.answer_with(barn, &point, v1 + v2, 60);
        passed_v2 += v2;
        story.pass(seconds(9));
    }
    (passed_v2, story.harvester("barn").eligibility, story.alarms())
}

/// A signage point at which each eligible k32 plot has one chance in a million to win.
fn hard_point(story: &mut Story) -> NewSignagePoint {
    let mut point = story.next_point();
    // k32 counts as 2^31 × 65 bytes, the factor of mainnet is 2^67.
    point.sub_slot_iters = SubSlotIters(64 << 36);
    point.difficulty = Difficulty(65 * 1_000_000);
    story.bring(NODE, &point);
    point
}

#[test]
fn honest_harvester_is_compared_and_agrees() {
    let mut story = Story::new();
    let plots = random_plots(2_000);
    let barn = story.connect_with("barn", &plots);
    for _ in 0..3 {
        let point = story.signage_point();
        story.answer_with(barn, &point, eligible(&plots, &point), 2_000);
        story.pass(seconds(9));
    }
    let view = story.harvester("barn").eligibility;
    assert_eq!((view.compared, view.differed, view.not_compared), (3, 0, 0));
    let last = view.last.expect("compared");
    assert_eq!(last.expected, last.passed);
    assert!(last.expected > 0, "2,000 / 256 plots should pass");
    assert_eq!(story.alarms(), []);
}

#[test]
fn of_many_plots_only_some_answers_are_counted() {
    let mut story = Story::new();
    let plots = random_plots(5_000);
    let barn = story.connect_with("barn", &plots);
    for _ in 0..6 {
        let point = story.signage_point();
        story.answer_with(barn, &point, eligible(&plots, &point), 5_000);
        story.pass(seconds(9));
    }
    let view = story.harvester("barn").eligibility;
    assert_eq!(
        (view.compared, view.differed, view.not_compared),
        (2, 0, 0),
        "one in three"
    );
}

#[test]
fn harvester_that_says_otherwise_three_times_in_a_row_is_named_until_it_agrees() {
    let mut story = Story::new();
    let plots = random_plots(1_000);
    let barn = story.connect_with("barn", &plots);
    let answer = |story: &mut Story, more: u32| {
        let point = story.signage_point();
        story.answer_with(barn, &point, eligible(&plots, &point) + more, 1_000);
        story.pass(seconds(9));
        story.alarms()
    };
    assert_eq!(answer(&mut story, 1), []);
    assert_eq!(answer(&mut story, 1), []);
    let alarms = answer(&mut story, 1);
    assert!(
        matches!(alarms.as_slice(), [AlarmKind::EligibleMismatch { name, in_a_row: 3, .. }] if name == "barn"),
        "{alarms:?}"
    );
    assert_eq!(answer(&mut story, 0), []);
}

#[test]
fn harvester_that_differs_is_counted_at_every_answer_however_many_plots_it_has() {
    let mut story = Story::new();
    let plots = random_plots(5_000);
    let barn = story.connect_with("barn", &plots);
    for _ in 0..4 {
        let point = story.signage_point();
        story.answer_with(barn, &point, eligible(&plots, &point) + 1, 5_000);
        story.pass(seconds(9));
    }
    let view = story.harvester("barn").eligibility;
    assert_eq!(
        (view.compared, view.differs_in_a_row),
        (3, 3),
        "the second answer and all since"
    );
    assert!(matches!(
        story.alarms().as_slice(),
        [AlarmKind::EligibleMismatch { .. }]
    ));
}

#[test]
fn v2_plots_are_counted_by_the_filter_of_their_group_from_hard_fork_2_on() {
    let plots = mixed_plots();
    let (passed, view, alarms) = across_the_fork("0.0.38", &plots, &plots);
    assert!(passed > 20, "a count without v2 plots would differ: {passed}");
    assert_eq!((view.compared, view.differed, view.not_compared), (16, 0, 0));
    assert_eq!(alarms, []);
}

#[test]
fn harvester_that_passes_over_v2_plots_is_named() {
    let plots = mixed_plots();
    let (_, view, alarms) = across_the_fork("0.0.38", &plots, &plots[10..]);
    assert!(view.differed >= 3, "{view:?}");
    assert!(
        matches!(alarms.as_slice(), [AlarmKind::EligibleMismatch { .. }]),
        "{alarms:?}"
    );
}

#[test]
fn v2_plots_of_which_too_little_is_known_are_not_compared() {
    let plots = mixed_plots();
    let with = |change: fn(&mut Plot)| {
        let mut plots = plots.clone();
        change(&mut plots[7]);
        plots
    };
    let unsure = [
        ("an older version tells no groups", "0.0.37", plots.clone()),
        (
            "not what makes the plot id",
            "0.0.38",
            with(|plot| plot.plot_index += 1),
        ),
        (
            "half a plot: of another k",
            "0.0.38",
            with(|plot| plot.file_size.0 /= 2),
        ),
        (
            "of no strength of this network",
            "0.0.38",
            with(|plot| {
                plot.size = PlotSize::V2 { strength: 1 };
                let group = plot_group_id_v2(1, &plot.plot_public_key, &plot.pool);
                plot.plot_id = plot_id_v2(&group, plot.plot_index, plot.meta_group);
            }),
        ),
    ];
    for (why, version, listed) in unsure {
        let (_, view, alarms) = across_the_fork(version, &listed, &plots[30..]);
        assert_eq!(
            (view.compared, view.not_compared),
            (4, 12),
            "{why}: until the fork only"
        );
        assert_eq!(alarms, [], "{why}");
    }
}

#[test]
fn answer_is_not_compared_when_it_is_not_certain_what_was_asked() {
    let mut story = Story::of(FarmerConfig {
        constants: forked(),
        ..config()
    });
    let plots = mixed_plots();
    let barn = story.connect_with("barn", &plots);
    let mut point = point_at(&mut story, FORK, Some(FilterChallenge([9; 32])));
    story.bring(NODE, &point);
    // After a reorganisation another node knows another sub-slot, and asks for more.
    point.reward_chain_sp.0[0] += 1;
    point.difficulty = Difficulty(2);
    point.filter_challenge = Some(FilterChallenge([8; 32]));
    story.bring(NodeId(7), &point);
    story.answer_with(barn, &point, 60, 60);
    story.pass(seconds(9));
    let view = story.harvester("barn").eligibility;
    assert_eq!((view.compared, view.not_compared), (0, 1));

    // The oldest harvesters do not know that v1 plots end.
    let shelf = story.connect_as("shelf", "10.0.0.8:1", "0.0.36");
    story.sync_all(shelf, &plots[30..]);
    let point = point_at(&mut story, Height(u32::MAX), Some(FilterChallenge([9; 32])));
    story.bring(NODE, &point);
    story.answer_with(shelf, &point, 4, 30);
    story.pass(seconds(9));
    let view = story.harvester("shelf").eligibility;
    assert_eq!((view.compared, view.not_compared), (0, 1));
}

#[test]
fn answer_about_another_list_of_plots_is_not_compared() {
    let mut story = Story::new();
    let barn = story.connect_with("barn", &random_plots(1_000));
    let point = story.signage_point();
    story.answer_with(barn, &point, 500, 999);
    story.pass(seconds(1));
    let view = story.harvester("barn").eligibility;
    assert_eq!((view.compared, view.not_compared), (0, 1));
}

#[test]
fn plots_that_come_while_they_are_counted_end_the_count() {
    let mut story = Story::new();
    let plots = random_plots(2_000);
    let barn = story.connect_with("barn", &plots);
    let point = story.signage_point();
    story.answer_with(barn, &point, eligible(&plots, &point), 2_000);
    let more = [plot("/mnt/d2/more.plot")];
    story.sync(
        barn,
        SyncStep {
            loaded: &more,
            ..SyncStep::default()
        },
    );
    story.pass(seconds(1));
    let view = story.harvester("barn").eligibility;
    assert_eq!((view.compared, view.not_compared), (0, 1));
}

#[test]
fn filter_luck_is_judged_over_the_farm_and_for_each_harvester() {
    let mut story = Story::new();
    let barn = story.connect_with("barn", &plots("/mnt/d1", 2_560));
    let shelf = story.connect_with("shelf", &plots("/mnt/d2", 2_560));
    for _ in 0..100 {
        let point = story.signage_point();
        story.answer_with(barn, &point, 10, 2_560);
        story.answer_with(shelf, &point, 1, 2_560);
        story.pass(seconds(9));
    }
    let band = |name: &str| story.harvester(name).eligibility.filter_24h;
    assert_eq!(
        (band("barn").expected, band("barn").verdict),
        (1_000.0, LuckVerdict::Normal)
    );
    assert_eq!(band("shelf").verdict, LuckVerdict::Broken);
    let farm = story.snapshot().luck.filter_24h;
    assert_eq!(
        (farm.got, farm.expected, farm.verdict),
        (1_100, 2_000.0, LuckVerdict::Broken)
    );
}

#[test]
fn expected_time_and_effort_follow_plots_and_difficulty() {
    let mut story = Story::new();
    let barn = story.connect_with("barn", &plots("/mnt/d1", 2_560));
    for _ in 0..4 {
        let point = hard_point(&mut story);
        story.answer_with(barn, &point, 10, 2_560);
        story.pass(std::time::Duration::from_micros(9_375_000));
    }
    let luck = story.snapshot().luck;
    // 10 eligible plots, a millionth each: 100,000 signage points of 9.375 s.
    assert_eq!(luck.expected_time_to_win_s, Some(937_500.0));
    assert_eq!((luck.effort, luck.won_ever, luck.last_win_unix_ms), (0.000_04, 0, None));
    assert_eq!(luck.proofs_24h.verdict, LuckVerdict::TooEarly);
}

#[test]
fn win_ends_the_effort_and_is_remembered() {
    let mut story = Story::new();
    let barn = story.connect_with("barn", &plots("/mnt/d1", 2_560));
    let point = story.signage_point();
    story.answer_with(barn, &point, 10, 2_560);
    assert!(story.snapshot().luck.effort > 0.0);
    story.proof(barn, &point, 1);
    story.verify();
    story.share_signatures(barn);
    story.sign();
    let quality: QualityString = story.snapshot().proofs[0].quality.expect("verified");
    story.input(Input::RequestSignedValues {
        node: NODE,
        request: block_request(quality),
    });
    story.share_signatures(barn);
    story.sign();
    let luck = story.snapshot().luck;
    assert_eq!(
        (luck.effort, luck.won_ever, luck.won_24h, luck.proofs_24h.got),
        (0.0, 1, 1, 1)
    );
    assert_eq!(luck.last_win_unix_ms, Some(story.now.unix.0));
}

fn past(story: &Story) -> FarmRecord {
    let quarter = |ago: u64| QuarterCounts {
        start_unix_ms: story.now.unix.0 / 900_000 * 900_000 - ago * 900_000,
        signage_points: 96,
        missed: 1,
        answers: 96,
        passed: 900,
        expected_passed: 960.0,
        variance: 956.0,
        proofs: 1,
        expected_proofs: 0.5,
        blocks_signed: 1,
    };
    FarmRecord {
        counted_since_unix_ms: 1_700_000_000_000,
        effort: 0.25,
        last_win_unix_ms: Some(1_799_000_000_000),
        won_ever: 14,
        quarters: vec![quarter(200), quarter(4), quarter(0)],
    }
}

#[test]
fn earlier_runs_count_and_what_is_to_be_kept_is_said_with_every_signage_point() {
    let mut story = Story::new();
    let records = |story: &mut Story| {
        story.take(|output| match output {
            Output::Record(record) => Some((**record).clone()),
            _ => None,
        })
    };
    story.signage_point();
    assert_eq!(records(&mut story), [], "nobody keeps it");
    let past = past(&story);
    story.input(Input::Past(Box::new(past)));
    let snapshot = story.snapshot();
    assert_eq!((snapshot.luck.won_ever, snapshot.luck.won_24h), (14, 2));
    assert_eq!(snapshot.luck.effort, 0.25);
    assert_eq!(snapshot.luck.filter_24h.got, 1_800, "of the last day only");
    assert_eq!(
        (snapshot.signage_points.received_24h, snapshot.signage_points.missed_24h),
        (2 * 96 + 1, 2)
    );
    story.signage_point();
    let kept = records(&mut story);
    assert_eq!(kept.len(), 1);
    assert_eq!(
        kept[0].quarters.last().map(|quarter| quarter.signage_points),
        Some(96 + 2)
    );
}
