//! Days of a farm on which all kinds of things happen: what is known of them is kept for a time and then let go.

use super::story::*;
use crate::farmer::Input;
use crate::ids::SessionId;

#[test]
fn a_farm_knows_no_more_after_three_days_than_after_two() {
    let mut story = Story::new().told_once();
    let mut harvesters = Vec::new();
    let sizes: Vec<usize> = (0..3)
        .map(|_| {
            a_day(&mut story, &mut harvesters);
            serde_json::to_vec(&story.farmer)
                .expect("everything can be written down")
                .len()
        })
        .collect();
    let wins = story.snapshot().wins;
    assert_eq!(
        (wins.proofs, wins.blocks_signed),
        (9216, 3072),
        "the days were not what they were meant to be"
    );
    let (two, three) = (sizes[1], sizes[2]);
    assert!(
        three.abs_diff(two) * 50 < two,
        "bytes of what is known after each day: {sizes:?}"
    );
}

/// 9,216 signage points, 9.375 seconds apart. A third have a proof, a third of these become a block, the others are lost.
/// Once an hour all harvesters come anew.
fn a_day(story: &mut Story, harvesters: &mut Vec<SessionId>) {
    let names = ["barn", "attic", "cellar"];
    for number in 0..9216_u32 {
        if number % 384 == 0 {
            for session in harvesters.drain(..) {
                story.disconnect(session);
            }
            harvesters.extend(names.map(|name| story.connect_with(name, &plots(&format!("/mnt/{name}"), 3))));
        }
        let point = story.signage_point();
        let finder = harvesters[number as usize % 3];
        if number % 3 == 0 {
            story.proof(finder, &point, 1);
            story.verify();
            let quality = story.snapshot().proofs[0].quality;
            story.share_signatures(finder);
            story.sign();
            if number % 9 == 0
                && let Some(quality) = quality
            {
                story.input(Input::RequestSignedValues {
                    node: NODE,
                    request: block_request(quality),
                });
                story.share_signatures(finder);
                story.sign();
            }
        }
        for &session in harvesters.iter() {
            story.answer(session, &point);
        }
        story.outputs.clear();
        story.pass(std::time::Duration::from_millis(9375));
        story.outputs.clear();
    }
}
