//! What holds in any life of a farm: no panic, nothing grows without bound, counts agree, and the same again gives the
//! same.

use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

use super::super::story::*;
use super::{Life, operation};
use crate::farmer::{Farmer, Input, Output};
use crate::snapshot::{ATTEMPTS_KEPT, AlarmKind, FarmSnapshot, HarvesterState, PROOFS_KEPT, ROLL_CALL_KEPT};
use crate::wire::{RewardChainBlockUnfinished, ToHarvester};

fn check_invariants(farmer: &Farmer, snapshot: &FarmSnapshot) -> Result<(), TestCaseError> {
    prop_assert!(snapshot.attempts.len() <= ATTEMPTS_KEPT);
    prop_assert!(snapshot.roll_call.len() <= ROLL_CALL_KEPT);
    prop_assert!(snapshot.proofs.len() <= PROOFS_KEPT);
    prop_assert_eq!(snapshot.sub_slot.len(), 64);
    for (what, size, limit) in farmer.proofs.sizes().into_iter().chain(farmer.pools.sizes()) {
        prop_assert!(size <= limit, "{} {} > {}", what, size, limit);
    }
    prop_assert!(farmer.signage_points.len() <= crate::farmer::signage_points::MAX_SIGNAGE_POINTS);
    let connected = snapshot
        .harvesters
        .iter()
        .filter(|harvester| harvester.is_connected())
        .count();
    prop_assert_eq!(snapshot.totals.connected as usize, connected);
    let plots: u64 = snapshot
        .harvesters
        .iter()
        .filter(|it| it.is_connected())
        .map(|it| it.plots)
        .sum();
    prop_assert_eq!(snapshot.totals.plots, plots);
    for (id, slot) in farmer.harvesters.all() {
        let counts = slot.asks.counts();
        let settled = counts.answered + counts.unanswered + counts.dropped;
        prop_assert_eq!(counts.challenged, settled + slot.asks.open(), "{:?} {:?}", id, counts);
        if slot.session.is_none() {
            prop_assert_eq!(slot.asks.open(), 0);
            prop_assert_eq!(farmer.shared_plots.of(id), 0);
        }
    }
    let mut holders = std::collections::BTreeMap::<_, usize>::new();
    for (_, slot, session) in farmer.harvesters.connected() {
        for plot in slot.lists.plots.values().filter(|_| session.synced) {
            *holders.entry(plot.plot_id).or_default() += 1;
        }
    }
    let shared = holders.values().filter(|count| **count > 1).count();
    prop_assert_eq!(snapshot.totals.shared_plots as usize, shared);
    for entry in &snapshot.roll_call {
        prop_assert!(entry.in_time + entry.late <= entry.asked, "{:?}", entry);
        prop_assert!(entry.waiting_for.iter().all(|name| !name.is_empty()));
    }
    let names: std::collections::BTreeSet<_> = snapshot.harvesters.iter().map(|it| &it.name).collect();
    prop_assert_eq!(names.len(), snapshot.harvesters.len());
    let keys: std::collections::BTreeSet<_> = snapshot.alarms.iter().map(|it| it.kind.key()).collect();
    prop_assert_eq!(keys.len(), snapshot.alarms.len(), "one incident, two alarms");
    for alarm in &snapshot.alarms {
        let of = alarm.kind.harvester();
        prop_assert!(
            of.is_none_or(|id| farmer.harvesters.get(id).is_some()),
            "{:?} of nobody",
            alarm.kind
        );
        let of = of.and_then(|id| snapshot.harvesters.iter().find(|it| it.id == id));
        let is_revoked = of.is_some_and(|it| matches!(it.state, HarvesterState::Revoked { .. }));
        prop_assert!(
            !is_revoked || !matches!(alarm.kind, AlarmKind::HarvesterAbsent { .. }),
            "{:?} is waited for",
            alarm.kind
        );
        prop_assert!(
            !alarm.text.is_empty() && alarm.closed_at_unix_ms.is_none(),
            "{:?}",
            alarm
        );
    }
    prop_assert!(snapshot.alarm_history.iter().all(|it| it.closed_at_unix_ms.is_some()));
    let absent = snapshot
        .harvesters
        .iter()
        .filter(|it| matches!(it.state, HarvesterState::Absent { .. }));
    prop_assert_eq!(absent.count(), snapshot.totals.absent as usize);
    Ok(())
}

/// Everything that identifies a request under way is in the messages; ids must differ.
fn check_request_ids(outputs: &[Output]) -> Result<(), TestCaseError> {
    for output in outputs {
        if let Output::Send {
            id: Some(id), message, ..
        } = output
        {
            prop_assert!(*id >= 0x8000);
            prop_assert!(matches!(
                message,
                ToHarvester::RequestSignatures(_) | ToHarvester::RequestPlots
            ));
        }
        if let Output::Declare { nodes, .. } = output {
            prop_assert!(!nodes.is_empty());
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 96,
        failure_persistence: Some(Box::new(FileFailurePersistence::SourceParallel("tests/regressions"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_life_of_a_farm_is_sound(operations in prop::collection::vec(operation(), 1..160)) {
        let mut life = Life::new();
        for operation in operations {
            life.act(operation);
            let snapshot = life.story.snapshot();
            check_invariants(&life.story.farmer, &snapshot)?;
            check_request_ids(&life.story.outputs)?;
        }
        let text = serde_json::to_string(&life.story.snapshot()).expect("serialisable");
        let read: FarmSnapshot = serde_json::from_str(&text).expect("readable");
        prop_assert_eq!(read, life.story.snapshot());
        // When nothing comes any more, everything comes to an end.
        life.story.pass(seconds(3 * 24 * 3600));
        let snapshot = life.story.snapshot();
        check_invariants(&life.story.farmer, &snapshot)?;
        prop_assert!(life.story.farmer.poll_timeout().is_none(), "a timer is left: {:?}", life.story.farmer.timers);
    }
}

#[expect(dead_code, reason = "names a type whose size matters: an input must stay small")]
const fn inputs_are_small() {
    assert!(size_of::<Input>() <= 512);
    assert!(size_of::<RewardChainBlockUnfinished>() > 0);
}
