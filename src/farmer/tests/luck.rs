//! Luck, effort, and our own count of eligible plots.

use super::story::*;
use crate::farmer::{Input, Output};
use crate::ids::{PlotId, QualityString};
use crate::pos::filter::passes_v1;
use crate::snapshot::{AlarmKind, FarmRecord, LuckVerdict, QuarterCounts};
use crate::units::{Difficulty, SubSlotIters};
use crate::wire::{NewSignagePoint, Plot};

/// Mainnet's filter at the stories' height: 1 of 256 plots passes.
const PREFIX_BITS: u8 = 8;

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
