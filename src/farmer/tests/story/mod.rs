//! What stories are told with: a farm whose time passes only when the story says so.

mod material;
mod tape;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::{Now, UnixMillis};
use crate::farmer::harvesters::MAX_ABSENT;
use crate::farmer::{
    Call, Farmer, FarmerConfig, FleetStatus, HarvesterOrigin, Input, JobId, Output, PlotSignatures, SignPurpose,
};
use crate::ids::{Bytes32, NodeId, QualityString, SessionId};
use crate::snapshot::{
    AlarmKind, ConnectedPeer, DisconnectCause, FarmSnapshot, HarvesterState, HarvesterView, Notice, ProofStage,
};
use crate::wire::{
    DeclareProofOfSpace, FarmingInfo, FromHarvester, G2Bytes, NewProofOfSpace, NewSignagePoint, Plot, PlotSync,
    PlotSyncDone, PlotSyncIdentifier, PlotSyncPathList, PlotSyncPlotList, PlotSyncStart, RequestSignatures,
    ToHarvester,
};

pub(crate) use material::*;
use tape::{Tape, from_json};

/// A farm, its time, and what it wanted done that the story has not looked at.
pub(crate) struct Story {
    pub(crate) farmer: Farmer,
    tape: Option<Tape>,
    pub(crate) now: Now,
    pub(crate) outputs: Vec<Output>,
    sessions: u64,
    points: u64,
    syncs: BTreeMap<SessionId, u64>,
}

impl Story {
    /// A farm with keys and a node, at its first moment.
    pub(crate) fn new() -> Self {
        let mut story = Self::of(config());
        story.input(Input::Node {
            node: NODE,
            status: node_status("node"),
        });
        story.outputs.clear();
        story
    }

    /// A farm without a node that starts when its clock says this.
    pub(crate) fn of_time(unix: UnixMillis) -> Self {
        Self::beginning(config(), Now { unix, ..start() })
    }

    pub(crate) fn of(config: FarmerConfig) -> Self {
        Self::beginning(config, start())
    }

    fn beginning(config: FarmerConfig, now: Now) -> Self {
        let farmer = Farmer::new(config, now);
        let mut story = Self {
            tape: Some(Tape::new(&farmer)),
            farmer,
            now,
            outputs: Vec::new(),
            sessions: 0,
            points: 0,
            syncs: BTreeMap::new(),
        };
        story.drain();
        story
    }

    /// The farmer of the beginning as it was written down, and every call with what it was followed by.
    pub(crate) fn told(&self) -> (String, Vec<(Now, Call, Vec<Output>)>) {
        let tape = self.tape.as_ref().expect("it is told twice");
        let calls = tape.calls().map(|(line, outputs)| {
            let (now, call) = from_json(line);
            (now, call, outputs.to_vec())
        });
        (tape.beginning.clone(), calls.collect())
    }

    /// Not written down: it would fill the memory.
    pub(crate) fn told_once(mut self) -> Self {
        self.tape = None;
        self
    }

    /// So many of earlier runs are waited for that those that went first are forgotten.
    pub(crate) fn too_many_are_gone(&mut self) {
        let strangers = (0..MAX_ABSENT).map(|n| expected(&format!("stranger-{n}")));
        self.input(Input::Fleet(FleetStatus {
            expected: strangers.collect(),
            ..FleetStatus::default()
        }));
    }

    pub(crate) fn input(&mut self, input: Input) {
        self.call(Call::Input(Box::new(input)));
    }

    /// Lets time pass, with every timer in between.
    pub(crate) fn pass(&mut self, duration: Duration) {
        // Each timer's time is counted from here: millisecond by millisecond it would lose the fractions.
        let from = self.now;
        let end = from.after(duration);
        while let Some(at) = self.farmer.poll_timeout()
            && at <= end.mono
        {
            self.now = from.after(at.since(from.mono));
            self.call(Call::Timeout);
            assert!(
                self.farmer.poll_timeout().is_none_or(|next| next > at),
                "a timer that is never done"
            );
        }
        self.now = end;
    }

    fn call(&mut self, call: Call) {
        if let Some(tape) = &mut self.tape {
            tape.begin(self.now, &call);
        }
        self.farmer.call(self.now, call);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.farmer.poll_output() {
            if let Some(tape) = &mut self.tape {
                tape.outputs.push(output.clone());
            }
            self.outputs.push(output);
        }
    }

    /// A harvester of this name, with a certificate of its own, connects.
    pub(crate) fn connect(&mut self, name: &str) -> SessionId {
        self.connect_as(name, "10.0.0.7:1111", "0.0.38")
    }

    pub(crate) fn connect_as(&mut self, name: &str, address: &str, protocol_version: &str) -> SessionId {
        self.sessions += 1;
        let session = SessionId(self.sessions);
        let peer = ConnectedPeer {
            peer_id: certificate(name),
            address: address.parse().expect("an address"),
            software_version: "2.7.5".to_owned(),
            protocol_version: protocol_version.to_owned(),
        };
        self.input(Input::HarvesterConnected {
            session,
            peer,
            origin: HarvesterOrigin::Network,
        });
        session
    }

    /// The farmer's own harvester connects.
    pub(crate) fn embedded(&mut self, name: &str) -> SessionId {
        self.sessions += 1;
        let session = SessionId(self.sessions);
        self.input(Input::HarvesterConnected {
            session,
            peer: ConnectedPeer {
                peer_id: certificate(name),
                address: "127.0.0.1:0".parse().expect("an address"),
                software_version: "0.1.0".to_owned(),
                protocol_version: "0.0.38".to_owned(),
            },
            origin: HarvesterOrigin::Embedded { name: name.to_owned() },
        });
        session
    }

    /// A harvester connects and tells of these plots.
    pub(crate) fn connect_with(&mut self, name: &str, plots: &[Plot]) -> SessionId {
        let session = self.connect(name);
        self.sync_all(session, plots);
        session
    }

    pub(crate) fn is_connected(&self, session: SessionId) -> bool {
        self.farmer.harvesters.of_session(session).is_some()
    }

    pub(crate) fn disconnect(&mut self, session: SessionId) {
        self.input(Input::HarvesterDisconnected {
            session,
            cause: DisconnectCause::ClosedByPeer,
        });
    }

    pub(crate) fn message(&mut self, session: SessionId, message: FromHarvester) {
        self.input(Input::HarvesterMessage {
            session,
            id: None,
            message,
        });
    }

    /// The node's next signage point: 64 to a sub-slot.
    pub(crate) fn next_point(&mut self) -> NewSignagePoint {
        let point = point(self.points);
        self.points += 1;
        point
    }

    pub(crate) fn signage_point(&mut self) -> NewSignagePoint {
        let point = self.next_point();
        self.bring(NODE, &point);
        point
    }

    pub(crate) fn bring(&mut self, node: NodeId, point: &NewSignagePoint) {
        self.input(Input::SignagePoint {
            node,
            signage_point: Box::new(point.clone()),
        });
    }

    pub(crate) fn answer(&mut self, session: SessionId, point: &NewSignagePoint) {
        self.answer_with(session, point, 3, 864);
    }

    pub(crate) fn answer_with(&mut self, session: SessionId, point: &NewSignagePoint, passed: u32, total_plots: u32) {
        let info = self.info(point, passed, total_plots);
        self.message(session, FromHarvester::FarmingInfo(info));
    }

    /// An answer that says how long its look-up took.
    pub(crate) fn answer_after(&mut self, session: SessionId, point: &NewSignagePoint, lookup: Duration) {
        let info = FarmingInfo {
            lookup_time: u64::try_from(lookup.as_micros()).unwrap(),
            ..self.info(point, 3, 864)
        };
        self.message(session, FromHarvester::FarmingInfo(info));
    }

    /// An answer that says when it was made, unix seconds.
    pub(crate) fn answer_at(&mut self, session: SessionId, point: &NewSignagePoint, timestamp: u64) {
        let info = FarmingInfo {
            timestamp,
            ..self.info(point, 3, 864)
        };
        self.message(session, FromHarvester::FarmingInfo(info));
    }

    fn info(&self, point: &NewSignagePoint, passed: u32, total_plots: u32) -> FarmingInfo {
        FarmingInfo {
            challenge_hash: point.challenge_hash,
            sp_hash: point.challenge_chain_sp,
            timestamp: self.now.unix.seconds(),
            passed,
            proofs: 0,
            total_plots,
            lookup_time: 210_000,
        }
    }

    /// A whole first plot sync.
    pub(crate) fn sync_all(&mut self, session: SessionId, plots: &[Plot]) {
        self.sync(
            session,
            SyncStep {
                loaded: plots,
                is_initial: true,
                ..SyncStep::default()
            },
        );
    }

    /// A whole plot sync, with the ids an official harvester would use.
    pub(crate) fn sync(&mut self, session: SessionId, step: SyncStep<'_>) {
        let last_sync_id = if step.is_initial {
            0
        } else {
            self.syncs.get(&session).copied().unwrap_or(0)
        };
        let sync_id = self.now.unix.seconds().max(last_sync_id + 1);
        self.syncs.insert(session, sync_id);
        let mut message_id = 0;
        let mut next = || {
            message_id += 1;
            PlotSyncIdentifier {
                timestamp: 1,
                sync_id,
                message_id: message_id - 1,
            }
        };
        let paths = |identifier, data: &[&str]| PlotSyncPathList {
            identifier,
            data: data.iter().map(|path| (*path).to_owned()).collect(),
            is_final: true,
        };
        let messages = [
            PlotSync::Start(PlotSyncStart {
                identifier: next(),
                initial: step.is_initial,
                last_sync_id,
                plot_file_count: u32::try_from(step.loaded.len()).expect("few") + step.untold,
                harvesting_mode: 1,
            }),
            PlotSync::Loaded(PlotSyncPlotList {
                identifier: next(),
                data: step.loaded.to_vec(),
                is_final: true,
            }),
            PlotSync::Removed(paths(next(), step.removed)),
            PlotSync::Invalid(paths(next(), step.failed)),
            PlotSync::KeysMissing(paths(next(), step.no_key)),
            PlotSync::Duplicates(paths(next(), step.duplicates)),
            PlotSync::Done(PlotSyncDone {
                identifier: next(),
                duration: 1,
            }),
        ];
        for message in messages {
            self.message(session, FromHarvester::PlotSync(message));
        }
    }

    /// A harvester finds a proof.
    pub(crate) fn proof(&mut self, session: SessionId, point: &NewSignagePoint, number: u8) -> NewProofOfSpace {
        let proof = new_proof(point, number);
        self.message(session, FromHarvester::NewProofOfSpace(Box::new(proof.clone())));
        proof
    }

    /// The worker says that the proofs it was given are valid.
    pub(crate) fn verify(&mut self) {
        for job in self.verifications() {
            let mut quality = [0; 32];
            quality[24..].copy_from_slice(&job.0.to_be_bytes());
            self.input(Input::Verified {
                job,
                result: Ok(QualityString(quality)),
            });
        }
    }

    /// Jobs of verification that were given out.
    pub(crate) fn verifications(&mut self) -> Vec<JobId> {
        self.take(|output| match output {
            Output::Verify { job, .. } => Some(*job),
            _ => None,
        })
    }

    /// Signatures a harvester was asked for, with the id of the request.
    pub(crate) fn signature_requests(&mut self, session: SessionId) -> Vec<(Option<u16>, RequestSignatures)> {
        self.take(|output| match output {
            Output::Send {
                session: to,
                id,
                message: ToHarvester::RequestSignatures(request),
            } if *to == session => Some((*id, (**request).clone())),
            _ => None,
        })
    }

    /// The harvester sends its shares for everything it was asked.
    pub(crate) fn share_signatures(&mut self, session: SessionId) {
        for (id, request) in self.signature_requests(session) {
            let message = FromHarvester::RespondSignatures(Box::new(shares(&request)));
            self.input(Input::HarvesterMessage { session, id, message });
        }
    }

    /// The worker completes all signatures it was given.
    pub(crate) fn sign(&mut self) {
        for (job, messages, purpose) in self.signings() {
            let pool_signature = match purpose {
                SignPurpose::SignagePoint { pool_target } => pool_target.map(|_| G2Bytes([9; 96])),
                SignPurpose::Block | SignPurpose::Partial { .. } => None,
            };
            let signatures = messages.iter().map(|message| G2Bytes([message.0[0]; 96])).collect();
            self.input(Input::Signed {
                job,
                result: Ok(PlotSignatures {
                    signatures,
                    pool_signature,
                }),
            });
        }
    }

    pub(crate) fn signings(&mut self) -> Vec<(JobId, Vec<Bytes32>, SignPurpose)> {
        self.take(|output| match output {
            Output::Sign {
                job, messages, purpose, ..
            } => Some((*job, messages.clone(), *purpose)),
            _ => None,
        })
    }

    pub(crate) fn declarations(&mut self) -> Vec<(Vec<NodeId>, DeclareProofOfSpace)> {
        self.take(|output| match output {
            Output::Declare { nodes, message, .. } => Some((nodes.clone(), (**message).clone())),
            _ => None,
        })
    }

    /// Everything sent to a harvester.
    pub(crate) fn sent(&mut self, session: SessionId) -> Vec<ToHarvester> {
        self.take(|output| match output {
            Output::Send {
                session: to, message, ..
            } if *to == session => Some(message.clone()),
            _ => None,
        })
    }

    pub(crate) fn signage_points_sent(&mut self, session: SessionId) -> usize {
        self.sent(session)
            .iter()
            .filter(|message| matches!(message, ToHarvester::NewSignagePoint(_)))
            .count()
    }

    pub(crate) fn notices(&mut self) -> Vec<Notice> {
        self.take(|output| match output {
            Output::Notice(notice) => Some(notice.clone()),
            _ => None,
        })
    }

    /// Takes the outputs that `select` wants.
    pub(crate) fn take<T>(&mut self, select: impl Fn(&Output) -> Option<T>) -> Vec<T> {
        let (mut taken, mut left) = (Vec::new(), Vec::new());
        for output in std::mem::take(&mut self.outputs) {
            match select(&output) {
                Some(item) => taken.push(item),
                None => left.push(output),
            }
        }
        self.outputs = left;
        taken
    }

    pub(crate) fn snapshot(&self) -> FarmSnapshot {
        self.farmer.snapshot(self.now)
    }

    pub(crate) fn alarms(&self) -> Vec<AlarmKind> {
        self.snapshot().alarms.into_iter().map(|alarm| alarm.kind).collect()
    }

    pub(crate) fn harvester(&self, name: &str) -> HarvesterView {
        let found = self
            .snapshot()
            .harvesters
            .into_iter()
            .find(|harvester| harvester.name == name);
        found.unwrap_or_else(|| panic!("no harvester {name}"))
    }

    pub(crate) fn state(&self, name: &str) -> HarvesterState {
        self.harvester(name).state
    }

    pub(crate) fn stage(&self) -> ProofStage {
        self.snapshot().proofs.first().expect("a proof").stage.clone()
    }
}

/// Every story is told twice: when it is over, a farmer that is read from what was written down at its beginning is called
/// as the first one was, by calls that were written down too, and has to do and to become the same.
impl Drop for Story {
    fn drop(&mut self) {
        if let Some(tape) = &self.tape
            && !std::thread::panicking()
        {
            tape.replay(&self.farmer);
        }
    }
}

/// One plot sync.
#[derive(Clone, Copy, Default)]
pub(crate) struct SyncStep<'a> {
    pub(crate) is_initial: bool,
    pub(crate) loaded: &'a [Plot],
    pub(crate) removed: &'a [&'a str],
    pub(crate) failed: &'a [&'a str],
    pub(crate) no_key: &'a [&'a str],
    pub(crate) duplicates: &'a [&'a str],
    /// Files that were found and are not told of yet.
    pub(crate) untold: u32,
}
