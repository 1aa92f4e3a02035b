//! Who has an invitation gets in, once, whatever is lost on the way.

use std::time::Duration;

use tokio::time::timeout;

use super::farm::{Farm, at_the_desk, name, request_with};
use crate::config::{LegacyCa, Root};
use crate::enrol::*;
use crate::net::SessionEvent;
use crate::registry::{AllowList, Verdict};
use crate::snapshot::RefusalCause;
use crate::wire::enrol::JoinKind;
use crate::wire::token::Token;

#[tokio::test]
async fn invited_machine_joins_farms_and_is_out_within_a_second_of_being_revoked() {
    let mut farm = Farm::start();
    let token: Token = farm.invite("rack1-a").to_string().parse().unwrap();
    let key = JoinKey::make().unwrap();
    let joined = join(&token, JoinKind::Own, None, &key).await.unwrap();
    assert_eq!(
        (joined.network.as_str(), &joined.farmer),
        ("simulator1", &farm.address())
    );
    assert_eq!(joined.membership.name(), &name("rack1-a"));
    let id = joined.membership.facts().unwrap().record.sha256;
    let kept = AllowList::open(&Root::new(farm.dir.path()), LegacyCa::Off).unwrap();
    assert_eq!(kept.judge(id), Verdict::Allowed, "on disk before it was sent");

    farm.farm_as(&joined.membership).await.unwrap();
    let connected = farm.event().await;
    assert!(matches!(&connected, SessionEvent::Connected { peer, .. } if peer.peer_id == id));
    farm.list
        .change(|registry| Ok::<_, DeskError>(registry.revoke("rack1-a", 1)?))
        .unwrap();
    let gone = timeout(Duration::from_secs(1), farm.event())
        .await
        .expect("still connected");
    assert!(
        matches!(&gone, SessionEvent::Disconnected { cause, .. } if cause.to_string().contains("counts no more")),
        "{gone:?}"
    );
    farm.farm_as(&joined.membership).await.unwrap_err();
    assert_eq!(farm.refused().await, RefusalCause::Revoked);
}

#[tokio::test]
async fn answer_that_was_lost_is_given_again_and_to_nobody_else() {
    let farm = Farm::start();
    let token = farm.invite("rack1-a");
    let key = JoinKey::make().unwrap();
    let first = join(&token, JoinKind::Own, None, &key).await.unwrap().membership;
    let again = join(&token, JoinKind::Own, None, &key).await.unwrap().membership;
    assert_eq!(first.certificate(), again.certificate());
    let other = join(&token, JoinKind::Own, None, &JoinKey::make().unwrap())
        .await
        .unwrap_err();
    assert!(other.to_string().contains("has been used"), "{other}");
}

#[tokio::test]
async fn machine_that_is_set_to_another_network_is_told_as_the_farmer_is_and_its_token_stays_good() {
    let mut farm = Farm::start();
    let token = farm.invite("rack1-a");
    let key = JoinKey::make().unwrap();
    let set_to = |name: &str| SetNetwork {
        name: name.to_owned(),
        file: "/srv/barn/config/config.yaml".into(),
    };
    let refused = join(&token, JoinKind::Own, Some(&set_to("testnet11")), &key)
        .await
        .unwrap_err();
    assert_eq!(
        format!("{refused}; {}", refused.hint()),
        format!(
            "join the farm of {}: it is on the network simulator1, and /srv/barn/config/config.yaml sets this machine to \
             testnet11; the token is still good: set `selected_network: simulator1` in /srv/barn/config/config.yaml, and \
             join again",
            farm.address()
        )
    );
    let cause = farm.refused().await;
    assert_eq!(
        cause.to_string(),
        "it may not join: it is set to the network testnet11, this farm is on simulator1"
    );
    assert!(farm.list.registry().members().is_empty());
    join(&token, JoinKind::Own, Some(&set_to("simulator1")), &key)
        .await
        .unwrap();
    assert_eq!(farm.list.registry().members().len(), 1);
}

#[tokio::test]
async fn of_two_machines_that_race_for_one_token_exactly_one_joins() {
    let farm = Farm::start();
    let token = farm.invite("rack1-a");
    let (one, two) = (JoinKey::make().unwrap(), JoinKey::make().unwrap());
    let (a, b) = tokio::join!(
        join(&token, JoinKind::Own, None, &one),
        join(&token, JoinKind::Own, None, &two)
    );
    assert!(a.is_ok() != b.is_ok(), "{a:?} {b:?}");
    assert_eq!(farm.list.registry().members().len(), 1);
}

#[tokio::test]
async fn farmer_that_is_killed_before_it_answers_has_the_machine_listed_and_takes_it_again() {
    let farm = Farm::start();
    let token = farm.invite("rack1-a");
    let lost = JoinKey::make().unwrap();
    let mut stream = at_the_desk(&farm, &token).await;
    let request = request_with(&token, &stream, lost.request().to_vec());
    frame::write(&mut stream, &request).await.unwrap();
    // The registry is on disk before anything is said; then the farmer is gone, and so are its invitations.
    while AllowList::open(&Root::new(farm.dir.path()), LegacyCa::Off)
        .unwrap()
        .registry()
        .members()
        .is_empty()
    {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(stream);
    let farm = Farm::start_on(farm.dir);
    let before = farm.list.registry().members()[0].newest().unwrap().sha256;
    let again = Token {
        addresses: vec![farm.address().to_string()],
        ..token
    };
    let refused = join(&again, JoinKind::Own, None, &lost).await.unwrap_err();
    assert!(matches!(refused, JoinError::HungUp { .. }), "{refused}");
    // A new invitation under the same name; what nobody has got counts no more once the new one is used.
    let joined = join(&farm.invite("rack1-a"), JoinKind::Own, None, &lost).await.unwrap();
    farm.farm_as(&joined.membership).await.unwrap();
    let id = joined.membership.facts().unwrap().record.sha256;
    while farm.list.judge(before) != Verdict::Unknown {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(farm.list.judge(id), Verdict::Allowed);
    assert_eq!(farm.list.registry().members().len(), 1);
}

#[tokio::test]
async fn farmer_says_whether_a_harvester_has_come() {
    let farm = Farm::start();
    let joined = join(
        &farm.invite("rack1-a"),
        JoinKind::Official,
        None,
        &JoinKey::make().unwrap(),
    )
    .await
    .unwrap();
    let seen = || is_seen(&joined.membership, &joined.farmer);
    assert_eq!(seen().await.unwrap(), Some(false));
    try_out(&joined.membership, &joined.farmer).await.unwrap();
    assert_eq!(seen().await.unwrap(), Some(false), "trying out is not farming");
    farm.farm_as(&joined.membership).await.unwrap();
    while !seen().await.unwrap().unwrap() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
