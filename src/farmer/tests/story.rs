//! What stories are told with: a farm whose time passes only when the story says so.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::{Mono, Now, UnixMillis};
use crate::farmer::{
    Call, Farmer, FarmerConfig, FarmerKeys, HarvesterOrigin, Input, JobId, NodeLink, NodeStatus, NodeTrust, Output,
    PlotSignatures, SIGNAGE_POINT_INTERVAL, SignPurpose,
};
use crate::ids::{
    Bytes32, ChallengeHash, NodeId, PeerId, PlotId, PosChallenge, PuzzleHash, QualityString, RewardChainSp, SessionId,
    SpHash,
};
use crate::pos::constants::Constants;
use crate::snapshot::{
    AlarmKind, AlarmMemory, ConnectedPeer, DisconnectCause, FarmSnapshot, HarvesterState, HarvesterView, Notice,
    ProofStage,
};
use crate::units::{ByteSize, Difficulty, Height, PlotSize, SubSlotIters};
use crate::wire::{
    DeclareProofOfSpace, FarmingInfo, FromHarvester, G1Bytes, G2Bytes, NewProofOfSpace, NewSignagePoint, Plot,
    PlotPool, PlotSync, PlotSyncDone, PlotSyncIdentifier, PlotSyncPathList, PlotSyncPlotList, PlotSyncStart, ProofBody,
    ProofOfSpace, RequestSignatures, RequestSignedValues, RespondSignatures, ToHarvester,
};

pub(crate) const NODE: NodeId = NodeId(1);
pub(crate) const OTHER_NODE: NodeId = NodeId(2);
pub(crate) const FARMER_TARGET: PuzzleHash = PuzzleHash([0xf1; 32]);
pub(crate) const POOL_TARGET: PuzzleHash = PuzzleHash([0xf2; 32]);
pub(crate) const CONTRACT: PuzzleHash = PuzzleHash([0xc0; 32]);
/// No proof of a k32 plot is worse than this.
pub(crate) const EASY: SubSlotIters = SubSlotIters(u64::MAX);

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

pub(crate) fn config() -> FarmerConfig {
    FarmerConfig {
        network: "mainnet".to_owned(),
        simulated: false,
        software_version: "0.1.0".to_owned(),
        constants: Constants::for_network("mainnet").expect("known network"),
        signage_point_interval: SIGNAGE_POINT_INTERVAL,
        keys: keys(),
        names: ["barn", "shelf", "attic"]
            .into_iter()
            .map(|name| (certificate(name), name.to_owned()))
            .collect(),
        alarm_memory: AlarmMemory::default(),
        harvester_fees: BTreeMap::new(),
    }
}

pub(crate) fn keys() -> FarmerKeys {
    FarmerKeys {
        farmer_public_keys: vec![G1Bytes([1; 48])],
        pool_public_keys: vec![G1Bytes([2; 48])],
        farmer_target: Some(FARMER_TARGET),
        pool_target: Some(POOL_TARGET),
        farmer_address: Some("xch1…".to_owned()),
    }
}

pub(crate) fn certificate(name: &str) -> PeerId {
    let mut id = [0; 32];
    id[..name.len()].copy_from_slice(name.as_bytes());
    PeerId(id)
}

pub(crate) fn start() -> Now {
    Now {
        mono: Mono(1_000_000_000),
        unix: UnixMillis(1_800_000_000_000),
    }
}

pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) fn node_status(name: &str) -> NodeStatus {
    NodeStatus {
        name: name.to_owned(),
        link: NodeLink::Up,
        trust: NodeTrust::Own,
        certificate: None,
        software_version: None,
    }
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

    pub(crate) fn of(config: FarmerConfig) -> Self {
        let now = start();
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

    /// A harvester connects and tells of these plots.
    pub(crate) fn connect_with(&mut self, name: &str, plots: &[Plot]) -> SessionId {
        let session = self.connect(name);
        self.sync_all(session, plots);
        session
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
        let info = FarmingInfo {
            challenge_hash: point.challenge_hash,
            sp_hash: point.challenge_chain_sp,
            timestamp: self.now.unix.seconds(),
            passed,
            proofs: 0,
            total_plots,
            lookup_time: 210_000,
        };
        self.message(session, FromHarvester::FarmingInfo(info));
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
                plot_file_count: u32::try_from(step.loaded.len()).expect("few"),
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

/// What was done to a farmer, written down line by line, and what it wanted done.
struct Tape {
    beginning: String,
    lines: Vec<(String, usize)>,
    /// Of all calls, one after the other; each line knows how many came before it.
    outputs: Vec<Output>,
}

impl Tape {
    /// Of a farmer whose outputs nobody has taken yet.
    fn new(farmer: &Farmer) -> Self {
        let mut settled = farmer.clone();
        while settled.poll_output().is_some() {}
        Self {
            beginning: to_json(&settled),
            lines: Vec::new(),
            outputs: Vec::new(),
        }
    }

    fn begin(&mut self, now: Now, call: &Call) {
        if self.lines.is_empty() {
            // Those of the beginning.
            self.outputs.clear();
        }
        let line = to_json(&(now, call));
        let (read_now, read_call): (Now, Call) = from_json(&line);
        assert_eq!((read_now, &read_call), (now, call), "read from {line}");
        self.lines.push((line, self.outputs.len()));
    }

    /// Every line, and what came of it.
    fn calls(&self) -> impl Iterator<Item = (&str, &[Output])> {
        let ends = self.lines.iter().skip(1).map(|(_, before)| *before);
        let ends = ends.chain([self.outputs.len()]);
        self.lines
            .iter()
            .zip(ends)
            .map(|((line, from), to)| (line.as_str(), &self.outputs[*from..to]))
    }

    fn replay(&self, original: &Farmer) {
        let mut farmer: Farmer = from_json(&self.beginning);
        for (number, (line, outputs)) in self.calls().enumerate() {
            let (now, call): (Now, Call) = from_json(line);
            farmer.call(now, call);
            let again: Vec<Output> = std::iter::from_fn(|| farmer.poll_output()).collect();
            assert_eq!(again, outputs, "after line {number}: {line}");
            if number == self.lines.len() / 2 {
                // Whoever begins here has all that matters too.
                farmer = from_json(&to_json(&farmer));
            }
        }
        assert_eq!(to_json(&farmer), to_json(original), "another farmer in the end");
    }
}

fn to_json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("everything can be written down")
}

fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> T {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
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
}

pub(crate) fn point(number: u64) -> NewSignagePoint {
    let (slot, index) = (number / 64, u8::try_from(number % 64).expect("below 64"));
    let hash = |kind: u8, number: u64| {
        let mut hash = [kind; 32];
        hash[24..].copy_from_slice(&number.to_be_bytes());
        hash
    };
    NewSignagePoint {
        challenge_hash: ChallengeHash(hash(1, slot)),
        challenge_chain_sp: SpHash(hash(2, number)),
        reward_chain_sp: RewardChainSp(hash(3, number)),
        difficulty: Difficulty(1),
        sub_slot_iters: EASY,
        signage_point_index: index,
        peak_height: Height(6_000_000),
        last_tx_height: Height(5_999_999),
        sp_source_data: None,
        filter_challenge: None,
    }
}

pub(crate) fn plot(path: &str) -> Plot {
    let mut plot_id = [0x77; 32];
    let name = path.rsplit('/').next().unwrap_or(path).as_bytes();
    let length = name.len().min(32);
    plot_id[..length].copy_from_slice(&name[..length]);
    Plot {
        filename: path.to_owned(),
        size: PlotSize::V1 { k: 32 },
        plot_id: PlotId(plot_id),
        pool: PlotPool::Contract(CONTRACT),
        plot_public_key: G1Bytes([7; 48]),
        file_size: ByteSize(108_000_000_000),
        time_modified: 1_600_000_000,
        compression_level: None,
        plot_index: 0,
        meta_group: 0,
    }
}

pub(crate) fn plots(directory: &str, count: usize) -> Vec<Plot> {
    (0..count)
        .map(|number| plot(&format!("{directory}/{}-{number}.plot", directory.replace('/', "_"))))
        .collect()
}

pub(crate) fn new_proof(point: &NewSignagePoint, number: u8) -> NewProofOfSpace {
    NewProofOfSpace {
        challenge_hash: point.challenge_hash,
        sp_hash: point.challenge_chain_sp,
        plot_identifier: format!("{}/mnt/d1/{number}.plot", "ab".repeat(32)),
        proof: ProofOfSpace {
            challenge: PosChallenge([number; 32]),
            pool: PlotPool::Contract(CONTRACT),
            plot_public_key: G1Bytes([number; 48]),
            body: ProofBody::V1 {
                k: 32,
                proof: vec![number; 256],
            },
        },
        signage_point_index: point.signage_point_index,
        include_source_signature_data: false,
        farmer_reward_address_override: None,
        fee_info: None,
    }
}

pub(crate) fn shares(request: &RequestSignatures) -> RespondSignatures {
    RespondSignatures {
        plot_identifier: request.plot_identifier.clone(),
        challenge_hash: request.challenge_hash,
        sp_hash: request.sp_hash,
        local_pk: G1Bytes([5; 48]),
        farmer_pk: G1Bytes([1; 48]),
        message_signatures: request
            .messages
            .iter()
            .map(|message| (*message, G2Bytes([6; 96])))
            .collect(),
        include_source_signature_data: false,
        farmer_reward_address_override: None,
    }
}

pub(crate) fn block_request(quality: QualityString) -> Box<RequestSignedValues> {
    Box::new(RequestSignedValues {
        quality_string: quality,
        foliage_block_data_hash: Bytes32([0xa1; 32]),
        foliage_transaction_block_hash: Bytes32([0xa2; 32]),
        foliage_block_data: None,
        foliage_transaction_block_data: None,
        rc_block_unfinished: None,
    })
}
