//! Values that differ in one place: for every type of a trace record, one value of each of its kinds, and what becomes of a
//! value if a single one of its leaves is another.
//!
//! The tables name every variant and every field: a new one does not compile until it stands there.
//! Left out: what a digest leaves out on purpose, the bytes and the header of an application's batch, for which its checksum stands.

use klab_kafka::client::consumer::positions::TopicPartition;
use klab_kafka::client::consumer::records::ConsumerError;
use klab_kafka::config::layers::Source;
use klab_kafka::controller::records::{MetadataRecord, PartitionRegistration};
use klab_kafka::disk::{DiskError, FileId};
use klab_kafka::event::*;
use klab_kafka::ids::*;
use klab_kafka::input::Closed;
use klab_kafka::log::batch::*;
use klab_kafka::protocol::admin::{
    ConfigResource, ConfigSynonym, DescribedConfig, ElectionType, TopicRef,
};
use klab_kafka::protocol::cluster::LeaderRecoveryState;
use klab_kafka::protocol::{Api, ErrorCode};
use klab_kafka::time::{Duration, Time, Timestamp};
use klab_kafka::timer::{BrokerTimer, ControllerTimer, Timer};
use klab_world::ambush::CrashPoint;
use klab_world::disks::Keep;
use klab_world::fault::{Fault, Intercept};
use klab_world::process::{Down, ProcessId};
use klab_world::trace::{Handled, Phase, ProcessFact, What};
use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

/// All values that differ from this one in a single leaf; of an enum, its kind is a leaf too.
pub fn others<T: Perturb>(value: &T) -> Vec<T> {
    let mut all = Vec::new();
    loop {
        let mut other = value.clone();
        let mut aim = Aim {
            left: all.len(),
            hit: false,
        };
        other.visit(&mut aim);
        if !aim.hit {
            return all;
        }
        assert!(other != *value, "a leaf that was not changed: {other:?}");
        all.push(other);
    }
}

/// Which leaf is to be changed, counted in the order in which they are visited.
pub struct Aim {
    left: usize,
    hit: bool,
}

impl Aim {
    fn hits(&mut self) -> bool {
        let hits = !self.hit && self.left == 0;
        self.hit |= hits;
        self.left = self.left.saturating_sub(1);
        hits
    }
}

/// What can be changed in one place.
pub trait Perturb: Clone + PartialEq + std::fmt::Debug + 'static {
    /// A value of each kind, down to the kinds of its fields.
    fn kinds() -> Vec<Self>;
    /// Visits every leaf and changes the one that is aimed at.
    fn visit(&mut self, aim: &mut Aim);
}

/// Builds a value from the n-th kind of each of its fields; of fields with fewer kinds, from the last.
struct Pick {
    n: usize,
    more: bool,
}

impl Pick {
    fn one<T: Perturb>(&mut self) -> T {
        let kinds = kinds_of::<T>();
        self.more |= self.n + 1 < kinds.len();
        kinds[self.n.min(kinds.len() - 1)].clone()
    }

    fn all<T>(mut build: impl FnMut(&mut Pick) -> T) -> Vec<T> {
        let mut all = Vec::new();
        loop {
            let n = all.len();
            let mut pick = Pick { n, more: false };
            all.push(build(&mut pick));
            if !pick.more {
                return all;
            }
        }
    }
}

/// The kinds of a type. They are made once: a type stands in many others.
fn kinds_of<T: Perturb>() -> Rc<Vec<T>> {
    thread_local! {
        static MADE: RefCell<BTreeMap<TypeId, Rc<dyn Any>>> = const { RefCell::new(BTreeMap::new()) };
    }
    let known = MADE.with(|made| made.borrow().get(&TypeId::of::<T>()).cloned());
    let kinds = known.unwrap_or_else(|| Rc::new(T::kinds()));
    MADE.with(|made| made.borrow_mut().insert(TypeId::of::<T>(), kinds.clone()));
    kinds.downcast().expect("stored by its type")
}

macro_rules! enums {
    ($($t:ident $(<$g:ty>)? { $($v:ident $({ $($f:ident),* })? $(( $($a:ident),* ))?,)* })*) => {$(
        impl Perturb for $t $(<$g>)? {
            fn kinds() -> Vec<Self> {
                let mut all = Vec::new();
                $(all.extend(Pick::all(|_pick| {
                    $($(let $f = _pick.one();)*)?
                    $($(let $a = _pick.one();)*)?
                    $t::$v $({ $($f),* })? $(( $($a),* ))?
                }));)*
                all
            }

            fn visit(&mut self, aim: &mut Aim) {
                if aim.hits() {
                    let other = kinds_of::<Self>().iter().find(|k| *k != self).cloned();
                    *self = other.expect("an enum has two kinds");
                    return;
                }
                match self {
                    $($t::$v $({ $($f),* })? $(( $($a),* ))? => {
                        $($($f.visit(aim);)*)?
                        $($($a.visit(aim);)*)?
                    })*
                }
            }
        }
    )*};
}

macro_rules! structs {
    ($($t:ident $(<$g:ty>)? { $($f:ident),* })*) => {$(
        impl Perturb for $t $(<$g>)? {
            fn kinds() -> Vec<Self> {
                Pick::all(|pick| {
                    $(let $f = pick.one();)*
                    $t { $($f),* }
                })
            }

            fn visit(&mut self, aim: &mut Aim) {
                let $t { $($f),* } = self;
                $($f.visit(aim);)*
            }
        }
    )*};
}

macro_rules! newtypes {
    ($($t:ident,)*) => {$(
        impl Perturb for $t {
            fn kinds() -> Vec<Self> {
                Pick::all(|pick| $t(pick.one()))
            }

            fn visit(&mut self, aim: &mut Aim) {
                // A packed one lends nothing out.
                let $t(mut inner) = *self;
                inner.visit(aim);
                *self = $t(inner);
            }
        }
    )*};
}

macro_rules! leaves {
    ($($t:ty: $one:expr, $other:expr;)*) => {$(
        impl Perturb for $t {
            fn kinds() -> Vec<Self> {
                vec![$one]
            }

            fn visit(&mut self, aim: &mut Aim) {
                if aim.hits() {
                    *self = if *self == $one { $other } else { $one };
                }
            }
        }
    )*};
}

leaves! {
    bool: false, true;
    i16: 3, -1;
    i32: 3, i32::MAX;
    i64: 3, i64::MIN;
    u16: 3, 259;
    u32: 3, 1 << 31;
    u64: 3, 3 | 1 << 63;
    u128: 3, 3 | 1 << 127;
    Arc<str>: "some".into(), "same".into();
    &'static str: "some", "same";
    ErrorCode: ErrorCode::None, ErrorCode::UnknownServerError;
}

newtypes! {
    NodeId, Offset, LeaderEpoch, PartitionEpoch, BrokerEpoch, ProducerId, ProducerEpoch, TopicId, IncarnationId, Address,
    ConnId, CorrelationId, ClientId, ProcessId, Time, Duration, Timestamp,
}

impl<T: Perturb> Perturb for Option<T> {
    fn kinds() -> Vec<Self> {
        let some = T::kinds().into_iter().map(Some);
        some.chain([None]).collect()
    }

    fn visit(&mut self, aim: &mut Aim) {
        match self {
            _ if aim.hits() => {
                *self = Self::kinds()
                    .into_iter()
                    .find(|k| k.is_some() != self.is_some())
                    .expect("two kinds")
            }
            Some(inner) => inner.visit(aim),
            None => {}
        }
    }
}

impl<T: Perturb, E: Perturb> Perturb for Result<T, E> {
    fn kinds() -> Vec<Self> {
        let well = T::kinds().into_iter().map(Ok);
        well.chain(E::kinds().into_iter().map(Err)).collect()
    }

    fn visit(&mut self, aim: &mut Aim) {
        match self {
            _ if aim.hits() => {
                *self = Self::kinds()
                    .into_iter()
                    .find(|k| k.is_ok() != self.is_ok())
                    .expect("two kinds")
            }
            Ok(inner) => inner.visit(aim),
            Err(inner) => inner.visit(aim),
        }
    }
}

impl Perturb for () {
    fn kinds() -> Vec<Self> {
        vec![()]
    }

    fn visit(&mut self, _: &mut Aim) {}
}

/// Two elements; its length is a leaf, and each element.
impl<T: Perturb> Perturb for Vec<T> {
    fn kinds() -> Vec<Self> {
        Pick::all(|pick| {
            let one: T = pick.one();
            vec![one.clone(), one]
        })
    }

    fn visit(&mut self, aim: &mut Aim) {
        if aim.hits() {
            self.pop();
            return;
        }
        for element in self {
            element.visit(aim);
        }
    }
}

impl<T: Perturb> Perturb for Box<[T]> {
    fn kinds() -> Vec<Self> {
        Vec::kinds()
            .into_iter()
            .map(Vec::into_boxed_slice)
            .collect()
    }

    fn visit(&mut self, aim: &mut Aim) {
        let mut elements = std::mem::take(self).into_vec();
        elements.visit(aim);
        *self = elements.into_boxed_slice();
    }
}

impl Perturb for RecordIds {
    fn kinds() -> Vec<Self> {
        Vec::kinds().into_iter().map(RecordIds::from_vec).collect()
    }

    fn visit(&mut self, aim: &mut Aim) {
        let mut elements = std::mem::take(self).into_vec();
        elements.visit(aim);
        *self = elements.into();
    }
}

impl<A: Perturb, B: Perturb, C: Perturb> Perturb for (A, B, C) {
    fn kinds() -> Vec<Self> {
        Pick::all(|pick| (pick.one(), pick.one(), pick.one()))
    }

    fn visit(&mut self, aim: &mut Aim) {
        self.0.visit(aim);
        self.1.visit(aim);
        self.2.visit(aim);
    }
}

impl<T: Perturb> Perturb for Arc<T> {
    fn kinds() -> Vec<Self> {
        T::kinds().into_iter().map(Arc::new).collect()
    }

    fn visit(&mut self, aim: &mut Aim) {
        Arc::make_mut(self).visit(aim);
    }
}

/// Some of its fields are its own: it is made as a log's owner makes it.
impl Perturb for BatchData {
    fn kinds() -> Vec<Self> {
        let record = |number| PlainRecord {
            id: RecordId { source: 1, number },
            timestamp: Timestamp(7),
            key: None,
            value: Some("value".into()),
            headers: Vec::new(),
        };
        let records = BatchData::of_records(&[record(1), record(2)], None);
        let controls = ControlRecord::kinds().into_iter();
        let controls = controls.map(|control| BatchData::of_control(control, Timestamp(7)));
        let metadata = MetadataRecord::kinds().into_iter();
        let metadata = metadata.map(|record| BatchData::of_metadata(vec![record], Timestamp(7)));
        let all = [records].into_iter().chain(controls).chain(metadata);
        all.map(|mut batch| {
            batch.producer = ProducerStamp::kinds().pop();
            batch
        })
        .collect()
    }

    fn visit(&mut self, aim: &mut Aim) {
        if aim.hits() {
            *self = self.damaged(9);
        }
        self.size.visit(aim);
        if matches!(self.payload, Payload::Records { .. }) {
            // Of an application's batch the checksum stands for the header.
            if aim.hits() {
                *self = self.stamped(Timestamp(8));
            }
        } else {
            self.timestamp_type.visit(aim);
            self.transactional.visit(aim);
            self.last_offset_delta.visit(aim);
            self.count.visit(aim);
            self.base_timestamp.visit(aim);
            self.max_timestamp.visit(aim);
            self.producer.visit(aim);
        }
        match &mut self.payload {
            Payload::Records { ids, .. } => ids.visit(aim),
            Payload::Control(control) => control.visit(aim),
            Payload::Metadata(records) => {
                let mut each = records.to_vec();
                each.visit(aim);
                *records = each.into();
            }
        }
    }
}

structs! {
    DescribedConfig { name, value, read_only, source, synonyms }
    ConfigSynonym { name, value, source }
    TopicIdPartition { topic, partition }
    TopicPartition { topic, partition }
    RecordId { source, number }
    RecordBatch { base_offset, leader_epoch, data }
    ProducerStamp { id, epoch, base_sequence }
    PartitionRegistration { replicas, isr, leader, recovery, leader_epoch, partition_epoch }
    Intercept<Box<[ProcessId]>> { api, response, from, to, nth }
}

enums! {
    What {
        Handled(handled),
        Sent { to, conn, id, api, response, size },
        Told(event),
        Process(fact),
        Fault { step, fault, lifted },
        StepMissed { step },
        Phase(phase),
        Answered { to, conn, id, api, error, step },
    }
    Handled {
        Opened { conn, peer },
        Closed { conn, why },
        Request { conn, id, api, from },
        Response { conn, id, api, from },
        Sent { conn, id },
        Timer(timer),
        Synced { file, result },
        Command,
        Stop,
    }
    ProcessFact {
        Started { start },
        Ended { how, batches_lost },
        DiskReplaced { batches_lost },
        Paused,
        Resumed,
    }
    Phase { Booting, Running, Healing, Reading, Done, }
    Down { New, Killed, PowerLost, Exited, }
    Closed { Refused, Reset, PeerGone, TimedOut, }
    DiskError { Full, Dead, }
    Fault<Box<[ProcessId]>> {
        Cut { from, to, one_way },
        BlackHole { from, to },
        Reset { from, to },
        SlowLink { from, to, factor },
        Hold(intercept),
        Lose(intercept),
        Kill { who },
        PowerLoss { who, keep },
        DiskLoss { who },
        Pause { who },
        Stop { who },
        Start { who },
        Clog { from, to, one_way },
        DropPackets { from, to, ppm },
        Refuse { who },
        SlowAccept { who, delay },
        Ring { who },
        Clock { who, ahead_ms },
        Drift { who, ppm },
        SlowNode { who, factor },
        Stall { who },
        FailDisk { who, full },
        Answer { of, take, error },
        Throttle { of, take, by },
        CrashAt { who, point, power },
    }
    CrashPoint {
        AfterAppend,
        AfterMetadataAppend,
        BeforeAnswer,
        BeforeRequest,
        AfterRequest,
        OnAnswer,
        BetweenCheckpoints,
        AfterTruncation,
        AfterEpoch,
        AfterVote,
        AfterRoll,
        BeforeFlush,
        AfterCleanMarker,
    }
    Keep { Drawn, Synced, More(batches), Bytes(block), }
    FileId {
        Segment(partition, base),
        LeaderEpochs(partition),
        ProducerSnapshot(partition, offset),
        Directory(partition),
        HighWatermarks,
        RecoveryPoints,
        LogStartOffsets,
        QuorumState,
        CleanShutdown,
        Deleted(partition, base),
        Cleaned(partition, base),
        Swap(partition, base),
        CleanerOffsets,
    }
    Timer {
        Raft,
        Network,
        Broker(timer),
        Controller(timer),
        Client(client),
        App(number),
    }
    BrokerTimer {
        Heartbeat,
        Fetcher(source),
        Purgatory,
        IsrCheck,
        AlterPartition,
        HwCheckpoint,
        RecoveryPoint,
        ProducerIdExpiry,
        ProducerIds,
        DeleteLogs,
        Shutdown,
        Retention,
        FileDelete,
        Cleaner,
    }
    ControllerTimer { StaleBrokers, NoOp, PreferredElection, UncleanElection, }
    Api {
        Produce,
        Fetch,
        ListOffsets,
        Metadata,
        CreateTopics,
        DeleteTopics,
        InitProducerId,
        OffsetForLeaderEpoch,
        DescribeConfigs,
        CreatePartitions,
        ElectLeaders,
        IncrementalAlterConfigs,
        Vote,
        BeginQuorumEpoch,
        EndQuorumEpoch,
        AlterPartition,
        Envelope,
        BrokerRegistration,
        BrokerHeartbeat,
        AllocateProducerIds,
        DeleteRecords,
    }
    Event {
        Log(partition, event),
        Replica(partition, event),
        Broker(event),
        Controller(event),
        Raft(event),
        Client(client, event),
        App(event),
        Admin(event),
    }
    LogEvent {
        Appended { batch, as_leader },
        Deduplicated { base_offset, ids },
        Refused { error, ids },
        Truncated { from, to, why },
        StartedOver { from, at },
        LogStartMoved { log_start, why },
        HighWatermark { hw },
        Recovered { leo, hw, torn },
        Rolled { base_offset },
        SegmentsDeleted { upto, why },
        Compacted { upto, gone, bytes_before, bytes_after, is_over },
        ProducersForgotten { producers },
    }
    LogStart { Leader, DeleteRecords, RetentionTime, RetentionBytes, Recovered, }
    Deletion { LogStart, Size, Age, }
    Truncation { DivergingEpoch, OutOfRange, HighWatermark, OffsetForLeaderEpoch, }
    ReplicaEvent {
        Deleted,
        Stray,
        BecameLeader { epoch, start_offset, hw },
        BecameFollower { epoch, leader },
        FollowerFetched { follower, leo },
        IsrChangePending { isr, partition_epoch },
        IsrChanged { isr, partition_epoch },
        IsrChangeRefused { error },
        Acknowledged { base_offset, ids, acks },
        Fenced { error, write },
    }
    BrokerEvent {
        Started { clean },
        Registered { epoch },
        RegistrationRefused { error },
        Unfenced,
        Fenced,
        ShutdownGranted,
    }
    ControllerEvent {
        Activated { epoch },
        Deactivated,
        BrokerRegistered { broker, epoch },
        BrokerUnfenced { broker },
        BrokerFenced { broker, session_expired },
        TopicCreated { name, id, partitions },
        TopicDeleted { name, id },
        PartitionsCreated { name, from, to },
        ConfigChanged { resource, key, value },
        LeaderElected { partition, leader, epoch, unclean, isr },
        IsrCommitted { partition, isr, partition_epoch },
        AlterPartitionRefused { partition, broker, error },
    }
    RaftEvent {
        Became { state, epoch, leader },
        Voted { candidate, epoch, pre_vote, granted },
        HighWatermark { hw },
        CheckQuorumFailed { epoch },
    }
    RaftState { Unattached, Follower, Prospective, Candidate, Leader, Resigned, }
    ClientEvent {
        Queued { id, partition },
        BatchSent { partition, ids, base_sequence, attempt },
        Retried { partition, ids, error },
        Acked { id, partition, offset },
        Failed { id, partition, error },
        ProducerIdObtained { producer, epoch },
        EpochBumped { producer, epoch },
        RequestTimedOut { node },
        Delivered { partition, from, to, records },
        PollFailed { error },
        PositionReset { partition, to },
        TruncationDetected { partition, position, divergence },
        OffsetOutOfRange { partition, position },
        LeaderLearned { partition, leader, epoch },
        BatchSplit { partition, ids, parts },
    }
    SendFailure {
        Error(code),
        DeliveryTimeout,
        MetadataTimeout,
        BufferExhausted,
        RecordTooLarge,
        Closed,
        QueueFull,
    }
    ConsumerError {
        NoOffsetForPartition(partitions),
        OffsetOutOfRange(partition, position),
        LogTruncation { partition, position, divergence },
        CorruptRecord(partition, offset),
        Unexpected(partition, error),
    }
    AppEvent {
        Invoked { id },
        Accepted { id },
        Rejected { id },
        Resent { id },
        Started,
        Finished,
        ReachedEnd { partition, end },
    }
    AdminEvent {
        TopicCreated { name },
        TopicExisted { name },
        TopicRefused { name, error },
        Answered { call, error },
        ConfigsDescribed { resource, configs },
        ConfigsAltered { resource },
        ConfigsRefused { resource, error },
        CallTimedOut { api },
        RecordsDeleted { topic, partition, low_watermark },
        DeletionRefused { topic, partition, error },
    }
    AdminCall {
        DeleteTopic(topic),
        ValidateTopic(topic),
        CreatePartitions { topic, count },
        ElectLeader { topic, partition, election },
        ElectLeaders(election),
        DescribeConfigs(resource),
    }
    ConfigResource { Topic(name), Broker(node), AllBrokers, }
    TopicRef { Name(name), Id(id), }
    ElectionType { Preferred, Unclean, }
    Source { Topic, Broker, AllBrokers, Static, Default, }
    TimestampType { CreateTime, LogAppendTime, }
    ControlRecord {
        EndTransaction { commit, coordinator_epoch },
        LeaderChange { leader, voters },
    }
    MetadataRecord {
        NoOp,
        RegisterBroker { broker, incarnation, epoch, address, rack, fenced },
        BrokerRegistrationChange { broker, epoch, fenced, in_controlled_shutdown },
        Topic { name, id },
        Partition { topic, partition, registration },
        PartitionChange { topic, partition, leader, isr, recovery },
        RemoveTopic { topic },
        Config { resource, key, value },
        ProducerIds { broker, epoch, next_producer_id },
    }
    LeaderRecoveryState { Recovered, Recovering, }
}
