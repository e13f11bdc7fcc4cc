//! Counts of a run: elections, truncations, retries, latencies, and which goals were reached. What expectations compare.
//!
//! A census looks at records as they are made and changes nothing. It counts what happened; what became of each record is
//! the verdict's business. Latencies are kept in buckets that are right to one part in 64, the longest exactly.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use klab_kafka::event::{
    AdminEvent, AppEvent, ClientEvent, ControllerEvent, Event, LogEvent, RaftEvent, ReplicaEvent,
    SendFailure,
};
use klab_kafka::ids::{METADATA_TOPIC, RecordId, TopicIdPartition};
use klab_kafka::protocol::ErrorCode;
use klab_kafka::sorted::Sorted;
use klab_kafka::time::{Duration, Time};

use crate::met;
use crate::scenario::expect::{Expectation, Goal};
use crate::scenario::trigger::Trigger;
use crate::trace::{Phase, Record, What};
use crate::view::View;
use crate::world::World;

/// The counts of a run so far.
#[derive(Clone, Debug, Default)]
pub struct Census {
    goals: BTreeSet<Goal>,
    /// Triggers of `sometimes` that have not been met.
    unmet: Vec<Trigger>,
    elections: BTreeMap<TopicIdPartition, u64>,
    unclean: BTreeMap<TopicIdPartition, u64>,
    controller_elections: u64,
    truncated: BTreeMap<TopicIdPartition, u64>,
    isr: BTreeMap<TopicIdPartition, usize>,
    flows: BTreeMap<(u32, TopicIdPartition), Flow>,
    sources: Sorted<u32, Source>,
}

/// The records of one producer, wherever they went.
#[derive(Clone, Debug, Default)]
struct Source {
    sent: u64,
    accepted: u64,
    /// Those that were handed to `send` and have not been answered.
    open: Open,
}

/// When records were handed to `send`, by number. Numbers ascend and the oldest are mostly answered first, so a row
/// beats a tree.
#[derive(Clone, Debug, Default)]
struct Open(VecDeque<(u32, Time)>);

/// The records of one producer for one partition.
#[derive(Clone, Debug, Default)]
struct Flow {
    acked: u64,
    retries: u64,
    latency: Latency,
    waiting: u64,
    /// Since when records wait and none is acknowledged.
    since: Time,
    unavailable: Duration,
    /// Since when all is mended, while records wait that waited then and none was acknowledged.
    recovering: Option<Time>,
    recovery: Duration,
}

/// How long records took, in buckets.
#[derive(Clone, Debug, Default)]
pub struct Latency {
    buckets: BTreeMap<u32, u64>,
    count: u64,
    max: u64,
}

/// Whose records, and where.
#[derive(Clone, Copy, Debug, Default)]
pub struct Among {
    /// Of one producer.
    pub source: Option<u32>,
    /// Of one partition, or of a topic if the number is negative.
    pub partition: Option<TopicIdPartition>,
}

impl Census {
    /// An empty census that watches for the triggers of some expectations.
    pub fn of(expectations: &[Expectation]) -> Census {
        let trigger = |expectation: &Expectation| match expectation {
            Expectation::SometimesMet(trigger) => Some(trigger.clone()),
            _ => None,
        };
        Census {
            unmet: expectations.iter().filter_map(trigger).collect(),
            ..Census::default()
        }
    }

    /// Looks at a record.
    #[inline]
    pub fn look(&mut self, world: &World, record: &Record) {
        if !self.unmet.is_empty() {
            self.unmet
                .retain(|trigger| !met::is_met(world, trigger, record));
        }
        match &record.what {
            What::Told(event) => self.told(world, event, record),
            What::Phase(Phase::Healing) => self.healed(record.at),
            _ => {}
        }
    }

    /// All faults are over.
    fn healed(&mut self, at: Time) {
        let waiting = self.flows.values_mut().filter(|flow| flow.waiting > 0);
        waiting.for_each(|flow| flow.recovering = Some(at));
    }

    fn told(&mut self, world: &World, event: &Event, record: &Record) {
        let after_start = world.ready().is_some();
        match event {
            Event::Controller(event) => self.controller(world, event, after_start),
            Event::Raft(RaftEvent::Voted {
                pre_vote: true,
                granted: false,
                ..
            }) => {
                self.goals.insert(Goal::PreVoteRefused);
            }
            Event::Log(partition, event) if partition.topic != METADATA_TOPIC => {
                self.log(*partition, event)
            }
            Event::Replica(_, ReplicaEvent::Fenced { write: true, .. }) => {
                self.goals.insert(Goal::WriteFenced);
            }
            Event::Admin(event) if after_start => self.admin(event),
            Event::Client(_, event) => self.client(event, record.at),
            Event::App(AppEvent::Invoked { id }) => {
                let source = self.sources.get_or_default(id.source);
                source.sent += 1;
                source.open.begin(id.number, record.at);
            }
            Event::App(AppEvent::Accepted { id }) => {
                self.sources.get_or_default(id.source).accepted += 1;
            }
            _ => {}
        }
    }

    fn admin(&mut self, event: &AdminEvent) {
        let goal = match event {
            AdminEvent::CallTimedOut { .. } => Goal::AdminTimedOut,
            AdminEvent::TopicExisted { .. }
            | AdminEvent::TopicRefused { .. }
            | AdminEvent::ConfigsRefused { .. } => Goal::AdminRefused,
            AdminEvent::Answered { error, .. } if !error.is_none() => Goal::AdminRefused,
            _ => return,
        };
        self.goals.insert(goal);
    }

    fn controller(&mut self, world: &World, event: &ControllerEvent, after_start: bool) {
        match event {
            ControllerEvent::LeaderElected {
                partition,
                leader,
                unclean,
                isr,
                ..
            } => {
                self.isr_is(world, *partition, isr.len());
                if leader.is_some() && after_start {
                    self.goals.insert(Goal::LeaderElected);
                    *self.elections.entry(*partition).or_default() += 1;
                }
                if *unclean {
                    self.goals.insert(Goal::LeaderElectedUncleanly);
                    *self.unclean.entry(*partition).or_default() += 1;
                }
            }
            ControllerEvent::IsrCommitted { partition, isr, .. } => {
                self.isr_is(world, *partition, isr.len())
            }
            ControllerEvent::TopicDeleted { .. } => {
                self.goals.insert(Goal::TopicDeleted);
            }
            ControllerEvent::PartitionsCreated { .. } => {
                self.goals.insert(Goal::PartitionsAdded);
            }
            ControllerEvent::ConfigChanged { .. } => {
                self.goals.insert(Goal::ConfigChanged);
            }
            ControllerEvent::BrokerFenced { .. } => {
                self.goals.insert(Goal::BrokerFenced);
            }
            ControllerEvent::Activated { .. } if after_start => {
                self.goals.insert(Goal::ControllerElected);
                self.controller_elections += 1;
            }
            _ => {}
        }
    }

    /// An ISR has another size. A run is ready with full ISRs: before the first change it was all replicas.
    fn isr_is(&mut self, world: &World, partition: TopicIdPartition, size: usize) {
        let image = View::new(world).image();
        let full = image
            .and_then(|image| image.partition(partition))
            .map(|p| p.replicas.len());
        match self.isr.insert(partition, size).or(full) {
            Some(before) if size < before => self.goals.insert(Goal::IsrShrunk),
            Some(before) if size > before => self.goals.insert(Goal::IsrExpanded),
            _ => false,
        };
    }

    fn log(&mut self, partition: TopicIdPartition, event: &LogEvent) {
        match event {
            LogEvent::Truncated { from, to, .. } if from > to => {
                self.goals.insert(Goal::LogTruncated);
                *self.truncated.entry(partition).or_default() += from.0.abs_diff(to.0);
            }
            LogEvent::Compacted { gone, .. } if !gone.is_empty() => {
                self.goals.insert(Goal::LogCompacted);
            }
            LogEvent::Deduplicated { .. } => {
                self.goals.insert(Goal::DuplicateRecognised);
            }
            LogEvent::Refused {
                error: ErrorCode::NotEnoughReplicas,
                ..
            } => {
                self.goals.insert(Goal::NotEnoughReplicas);
            }
            _ => {}
        }
    }

    fn client(&mut self, event: &ClientEvent, at: Time) {
        match event {
            ClientEvent::Queued { id, partition } => {
                let flow = self.flows.entry((id.source, *partition)).or_default();
                if flow.waiting == 0 {
                    flow.since = at;
                }
                flow.waiting += 1;
            }
            ClientEvent::Acked { id, partition, .. } => {
                let sent = self.answered(*id).unwrap_or(at);
                let flow = self.flows.entry((id.source, *partition)).or_default();
                flow.acked += 1;
                flow.latency.add(at.since(sent));
                flow.answered(at, true);
            }
            ClientEvent::Failed {
                id,
                partition,
                error,
            } => {
                self.answered(*id);
                if *error == SendFailure::DeliveryTimeout {
                    self.goals.insert(Goal::DeliveryTimedOut);
                }
                if let Some(partition) = partition {
                    self.flows
                        .entry((id.source, *partition))
                        .or_default()
                        .answered(at, false);
                }
            }
            ClientEvent::Retried {
                partition,
                ids,
                error,
            } => {
                self.goals.insert(Goal::RequestRetried);
                if *error == ErrorCode::NotEnoughReplicas {
                    self.goals.insert(Goal::NotEnoughReplicas);
                }
                if let Some(id) = ids.first() {
                    self.flows
                        .entry((id.source, *partition))
                        .or_default()
                        .retries += 1;
                }
            }
            ClientEvent::TruncationDetected { .. } => {
                self.goals.insert(Goal::TruncationNoticed);
            }
            ClientEvent::BatchSplit { .. } => {
                self.goals.insert(Goal::BatchSplit);
            }
            ClientEvent::EpochBumped { .. } => {
                self.goals.insert(Goal::EpochBumped);
            }
            _ => {}
        }
    }

    /// Since when a record was open, which it is no longer.
    fn answered(&mut self, id: RecordId) -> Option<Time> {
        self.sources.get_mut(&id.source)?.open.end(id.number)
    }

    /// Whether a goal was reached.
    pub fn reached(&self, goal: Goal) -> bool {
        self.goals.contains(&goal)
    }

    /// Whether a trigger of `sometimes` was met.
    pub fn has_met(&self, trigger: &Trigger) -> bool {
        !self.unmet.contains(trigger)
    }

    /// Records handed to `send`.
    pub fn sent(&self, among: Among) -> u64 {
        self.sources(among).map(|source| source.sent).sum()
    }

    /// Records that the application told its own caller are accepted.
    pub fn accepted(&self, among: Among) -> u64 {
        self.sources(among).map(|source| source.accepted).sum()
    }

    /// Records that the application was told are written.
    pub fn acked(&self, among: Among) -> u64 {
        self.flows(among).map(|flow| flow.acked).sum()
    }

    /// Leaders elected after the start.
    pub fn elections(&self, among: Among) -> u64 {
        of_partitions(&self.elections, among)
    }

    /// Leaders elected from outside the ISR.
    pub fn unclean_elections(&self, among: Among) -> u64 {
        of_partitions(&self.unclean, among)
    }

    /// Leaders of the quorum elected after the start.
    pub fn controller_elections(&self) -> u64 {
        self.controller_elections
    }

    /// Records cut off logs.
    pub fn truncated(&self, among: Among) -> u64 {
        of_partitions(&self.truncated, among)
    }

    /// Produce requests sent again.
    pub fn retries(&self, among: Among) -> u64 {
        self.flows(among).map(|flow| flow.retries).sum()
    }

    /// How long acknowledged records took.
    pub fn latency(&self, among: Among) -> Latency {
        let mut all = Latency::default();
        self.flows(among).for_each(|flow| all.merge(&flow.latency));
        all
    }

    /// B37: the longest time in which a producer's records for one partition waited and none was acknowledged.
    pub fn unavailable(&self, among: Among, now: Time) -> Duration {
        let flow = |flow: &Flow| match flow.waiting {
            0 => flow.unavailable,
            _ => flow.unavailable.max(now.since(flow.since)),
        };
        self.flows(among).map(flow).max().unwrap_or_default()
    }

    /// B37: the longest time from the end of all faults until of a producer's records for one partition that waited then one
    /// was acknowledged, or all were given up.
    pub fn recovery(&self, among: Among, now: Time) -> Duration {
        let flow = |flow: &Flow| flow.recovering.map_or(flow.recovery, |at| now.since(at));
        self.flows(among).map(flow).max().unwrap_or_default()
    }

    fn sources(&self, among: Among) -> impl Iterator<Item = &Source> {
        let meant = self.sources.iter();
        let meant = meant.filter(move |(source, _)| among.has_source(**source));
        meant.map(|(_, source)| source)
    }

    fn flows(&self, among: Among) -> impl Iterator<Item = &Flow> {
        let meant = move |(source, partition): &(u32, TopicIdPartition)| {
            among.has_source(*source) && among.has_partition(*partition)
        };
        self.flows
            .iter()
            .filter(move |(key, _)| meant(key))
            .map(|(_, flow)| flow)
    }
}

impl Open {
    /// A record was handed over; what is known of it already stays.
    fn begin(&mut self, number: u32, at: Time) {
        if self.0.back().is_none_or(|(last, _)| *last < number) {
            self.0.push_back((number, at));
        } else if let Err(place) = self.place(number) {
            self.0.insert(place, (number, at));
        }
    }

    /// A record is answered: since when it was open, if it was.
    fn end(&mut self, number: u32) -> Option<Time> {
        let place = match self.0.front() {
            Some((first, _)) if *first == number => 0,
            _ => self.place(number).ok()?,
        };
        self.0.remove(place).map(|(_, since)| since)
    }

    fn place(&self, number: u32) -> Result<usize, usize> {
        self.0.binary_search_by_key(&number, |(there, _)| *there)
    }
}

impl Flow {
    /// A record that waited was acknowledged or given up.
    fn answered(&mut self, at: Time, acked: bool) {
        self.waiting = self.waiting.saturating_sub(1);
        if acked || self.waiting == 0 {
            self.unavailable = self.unavailable.max(at.since(self.since));
            self.since = at;
            if let Some(mended) = self.recovering.take() {
                self.recovery = at.since(mended);
            }
        }
    }
}

impl Among {
    pub(crate) fn has_source(&self, source: u32) -> bool {
        self.source.is_none_or(|only| only == source)
    }

    pub(crate) fn has_partition(&self, partition: TopicIdPartition) -> bool {
        self.partition.is_none_or(|only| {
            only.topic == partition.topic && (only.partition < 0 || only == partition)
        })
    }
}

fn of_partitions(counts: &BTreeMap<TopicIdPartition, u64>, among: Among) -> u64 {
    counts
        .iter()
        .filter(|(partition, _)| among.has_partition(**partition))
        .map(|(_, count)| count)
        .sum()
}

impl Latency {
    fn add(&mut self, took: Duration) {
        *self.buckets.entry(bucket(took.0)).or_default() += 1;
        self.count += 1;
        self.max = self.max.max(took.0);
    }

    fn merge(&mut self, other: &Latency) {
        for (bucket, count) in &other.buckets {
            *self.buckets.entry(*bucket).or_default() += count;
        }
        self.count += other.count;
        self.max = self.max.max(other.max);
    }

    /// The time that so many of a hundred records took at most, rounded up to its bucket.
    pub fn percentile(&self, percent: u64) -> Duration {
        let wanted = (self.count * percent).div_ceil(100);
        let mut seen = 0;
        for (bucket, count) in &self.buckets {
            seen += count;
            if seen >= wanted {
                return Duration(end_of(*bucket).min(self.max));
            }
        }
        Duration(self.max)
    }

    /// The longest time.
    pub fn max(&self) -> Duration {
        Duration(self.max)
    }
}

/// 64 buckets for each doubling.
fn bucket(ns: u64) -> u32 {
    let shift = (u64::BITS - ns.leading_zeros()).saturating_sub(7);
    shift * 128 + u32::try_from(ns >> shift).expect("seven bits are left")
}

/// The longest time of a bucket.
fn end_of(bucket: u32) -> u64 {
    let (shift, top) = (bucket / 128, u64::from(bucket % 128));
    ((top + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_record_is_found_until_it_is_answered_in_whatever_order() {
        let mut open = Open::default();
        for number in [7, 8, 10, 6] {
            open.begin(number, Time(u64::from(number)));
        }
        open.begin(8, Time(99));
        assert_eq!(open.end(8), Some(Time(8)), "the first time counts");
        assert_eq!(open.end(9), None, "it was never handed over");
        assert_eq!(open.end(6), Some(Time(6)));
        assert_eq!(open.end(7), Some(Time(7)));
        assert_eq!(open.end(7), None);
        assert_eq!(open.end(10), Some(Time(10)));
        assert!(open.0.is_empty(), "nothing is kept of what is answered");
        open.begin(3, Time(3));
        assert_eq!(open.end(3), Some(Time(3)));
    }
    use proptest::prelude::*;

    #[test]
    fn percentiles_come_in_the_order_of_the_times() {
        let mut latency = Latency::default();
        (1..=100).for_each(|ms| latency.add(Duration::millis(ms)));
        let near = |found: Duration, ms: u64| {
            (Duration::millis(ms)..=Duration::millis(ms + ms / 50 + 1)).contains(&found)
        };
        assert!(near(latency.percentile(50), 50));
        assert!(near(latency.percentile(99), 99));
        assert_eq!(latency.max(), Duration::millis(100));
        assert_eq!(Latency::default().percentile(99), Duration::ZERO);
    }

    #[test]
    fn a_gap_without_an_acknowledgement_counts_only_while_records_wait() {
        let (second, mut flow) = (
            1_000_000_000,
            Flow {
                waiting: 2,
                ..Flow::default()
            },
        );
        flow.answered(Time(3 * second), true);
        flow.answered(Time(4 * second), true);
        assert_eq!(flow.unavailable, Duration::secs(3));
        assert_eq!(flow.waiting, 0);
    }

    #[test]
    fn recovery_lasts_from_the_end_of_all_faults_to_the_first_acknowledgement_of_what_waited() {
        let at = |seconds: u64| Time(seconds * 1_000_000_000);
        let partition = |partition| TopicIdPartition {
            topic: METADATA_TOPIC,
            partition,
        };
        let flow = |waiting| Flow {
            waiting,
            ..Flow::default()
        };
        let mut census = Census::default();
        for (number, waiting) in [(0, 2), (1, 1), (2, 0)] {
            census.flows.insert((0, partition(number)), flow(waiting));
        }
        census.healed(at(10));
        let mut answered = |number, seconds, acked| {
            let flow = census.flows.get_mut(&(0, partition(number)));
            flow.expect("inserted").answered(at(seconds), acked);
        };
        answered(0, 14, true);
        answered(0, 90, true);
        let of = |census: &Census, partition, now| {
            let among = Among {
                partition,
                ..Among::default()
            };
            census.recovery(among, at(now))
        };
        assert_eq!(of(&census, Some(partition(0)), 95), Duration::secs(4));
        assert_eq!(of(&census, Some(partition(1)), 95), Duration::secs(85));
        assert_eq!(of(&census, Some(partition(2)), 95), Duration::ZERO);
        assert_eq!(of(&census, None, 12), Duration::secs(4));
    }

    proptest! {
        #[test]
        fn a_bucket_holds_its_time_to_one_part_in_64(ns in any::<u64>()) {
            let end = end_of(bucket(ns.min(1 << 62)));
            prop_assert!(end >= ns.min(1 << 62));
            prop_assert!(end - ns.min(1 << 62) <= ns.min(1 << 62) / 64);
        }
    }
}
