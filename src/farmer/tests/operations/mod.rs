//! Lives of farms: any inputs in any order. [`soundness`] says what holds in all of them.

mod around;
mod soundness;

use proptest::prelude::*;

use super::story::*;
use super::{partials, pool_story};
use crate::farmer::{Command, FarmerKeys, Input, JobId, Output, SignError};
use crate::ids::{FilterChallenge, NodeId, QualityString, SessionId};
use crate::pos::ProofError;
use crate::snapshot::{DisconnectCause, HarvesterId, RefusalCause};
use crate::units::{Difficulty, Height, SubSlotIters};
use crate::wire::FromHarvester;

/// One thing a farm may go through. Numbers choose among what there is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Operation {
    Connect {
        certificate: u8,
        address: u8,
        version: u8,
    },
    Disconnect(u8),
    Heard(u8),
    Quiet(u8),
    Point {
        node: u8,
        skip: u8,
    },
    PointAgain {
        node: u8,
        variant: u8,
    },
    NodeChanges {
        node: u8,
        up: bool,
    },
    Answer {
        session: u8,
        back: u8,
    },
    Dropped(u8),
    Sync {
        session: u8,
        initial: bool,
        from: u8,
        count: u8,
        remove: u8,
    },
    BrokenSync {
        session: u8,
        message: u8,
    },
    Proof {
        session: u8,
        back: u8,
        number: u8,
    },
    VerifyOne {
        good: bool,
    },
    VerifyAll,
    Share(u8),
    ShareWrong(u8),
    SignAll {
        good: bool,
    },
    AskBlock {
        node: u8,
        hash: u8,
    },
    Verdict(bool),
    Refuse(u8),
    Keys(bool),
    Command {
        kind: u8,
        harvester: u8,
    },
    Pools(u8),
    PoolAnswers(u8),
    BogusJob(u8),
    DropJob(u8),
    Partials {
        session: u8,
        back: u8,
        number: u8,
    },
    Solve {
        good: bool,
    },
    Fleet(u8),
    NodeSays {
        node: u8,
        what: u8,
    },
    Around(u8),
    GoWell,
    Pass(u32),
}

pub(crate) fn operation() -> impl Strategy<Value = Operation> {
    use Operation::*;
    prop_oneof![
        4 => (0_u8..5, 0_u8..3, 36_u8..40).prop_map(|(certificate, address, version)| Connect { certificate, address, version }),
        2 => any::<u8>().prop_map(Disconnect),
        1 => any::<u8>().prop_map(Heard),
        1 => any::<u8>().prop_map(Quiet),
        8 => (0_u8..3, prop_oneof![5 => Just(0), 1 => 0_u8..70]).prop_map(|(node, skip)| Point { node, skip }),
        2 => (0_u8..3, 0_u8..6).prop_map(|(node, variant)| PointAgain { node, variant }),
        1 => (0_u8..3, any::<bool>()).prop_map(|(node, up)| NodeChanges { node, up }),
        8 => (any::<u8>(), 0_u8..4).prop_map(|(session, back)| Answer { session, back }),
        1 => any::<u8>().prop_map(Dropped),
        4 => (any::<u8>(), any::<bool>(), 0_u8..20, 0_u8..20, 0_u8..20)
            .prop_map(|(session, initial, from, count, remove)| Sync { session, initial, from, count, remove }),
        2 => (any::<u8>(), any::<u8>()).prop_map(|(session, message)| BrokenSync { session, message }),
        6 => (any::<u8>(), 0_u8..3, 0_u8..12).prop_map(|(session, back, number)| Proof { session, back, number }),
        2 => any::<bool>().prop_map(|good| VerifyOne { good }),
        3 => Just(VerifyAll),
        4 => any::<u8>().prop_map(Share),
        1 => any::<u8>().prop_map(ShareWrong),
        4 => any::<bool>().prop_map(|good| SignAll { good }),
        3 => (0_u8..3, 0_u8..3).prop_map(|(node, hash)| AskBlock { node, hash }),
        1 => any::<bool>().prop_map(Verdict),
        1 => any::<u8>().prop_map(Refuse),
        1 => any::<bool>().prop_map(Keys),
        2 => (0_u8..8, 0_u8..6).prop_map(|(kind, harvester)| Command { kind, harvester }),
        2 => prop_oneof![3 => Just(1), 1 => any::<u8>()].prop_map(Pools),
        5 => any::<u8>().prop_map(PoolAnswers),
        1 => any::<u8>().prop_map(BogusJob),
        1 => any::<u8>().prop_map(DropJob),
        3 => (any::<u8>(), 0_u8..3, 0_u8..5).prop_map(|(session, back, number)| Partials { session, back, number }),
        3 => any::<bool>().prop_map(|good| Solve { good }),
        2 => any::<u8>().prop_map(Fleet),
        2 => (0_u8..3, any::<u8>()).prop_map(|(node, what)| NodeSays { node, what }),
        3 => any::<u8>().prop_map(Around),
        6 => Just(GoWell),
        8 => prop_oneof![0_u32..3000, 0_u32..100_000, Just(2_000_000_u32)].prop_map(Pass),
    ]
}

/// A story that knows what it can choose from.
struct Life {
    story: Story,
    sessions: Vec<SessionId>,
    points: Vec<crate::wire::NewSignagePoint>,
    qualities: Vec<QualityString>,
}

/// A farm that has gone through all this.
pub(crate) fn live(operations: Vec<Operation>) -> Story {
    let mut life = Life::new();
    for operation in operations {
        life.act(operation);
    }
    life.story
}

impl Life {
    /// After hard fork 2, when there are proofs of both versions.
    fn new() -> Self {
        Self {
            story: partials::after_hard_fork2(),
            sessions: Vec::new(),
            points: Vec::new(),
            qualities: Vec::new(),
        }
    }

    /// Mostly one that is there, else any that ever was.
    fn session(&self, choice: u8) -> SessionId {
        let connected: Vec<_> = self
            .sessions
            .iter()
            .copied()
            .filter(|it| self.story.is_connected(*it))
            .collect();
        let among = if choice % 8 == 7 || connected.is_empty() {
            &self.sessions
        } else {
            &connected
        };
        match among.len() {
            0 => SessionId(u64::from(choice)),
            count => among[usize::from(choice / 8) % count],
        }
    }

    /// Everything that is under way goes well.
    fn go_well(&mut self) {
        partials::solve(&mut self.story);
        self.story.verify();
        // First those of the proofs, then those of blocks and of partials.
        for _ in 0..2 {
            for session in self.sessions.clone() {
                self.story.share_signatures(session);
            }
            self.story.sign();
            pool_story::answer_all(&mut self.story, 2);
        }
    }

    fn point(&self, back: u8) -> crate::wire::NewSignagePoint {
        let place = self.points.len().checked_sub(1 + usize::from(back));
        place.map_or_else(
            || point(u64::from(back) + 9_000_000),
            |place| self.points[place].clone(),
        )
    }

    fn act(&mut self, operation: Operation) {
        let story = &mut self.story;
        match operation {
            Operation::Connect {
                certificate,
                address,
                version,
            } => {
                let address = format!("10.0.0.{address}:9");
                let session = story.connect_as(&format!("c{certificate}"), &address, &format!("0.0.{version}"));
                self.sessions.push(session);
            }
            Operation::Disconnect(choice) => {
                let cause = match choice % 5 {
                    0 => DisconnectCause::Shutdown,
                    1 => DisconnectCause::Revoked,
                    _ => DisconnectCause::Silent,
                };
                let session = self.session(choice);
                self.story.input(Input::HarvesterDisconnected { session, cause });
            }
            Operation::Heard(choice) => {
                let session = self.session(choice);
                self.story.input(Input::HarvesterHeard { session });
            }
            Operation::Quiet(choice) => {
                let session = self.session(choice);
                self.story.input(Input::HarvesterQuiet {
                    session,
                    quiet: seconds(15),
                });
            }
            Operation::Point { node, skip } => {
                for _ in 0..skip {
                    story.next_point();
                }
                let mut point = story.next_point();
                point.filter_challenge = Some(FilterChallenge([node; 32]));
                if skip % 3 == 1 {
                    point.sub_slot_iters = SubSlotIters(640);
                }
                story.bring(NodeId(u32::from(node)), &point);
                self.points.push(point);
            }
            Operation::PointAgain { node, variant } => {
                let mut point = self.point(variant % 3);
                point.reward_chain_sp.0[0] = variant;
                point.difficulty = Difficulty(u64::from(variant / 3) + 1);
                self.story.bring(NodeId(u32::from(node)), &point);
            }
            Operation::NodeChanges { node, up } => {
                let mut status = node_status(&format!("node {node}"));
                if !up {
                    status.link = crate::farmer::NodeLink::Down { why: "gone".to_owned() };
                    status.trust = crate::farmer::NodeTrust::Foreign;
                }
                story.input(Input::Node {
                    node: NodeId(u32::from(node)),
                    status,
                });
            }
            Operation::Answer { session, back } => {
                let (session, point) = (self.session(session), self.point(back));
                self.story.answer_with(session, &point, 1, u32::from(back));
            }
            Operation::Dropped(choice) => {
                let (session, sp_hash) = (self.session(choice), self.point(choice % 3).challenge_chain_sp);
                let sp_hash = (choice % 2 == 0).then_some(sp_hash);
                self.story.input(Input::SignagePointDropped { session, sp_hash });
            }
            Operation::Sync {
                session,
                initial,
                from,
                count,
                remove,
            } => {
                let session = self.session(session);
                let range = |from: u8, count: u8| {
                    (from..from.saturating_add(count)).map(|number| format!("/d{}/{number}.plot", number % 3))
                };
                let loaded: Vec<_> = range(from, count).map(|path| plot(&path)).collect();
                let removed: Vec<_> = range(remove, if initial { 0 } else { count / 2 }).collect();
                let removed: Vec<_> = removed.iter().map(String::as_str).collect();
                self.story.sync(
                    session,
                    SyncStep {
                        is_initial: initial,
                        loaded: &loaded,
                        removed: &removed,
                        failed: if count % 4 == 1 { &["/d1/bad.plot"] } else { &[] },
                        ..SyncStep::default()
                    },
                );
            }
            Operation::BrokenSync { session, message } => {
                let session = self.session(session);
                let identifier = crate::wire::PlotSyncIdentifier {
                    timestamp: 0,
                    sync_id: u64::from(message % 2),
                    message_id: u64::from(message % 3),
                };
                let done = crate::wire::PlotSyncDone {
                    identifier,
                    duration: 0,
                };
                self.story
                    .message(session, FromHarvester::PlotSync(crate::wire::PlotSync::Done(done)));
            }
            Operation::Proof { session, back, number } => {
                let (session, point) = (self.session(session), self.point(back));
                self.story.proof(session, &point, number);
            }
            Operation::VerifyOne { good } => {
                let job = story
                    .outputs
                    .iter()
                    .position(|output| matches!(output, Output::Verify { .. }));
                if let Some(Output::Verify { job, .. }) = job.map(|place| story.outputs.remove(place)) {
                    let result = if good {
                        Ok(QualityString([0xe1; 32]))
                    } else {
                        Err(ProofError::NoFilterChallenge)
                    };
                    story.input(Input::Verified { job, result });
                }
            }
            Operation::VerifyAll => story.verify(),
            Operation::Share(choice) => {
                let session = self.session(choice);
                self.story.share_signatures(session);
            }
            Operation::ShareWrong(choice) => {
                let session = self.session(choice);
                for (id, request) in self.story.signature_requests(session) {
                    let mut response = shares(&request);
                    response.message_signatures.truncate(usize::from(choice % 2));
                    let message = FromHarvester::RespondSignatures(Box::new(response));
                    self.story.input(Input::HarvesterMessage { session, id, message });
                }
            }
            Operation::SignAll { good: true } => story.sign(),
            Operation::SignAll { good: false } => {
                for (job, ..) in story.signings() {
                    let error = crate::crypto::PlotSignatureError::ShareWrong {
                        message: crate::ids::Bytes32::default(),
                    };
                    story.input(Input::Signed {
                        job,
                        result: Err(SignError::Plot(error)),
                    });
                }
            }
            Operation::AskBlock { node, hash } => {
                let proofs = story.snapshot().proofs;
                self.qualities.extend(proofs.iter().filter_map(|proof| proof.quality));
                let quality = self.qualities.last().copied().unwrap_or(QualityString([0xe9; 32]));
                let mut request = block_request(quality);
                request.foliage_block_data_hash.0[0] = hash;
                story.input(Input::RequestSignedValues {
                    node: NodeId(u32::from(node)),
                    request,
                });
            }
            Operation::Verdict(good) => {
                let quality = self.qualities.last().copied().unwrap_or(QualityString([0xe9; 32]));
                let verdict = if good { Ok(Height(1)) } else { Err("no".to_owned()) };
                story.input(Input::ChainVerdict {
                    node: NODE,
                    quality,
                    verdict,
                });
            }
            Operation::Refuse(host) => {
                let address = format!("10.9.9.{host}:1").parse().expect("an address");
                let cause = if host % 2 == 0 {
                    RefusalCause::ForeignCa
                } else {
                    RefusalCause::NotTls
                };
                story.input(Input::ConnectionRefused { address, cause });
            }
            Operation::Keys(some) => {
                let keys = if some { keys() } else { FarmerKeys::default() };
                story.input(Input::Keys(keys));
            }
            Operation::Command { kind, harvester } => {
                let harvester = HarvesterId(u32::from(harvester));
                let command = match kind {
                    0 => Command::RefreshHarvester { harvester: None },
                    1 => Command::RefreshHarvester {
                        harvester: Some(harvester),
                    },
                    2 => Command::AcknowledgeAlarm { number: None },
                    3 => Command::AcknowledgeAlarm {
                        number: Some(u64::from(harvester.0)),
                    },
                    4 => Command::SilenceAlarms {
                        rule: None,
                        machine: harvester.0.is_multiple_of(2).then(|| "c1".to_owned()),
                        for_s: u64::from(harvester.0) * 60,
                    },
                    _ => Command::SilenceAlarms {
                        rule: Some("harvester_absent".to_owned()),
                        machine: None,
                        for_s: u64::from(harvester.0) * 3600,
                    },
                };
                story.input(Input::Command(command));
            }
            Operation::Pools(choice) => {
                let all = ["https://a.example", "https://b.example", ""].into_iter().zip(0..);
                let chosen = all.filter(|(_, number)| choice & (1 << number) != 0);
                let pools = chosen.map(|(url, number)| pool_story::numbered(url, number, choice & 8 == 0));
                story.input(Input::Pools(pools.collect()));
            }
            Operation::PoolAnswers(choice) => pool_story::answer_all(story, choice),
            Operation::BogusJob(job) => {
                let job = JobId(u64::from(job));
                story.input(Input::VerificationDropped { job });
                story.input(Input::Verified {
                    job,
                    result: Ok(QualityString([0xe2; 32])),
                });
            }
            Operation::DropJob(choice) => {
                let jobs = story.outputs.iter().filter_map(|output| match output {
                    Output::Verify { job, .. } | Output::Solve { job, .. } | Output::Sign { job, .. } => Some(*job),
                    _ => None,
                });
                if let Some(job) = jobs.collect::<Vec<_>>().get(usize::from(choice % 4)).copied() {
                    story.input(Input::VerificationDropped { job });
                }
            }
            Operation::Partials { session, back, number } => {
                let (session, point) = (self.session(session), self.point(back));
                let numbers: Vec<_> = (u64::from(number)..u64::from(number) * 2 + 1).collect();
                partials::find(&mut self.story, session, &partials::partials(&point, &numbers));
            }
            Operation::Solve { good: true } => partials::solve(story),
            Operation::Solve { good: false } => partials::solve_none(story),
            Operation::Fleet(choice) => around::fleet(story, choice),
            Operation::NodeSays { node, what } => {
                let quality = self.qualities.last().copied().unwrap_or(QualityString([0xe9; 32]));
                around::node_says(&mut self.story, NodeId(u32::from(node)), what, quality);
            }
            Operation::Around(choice) => {
                let session = self.session(choice / 16);
                around::happens(&mut self.story, choice % 24, session);
            }
            Operation::GoWell => self.go_well(),
            Operation::Pass(millis) => story.pass(std::time::Duration::from_millis(u64::from(millis))),
        }
    }
}
