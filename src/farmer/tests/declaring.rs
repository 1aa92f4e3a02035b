//! Which nodes a proof is declared to, and when once more.

use std::time::Duration;

use super::story::*;
use crate::farmer::{Input, NodeLink, NodeStatus};
use crate::ids::{NodeId, SessionId};
use crate::wire::NewSignagePoint;

/// A farm whose harvester has found a proof that is good enough, and the signage point it is for.
fn winner() -> (Story, SessionId, NewSignagePoint) {
    let mut story = Story::new();
    let barn = story.connect_with("barn", &plots("/mnt/d1", 3));
    let point = story.signage_point();
    story.proof(barn, &point, 1);
    story.verify();
    (story, barn, point)
}

#[test]
fn proof_is_declared_to_another_node_if_its_own_is_gone() {
    let (mut story, barn, _) = winner();
    node_is(&mut story, NODE, false);
    node_is(&mut story, OTHER_NODE, true);
    story.share_signatures(barn);
    story.sign();
    assert_eq!(
        told(&mut story),
        [vec![NODE, OTHER_NODE]],
        "what its own is sent waits for its next link"
    );
    node_is(&mut story, NODE, true);
    assert_eq!(told(&mut story), [[]; 0], "which has brought it");
}

/// Whom each declaration since the last look went to.
fn told(story: &mut Story) -> Vec<Vec<NodeId>> {
    story.declarations().into_iter().map(|(nodes, _)| nodes).collect()
}

fn node_is(story: &mut Story, node: NodeId, is_up: bool) {
    let link = if is_up {
        NodeLink::Up
    } else {
        NodeLink::Down { why: "gone".to_owned() }
    };
    let name = if node == NODE { "node" } else { "other" };
    let status = NodeStatus {
        link,
        ..node_status(name)
    };
    story.input(Input::Node { node, status });
}

#[test]
fn proof_is_declared_to_every_node_also_to_those_that_bring_its_signage_point_later_or_come_back() {
    let (mut story, barn, point) = winner();
    node_is(&mut story, OTHER_NODE, true);
    story.share_signatures(barn);
    story.sign();
    assert_eq!(told(&mut story), [vec![NODE, OTHER_NODE]]);
    story.pass(Duration::from_millis(300));
    story.bring(OTHER_NODE, &point);
    assert_eq!(told(&mut story), [vec![OTHER_NODE]], "it could not use the first one");
    story.bring(OTHER_NODE, &point);
    story.bring(NODE, &point);
    assert_eq!(told(&mut story), [[]; 0]);
    node_is(&mut story, NODE, false);
    story.pass(Duration::from_secs(5));
    node_is(&mut story, NODE, true);
    assert_eq!(told(&mut story), [vec![NODE]], "its old link may have been dead");
    node_is(&mut story, NODE, false);
    story.pass(Duration::from_secs(25));
    node_is(&mut story, NODE, true);
    assert_eq!(told(&mut story), [[]; 0], "too late");
}
