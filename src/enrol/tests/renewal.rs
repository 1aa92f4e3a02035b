//! A member gets new certificates, its own and the farm's, and is never out meanwhile.

use std::net::SocketAddr;
use std::sync::Arc;

use super::farm::Farm;
use crate::config::Root;
use crate::enrol::*;
use crate::net::{Listener, SessionEvent};
use crate::registry::{MemberOrigin, Registry, RegistryError, Verdict};
use crate::snapshot::RefusalCause;
use crate::system_clock::Clock;
use crate::tls::{FarmerTls, Membership, TrustedClock};
use crate::wire::enrol::{JoinKind, JoinRequest};

#[tokio::test]
async fn certificate_is_renewed_with_a_new_key_and_the_old_one_counts_until_the_new_one_is_used() {
    let mut farm = Farm::start();
    let token = farm.invite("rack1-a");
    let old = join(&token, JoinKind::Own, None, &JoinKey::make().unwrap())
        .await
        .unwrap()
        .membership;
    let new = renew(&old, &farm.address()).await.unwrap();
    let id = |membership: &Membership| membership.facts().unwrap().record.sha256;
    assert_ne!(old.public_key(), new.public_key());
    assert_eq!(
        (farm.list.judge(id(&old)), farm.list.judge(id(&new))),
        (Verdict::Allowed, Verdict::Allowed)
    );
    farm.farm_as(&old).await.unwrap();
    // Held, as a core would hold the outbox in it.
    let first = farm.event().await;
    assert!(matches!(first, SessionEvent::Connected { .. }));
    farm.farm_as(&new).await.unwrap();
    let (second, third) = (farm.event().await, farm.event().await);
    let is_closed = |event: &SessionEvent| matches!(event, SessionEvent::Disconnected { .. });
    assert!(is_closed(&second) != is_closed(&third), "{second:?} {third:?}");
    farm.farm_as(&old).await.unwrap_err();
    assert_eq!(farm.refused().await, RefusalCause::NotListed);
    assert_eq!(farm.list.registry().members()[0].origin, MemberOrigin::Own);
}

#[tokio::test]
async fn harvester_that_is_revoked_while_it_renews_gets_nothing_also_if_another_one_has_its_name() {
    let farm = Farm::start();
    let join_as = async |name| {
        let token = farm.invite(name);
        join(&token, JoinKind::Own, None, &JoinKey::make().unwrap())
            .await
            .unwrap()
            .membership
    };
    let stolen = join_as("rack1-a").await.facts().unwrap().record.sha256;
    // What was let in by TLS before comes to the desk after.
    let renewed = || {
        let request = JoinRequest {
            invitation: [0; 4],
            kind: JoinKind::Own,
            request: JoinKey::make().unwrap().request().to_vec(),
            network: String::new(),
            proof: [0; 32],
        };
        farm.desk.renew(&request, stolen).is_ok()
    };
    assert!(renewed(), "as long as it counts");
    let revoke = |registry: &mut Registry| Ok::<_, RegistryError>(registry.revoke("rack1-a", 1).unwrap());
    farm.list.change(revoke).unwrap();
    assert!(!renewed());
    join_as("rack1-a").await;
    assert!(!renewed());
    let registry = farm.list.registry();
    let let_in: Vec<_> = registry.members().iter().filter(|it| !it.is_revoked()).collect();
    let certificates: Vec<_> = let_in.iter().map(|it| it.certificates.len()).collect();
    assert_eq!(certificates, [1], "the new machine's alone");
}

#[tokio::test]
async fn rotation_keeps_everybody_connected_until_it_is_finished() {
    let farm = Farm::start();
    let old = join(&farm.invite("rack1-a"), JoinKind::Own, None, &JoinKey::make().unwrap())
        .await
        .unwrap();
    let root = Root::new(farm.dir.path());
    let clock = Clock::start();
    let time = Arc::new(TrustedClock::in_memory(move || clock.now()));
    let ca = farm.desk.ca();
    ca.rotate(time.span()).unwrap();
    let tls = Arc::new(FarmerTls::load(&root, ca, Arc::clone(&farm.list), time).unwrap());
    let listener = Listener::bind_to(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let port = listener.address().port();
    tokio::spawn(listener.serve(Arc::clone(&tls), Arc::clone(&farm.server)));
    let rotated = Farm { port, ..farm };
    rotated
        .farm_as(&old.membership)
        .await
        .expect("the old server CA leads to the new one");
    assert!(!is_directly_trusted(&old.membership, &rotated.address()).await.unwrap());
    let new = renew(&old.membership, &rotated.address()).await.unwrap();
    assert_ne!(new.ca_key(), old.membership.ca_key());
    ca_is_finished(&rotated, &tls, &root);
    rotated.farm_as(&new).await.expect("a member of the new authorities");
    assert!(is_directly_trusted(&new, &rotated.address()).await.unwrap());
    rotated
        .farm_as(&old.membership)
        .await
        .expect_err("a member of the old ones");
}

fn ca_is_finished(farm: &Farm, tls: &FarmerTls, root: &Root) {
    farm.desk.ca().finish_rotation().unwrap();
    tls.reload(root, farm.desk.ca()).unwrap();
}
