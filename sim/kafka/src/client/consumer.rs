//! ROLE Consumer: Kafka's KafkaConsumer (the classic one), reading partitions that it was assigned by hand.
//!
//! It keeps: records come in offset order from positions that the leader has confirmed (KIP-320, the switch
//! `position-validation`); the position moves when `poll` returns the records, not when they are processed (C-3).
//!
//! `poll` and `end_offsets` block in Kafka. Here they begin, `handle` goes on, and `polled` and `ended` say what they
//! returned; meanwhile the application's thread is busy. Between two polls Kafka's consumer without a group does nothing,
//! not even read its sockets; here what arrives then is taken in, but nothing is sent.
//!
//! Left out: subscriptions, groups and commits; fetch sessions; preferred read replicas; reading behind open and aborted transactions (with transactions). The leader epoch that ListOffsets names is not
//! compared with the client's own: the broker has done so already.

pub mod completed_fetch;
pub mod fetcher;
pub mod lookup;
pub mod offsets;
pub mod positions;
pub mod records;

use super::backoff::Backoff;
use super::connections::{Happened, NetworkSettings};
use super::metadata::{LeaderAndEpoch, MetadataSettings};
use super::network::NetworkClient;
use crate::config::{ConsumerConfig, OffsetReset};
use crate::context::Context;
use crate::event::{ClientEvent, Event};
use crate::ids::{
    Address, ClientId, ConnId, LeaderEpoch, NodeId, Offset, TopicId, TopicIdPartition,
};
use crate::input::Input;
use crate::protocol::fetch::FetchResponse;
use crate::protocol::offsets::{ListOffsetsResponse, OffsetForLeaderEpochResponse, OffsetSpec};
use crate::protocol::{Request, Response};
use crate::rules::Rules;
use crate::time::{Duration, Time, Timestamp};
use crate::timer::Timer;
use fetcher::{Asked, Collected, Fetcher};
use lookup::{EndOffsets, LookedUp, Lookup};
use offsets::{EpochAsked, EpochEnd, Listed, OffsetAndTimestamp, OffsetAsked, Purpose};
use positions::{FetchPosition, Positions, ResetTo, TopicPartition, Validation};
use records::{ConsumerError, PartitionRecords};
use serde::Serialize;
use std::sync::Arc;

/// What a poll returned: records of some partitions (none if nothing came in time), or what it threw.
pub type Polled = Result<Vec<PartitionRecords>, ConsumerError>;

/// A consumer.
#[derive(Clone, Debug, Serialize)]
pub struct Consumer {
    client: ClientId,
    config: ConsumerConfig,
    rules: Rules,
    network: NetworkClient<Tag>,
    positions: Positions,
    /// The metadata that the positions were last compared with.
    compared: u32,
    fetcher: Fetcher,
    /// A poll is running, until then.
    polling: Option<Time>,
    polled: Option<Polled>,
    /// What the next poll throws.
    error: Option<ConsumerError>,
    lookup: Option<Lookup>,
    looked_up: Option<LookedUp>,
    alarm: Option<Time>,
}

/// What is remembered of a request.
#[derive(Clone, Debug, Serialize)]
enum Tag {
    Fetch(Box<[Asked]>),
    ListOffsets(Box<[OffsetAsked]>),
    OffsetForLeaderEpoch(Box<[EpochAsked]>),
}

impl Consumer {
    /// A consumer that knows where to begin.
    pub fn new(
        client: ClientId,
        config: ConsumerConfig,
        rules: Rules,
        bootstrap: &[Address],
    ) -> Consumer {
        let network = NetworkSettings {
            request_timeout: ms(config.request_timeout_ms.into()),
            reconnect_backoff: ms(config.reconnect_backoff_ms),
            reconnect_backoff_max: ms(config.reconnect_backoff_max_ms),
            // ConsumerNetworkClient's own limit.
            max_in_flight: 100,
            setup_timeout: ms(config.socket_connection_setup_timeout_ms),
            setup_timeout_max: ms(config.socket_connection_setup_timeout_max_ms),
            max_idle: ms(config.connections_max_idle_ms),
        };
        let backoff = Backoff::new(ms(config.retry_backoff_ms), ms(config.retry_backoff_max_ms));
        let metadata = MetadataSettings {
            refresh_backoff: backoff,
            max_age: ms(config.metadata_max_age_ms),
            max_idle: None,
            allow_auto_topic_creation: config.allow_auto_create_topics,
        };
        let trigger = ms(config.metadata_recovery_rebootstrap_trigger_ms);
        Consumer {
            client,
            network: NetworkClient::new(client, network, metadata, trigger, bootstrap),
            config,
            rules,
            positions: Positions::default(),
            compared: 0,
            fetcher: Fetcher::default(),
            polling: None,
            polled: None,
            error: None,
            lookup: None,
            looked_up: None,
            alarm: None,
        }
    }

    /// Reads these partitions and no others. Those that stay keep their positions.
    pub fn assign(&mut self, partitions: &[TopicPartition], cx: &mut Context<'_>) {
        self.positions.assign(partitions);
        let metadata = &mut self.network.metadata;
        metadata.keep_only(|name| partitions.iter().any(|p| &*p.topic == name));
        for partition in partitions {
            metadata.add(&partition.topic, cx.now());
        }
    }

    /// The next poll reads from this offset on. With the epoch of the record before it, if the application kept that, a
    /// truncation is found first.
    ///
    /// # Panics
    /// If the partition is not assigned, as Kafka's IllegalStateException.
    pub fn seek(&mut self, partition: &TopicPartition, offset: Offset, epoch: Option<LeaderEpoch>) {
        let leader = self.leader(partition);
        let offset_epoch = epoch.filter(|_| self.rules.position_validation);
        self.assigned(partition).seek(FetchPosition {
            offset,
            offset_epoch,
            leader,
        });
    }

    /// The next poll reads from the log start offset on; it asks for that first.
    ///
    /// # Panics
    /// If the partition is not assigned.
    pub fn seek_to_beginning(&mut self, partition: &TopicPartition) {
        self.assigned(partition).reset(ResetTo::Earliest);
    }

    /// The next poll reads from the end on; it asks for that first.
    ///
    /// # Panics
    /// If the partition is not assigned.
    pub fn seek_to_end(&mut self, partition: &TopicPartition) {
        self.assigned(partition).reset(ResetTo::Latest);
    }

    /// Polls return no records of it until it is resumed; what was fetched is kept (C-6).
    ///
    /// # Panics
    /// If the partition is not assigned.
    pub fn pause(&mut self, partition: &TopicPartition) {
        self.assigned(partition).paused = true;
    }

    /// Polls return its records again.
    ///
    /// # Panics
    /// If the partition is not assigned.
    pub fn resume(&mut self, partition: &TopicPartition) {
        self.assigned(partition).paused = false;
    }

    /// The offset of the next record that a poll returns, if known.
    pub fn position(&self, partition: &TopicPartition) -> Option<Offset> {
        Some(self.positions.get(partition)?.position()?.offset)
    }

    /// How many records a partition has from the position on, as its leader last said.
    pub fn lag(&self, partition: &TopicPartition) -> Option<i64> {
        self.positions
            .get(partition)?
            .lag(self.config.isolation_level.0)
    }

    /// Begins a poll that blocks so long at most; `polled` has what it returned.
    ///
    /// # Panics
    /// If a poll is running: an application's thread cannot call twice.
    pub fn poll(&mut self, timeout: Duration, cx: &mut Context<'_>) {
        assert!(self.polling.is_none(), "one poll at a time");
        self.polling = Some(cx.now() + timeout);
        self.run(cx);
    }

    /// What the poll returned, once.
    pub fn polled(&mut self) -> Option<Polled> {
        self.polled.take()
    }

    /// Begins to ask for the end offsets of these partitions; `ended` has the answer.
    pub fn end_offsets(&mut self, partitions: &[TopicPartition], cx: &mut Context<'_>) {
        let at = |p: &TopicPartition| (p.clone(), OffsetSpec::Latest);
        self.begin_lookup(partitions.iter().map(at).collect(), cx);
    }

    /// Begins to ask where these partitions begin; `ended` has the answer.
    pub fn beginning_offsets(&mut self, partitions: &[TopicPartition], cx: &mut Context<'_>) {
        let at = |p: &TopicPartition| (p.clone(), OffsetSpec::Earliest);
        self.begin_lookup(partitions.iter().map(at).collect(), cx);
    }

    /// Begins to ask for the first records that are stamped at or after these times; `looked_up` has the answer.
    pub fn offsets_for_times(
        &mut self,
        times: &[(TopicPartition, Timestamp)],
        cx: &mut Context<'_>,
    ) {
        let at = |(p, time): &(TopicPartition, Timestamp)| (p.clone(), OffsetSpec::At(*time));
        self.begin_lookup(times.iter().map(at).collect(), cx);
    }

    /// What `beginning_offsets` or `end_offsets` returned, once.
    pub fn ended(&mut self) -> Option<EndOffsets> {
        let offset = |(p, found): (TopicPartition, Option<OffsetAndTimestamp>)| {
            let found = found.expect("every log begins and ends somewhere");
            (p, found.offset)
        };
        let looked_up = self.looked_up.take()?;
        Some(looked_up.map(|all| all.into_iter().map(offset).collect()))
    }

    /// What `offsets_for_times` returned, once.
    pub fn looked_up(&mut self) -> Option<LookedUp> {
        self.looked_up.take()
    }

    fn begin_lookup(&mut self, questions: Vec<(TopicPartition, OffsetSpec)>, cx: &mut Context<'_>) {
        let until = cx.now() + ms(self.config.default_api_timeout_ms.into());
        self.lookup = Some(Lookup::new(questions, until));
        self.run(cx);
    }

    /// Whether a connection is this consumer's.
    pub fn owns(&self, conn: ConnId) -> bool {
        self.network.owns(conn)
    }

    /// Closes its connections. A running poll does not return.
    pub fn close(&mut self, cx: &mut Context<'_>) {
        self.network.close(cx);
        cx.cancel_timer(Timer::Client(self.client));
        self.polling = None;
        self.lookup = None;
    }

    /// One step: something came, or the alarm went off.
    pub fn handle(&mut self, input: Input, cx: &mut Context<'_>) {
        if matches!(input, Input::Timer(timer) if timer == Timer::Client(self.client)) {
            self.alarm = None;
        }
        for happened in self.network.handle(input, cx) {
            self.happened(happened, cx);
        }
        self.run(cx);
    }

    /// Goes on with what blocks the application, as far as it can (C-1). What is buffered comes first, then metadata that
    /// an error asked for, then the questions about positions and the fetches; metadata that those lacked goes last.
    fn run(&mut self, cx: &mut Context<'_>) {
        self.poll_network(cx);
        let until = self.polling;
        let polled = until.and_then(|_| self.take_buffered(cx));
        self.poll_network(cx);
        self.compare_leaders();
        self.look_up(cx);
        match polled {
            // While the application works on these records, the next ones are on their way.
            Some(Ok(_)) => self.send_fetches(cx),
            Some(Err(_)) => {}
            None if until.is_some() => self.ask_leaders(cx),
            None => {}
        }
        self.poll_network(cx);
        if polled.is_some() || until.is_some_and(|at| at <= cx.now()) {
            self.return_from_poll(polled.unwrap_or(Ok(Vec::new())), cx);
        }
        self.set_alarm(cx);
    }

    fn poll_network(&mut self, cx: &mut Context<'_>) {
        let all = self.network.poll(cx);
        // Mostly nothing is due, and a step polls three times.
        if !all.is_empty() {
            for happened in all {
                self.happened(happened, cx);
            }
        }
    }

    /// What a poll can return now.
    fn take_buffered(&mut self, cx: &mut Context<'_>) -> Option<Polled> {
        if let Some(error) = self.error.take() {
            return Some(Err(error));
        }
        let nowhere = self.positions.reset_initializing(self.policy());
        if !nowhere.is_empty() {
            return Some(Err(ConsumerError::NoOffsetForPartition(nowhere)));
        }
        let collected = self.collect(cx);
        if let Some(error) = collected.error {
            return Some(Err(error));
        }
        (!collected.records.is_empty()).then_some(Ok(collected.records))
    }

    fn ask_leaders(&mut self, cx: &mut Context<'_>) {
        // Mostly every position is known to be good.
        if !self.positions.are_valid() {
            self.validate_positions(cx);
            self.reset_positions(cx);
        }
        self.send_fetches(cx);
    }

    fn return_from_poll(&mut self, polled: Polled, cx: &mut Context<'_>) {
        if let Err(error) = &polled {
            let error = error.clone();
            cx.tell(Event::Client(
                self.client,
                ClientEvent::PollFailed { error },
            ));
        }
        for records in polled.iter().flatten() {
            let event = ClientEvent::Delivered {
                partition: records.id(),
                from: records.from,
                to: records.to,
                records: records.records(),
            };
            cx.tell(Event::Client(self.client, event));
        }
        self.polling = None;
        self.polled = Some(polled);
    }

    fn collect(&mut self, cx: &mut Context<'_>) -> Collected {
        let policy = self.policy();
        let collected = self
            .fetcher
            .collect(&mut self.positions, &self.config, policy);
        if collected.wants_metadata {
            self.network.metadata.request_update();
        }
        for (partition, position) in &collected.out_of_range {
            let event = ClientEvent::OffsetOutOfRange {
                partition: *partition,
                position: *position,
            };
            cx.tell(Event::Client(self.client, event));
        }
        collected
    }

    fn send_fetches(&mut self, cx: &mut Context<'_>) {
        let metadata = &self.network.metadata;
        let wanted = self
            .fetcher
            .wanted(&self.positions, |name| Some(metadata.topic(name)?.id));
        if wanted.wants_metadata {
            self.network.metadata.request_update();
        }
        for (node, mut asked) in wanted.by_node {
            if !self.rules.position_validation {
                // Before KIP-320 no fetch said under whom its offset was good.
                asked.iter_mut().for_each(|a| a.epoch = None);
            }
            if self.network.ready(node, cx) {
                self.fetcher.sent(node);
                let request = Request::Fetch(fetcher::request(&asked, &self.config));
                let tag = Tag::Fetch(asked.into_boxed_slice());
                self.network.send(node, request, tag, cx);
            }
        }
    }

    /// C-10: asks the leader of each position that waits for it.
    fn validate_positions(&mut self, cx: &mut Context<'_>) {
        let mut by_node: Vec<(NodeId, Vec<EpochAsked>)> = Vec::new();
        for (partition, position) in self.positions.to_validate(cx.now()) {
            let node = position.leader.and_then(|l| l.leader);
            let (Some(node), Some(topic_id)) = (node, self.topic_id(&partition.topic)) else {
                self.network.metadata.request_update();
                continue;
            };
            let asked = EpochAsked {
                partition,
                topic_id,
                position,
            };
            add(&mut by_node, node, asked);
        }
        for (node, asked) in by_node {
            if self.network.ready(node, cx) {
                self.retry_at(asked.iter().map(|a| &a.partition), self.unanswered_at(cx));
                let request = offsets::offset_for_leader_epoch(&asked);
                let tag = Tag::OffsetForLeaderEpoch(asked.into_boxed_slice());
                self.network
                    .send(node, Request::OffsetForLeaderEpoch(request), tag, cx);
            }
        }
    }

    /// C-8: asks the leader of each partition that waits for a position.
    fn reset_positions(&mut self, cx: &mut Context<'_>) {
        let wanted = self.positions.to_reset(cx.now());
        let wanted = wanted.into_iter().map(|(p, to)| (p, Purpose::Reset(to)));
        for (node, asked) in self.by_leader(wanted.collect()) {
            if self.network.ready(node, cx) {
                self.retry_at(asked.iter().map(|a| &a.partition), self.unanswered_at(cx));
                self.list_offsets(node, asked, cx);
            }
        }
    }

    fn look_up(&mut self, cx: &mut Context<'_>) {
        let Some(lookup) = &mut self.lookup else {
            return;
        };
        if let Some(ended) = lookup.outcome(cx.now()) {
            self.looked_up = Some(ended);
            self.lookup = None;
            return;
        }
        let wanted = lookup.to_ask(self.network.metadata.update_version());
        let wanted = wanted.into_iter().map(|(p, at)| (p, Purpose::Lookup(at)));
        for (node, asked) in self.by_leader(wanted.collect()) {
            if self.network.ready(node, cx) {
                for a in &asked {
                    self.lookup.as_mut().expect("it runs").asked(&a.partition);
                }
                self.list_offsets(node, asked, cx);
            }
        }
    }

    fn list_offsets(&mut self, node: NodeId, asked: Vec<OffsetAsked>, cx: &mut Context<'_>) {
        let request = offsets::list_offsets(&asked, self.config.isolation_level.0, cx.wall());
        let tag = Tag::ListOffsets(asked.into_boxed_slice());
        self.network
            .send(node, Request::ListOffsets(request), tag, cx);
    }

    /// Questions by the leader that can answer them. Where none is known, metadata is wanted.
    fn by_leader(
        &mut self,
        wanted: Vec<(TopicPartition, Purpose)>,
    ) -> Vec<(NodeId, Vec<OffsetAsked>)> {
        let names_epoch = self.rules.position_validation;
        let mut by_node = Vec::new();
        for (partition, purpose) in wanted {
            let leader = self.leader(&partition);
            let node = leader.and_then(|l| l.leader);
            let (Some(node), Some(topic_id)) = (node, self.topic_id(&partition.topic)) else {
                self.network.metadata.request_update();
                continue;
            };
            let asked = OffsetAsked {
                partition,
                topic_id,
                epoch: leader.map(|l| l.epoch).filter(|_| names_epoch),
                purpose,
            };
            add(&mut by_node, node, asked);
        }
        by_node
    }

    fn happened(&mut self, happened: Happened<Tag>, cx: &mut Context<'_>) {
        match happened {
            Happened::Answered(node, Tag::Fetch(asked), Response::Fetch(r)) => {
                self.fetched(node, &asked, r, cx);
            }
            Happened::Answered(_, Tag::ListOffsets(asked), Response::ListOffsets(r)) => {
                self.listed(&asked, &r, cx);
            }
            Happened::Answered(
                _,
                Tag::OffsetForLeaderEpoch(asked),
                Response::OffsetForLeaderEpoch(r),
            ) => self.validated(&asked, &r, cx),
            Happened::Answered(..) => {
                unreachable!("because an answer is of the kind of its question")
            }
            Happened::Failed(node, Tag::Fetch(_), _) => self.fetcher.failed(node),
            Happened::Failed(_, Tag::ListOffsets(asked), _) => {
                let nothing = ListOffsetsResponse {
                    partitions: Vec::new(),
                };
                self.listed(&asked, &nothing, cx);
            }
            Happened::Failed(_, Tag::OffsetForLeaderEpoch(asked), _) => {
                let nothing = OffsetForLeaderEpochResponse {
                    partitions: Vec::new(),
                };
                self.validated(&asked, &nothing, cx);
            }
            Happened::Ready(_) | Happened::Sent(..) | Happened::Disconnected(_) => {}
        }
    }

    fn fetched(
        &mut self,
        node: NodeId,
        asked: &[Asked],
        mut r: FetchResponse,
        cx: &mut Context<'_>,
    ) {
        let endpoints = std::mem::take(&mut r.node_endpoints);
        let hints = self.fetcher.answered(node, asked, r);
        if !hints.is_empty() {
            // KIP-951: at once, so that the error that brought the hint finds the position on its way to validation.
            self.network.learn_leaders(&hints, &endpoints, cx);
            self.compare_all();
        }
    }

    fn listed(&mut self, asked: &[OffsetAsked], r: &ListOffsetsResponse, cx: &mut Context<'_>) {
        let again = cx.now() + ms(self.config.retry_backoff_ms);
        let version = self.network.metadata.update_version();
        let mut retry = false;
        for (asked, listed) in offsets::listed(asked, r) {
            match asked.purpose {
                Purpose::Lookup(_) => {
                    let lookup = self.lookup.as_mut();
                    retry |= lookup.is_some_and(|l| l.answered(asked, listed, version));
                }
                Purpose::Reset(to) => match listed {
                    Listed::At(found) => self.reset(asked, to, found.offset, cx),
                    // No record is that young: the question is asked again when its request would have timed out.
                    Listed::Nothing => {}
                    Listed::Retry => {
                        self.retry_at([&asked.partition].into_iter(), again);
                        retry = true;
                    }
                },
            }
        }
        if retry {
            self.network.metadata.request_update();
        }
    }

    fn reset(&mut self, asked: &OffsetAsked, to: ResetTo, offset: Offset, cx: &mut Context<'_>) {
        let leader = self.leader(&asked.partition);
        let Some(assigned) = self.positions.get_mut(&asked.partition) else {
            return;
        };
        if assigned.complete_reset(to, offset, leader) {
            let event = ClientEvent::PositionReset {
                partition: id(asked.topic_id, &asked.partition),
                to: offset,
            };
            cx.tell(Event::Client(self.client, event));
        }
    }

    fn validated(
        &mut self,
        asked: &[EpochAsked],
        r: &OffsetForLeaderEpochResponse,
        cx: &mut Context<'_>,
    ) {
        let again = cx.now() + ms(self.config.retry_backoff_ms);
        for (asked, end) in offsets::epoch_ends(asked, r) {
            match end {
                EpochEnd::At(end) => self.validate(asked, end, cx),
                EpochEnd::Retry => {
                    self.retry_at([&asked.partition].into_iter(), again);
                    self.network.metadata.request_update();
                }
            }
        }
    }

    fn validate(
        &mut self,
        asked: &EpochAsked,
        end: Option<(LeaderEpoch, Offset)>,
        cx: &mut Context<'_>,
    ) {
        let policy = self.policy();
        let Some(assigned) = self.positions.get_mut(&asked.partition) else {
            return;
        };
        let validation = assigned.complete_validation(asked.position, end, policy);
        if let Validation::LogTruncation {
            position,
            divergence,
        } = validation
        {
            let partition = asked.partition.clone();
            self.error.get_or_insert(ConsumerError::LogTruncation {
                partition,
                position,
                divergence,
            });
        }
        if let Validation::Truncated {
            position,
            divergence,
        }
        | Validation::LogTruncation {
            position,
            divergence,
        } = validation
        {
            let event = ClientEvent::TruncationDetected {
                partition: id(asked.topic_id, &asked.partition),
                position,
                divergence,
            };
            cx.tell(Event::Client(self.client, event));
        }
    }

    /// PositionsValidator: whenever there is new metadata.
    fn compare_leaders(&mut self) {
        if self.compared != self.network.metadata.update_version() {
            self.compare_all();
        }
    }

    fn compare_all(&mut self) {
        self.compared = self.network.metadata.update_version();
        let metadata = &self.network.metadata;
        let validates = self.rules.position_validation;
        for assigned in self.positions.iter_mut() {
            assigned.learn_leader(leader(metadata, &assigned.partition), validates);
        }
    }

    fn leader(&self, partition: &TopicPartition) -> Option<LeaderAndEpoch> {
        leader(&self.network.metadata, partition)
    }

    /// A topic's id, if known.
    pub fn topic_id(&self, name: &Arc<str>) -> Option<TopicId> {
        Some(self.network.metadata.topic(name)?.id)
    }

    fn assigned(&mut self, partition: &TopicPartition) -> &mut positions::Assigned {
        let assigned = self.positions.get_mut(partition);
        assigned.expect("a consumer moves only in what it was assigned")
    }

    fn policy(&self) -> Option<ResetTo> {
        match self.config.auto_offset_reset {
            OffsetReset::Earliest => Some(ResetTo::Earliest),
            OffsetReset::Latest => Some(ResetTo::Latest),
            OffsetReset::None => None,
            OffsetReset::ByDuration(ms) => Some(ResetTo::ByDuration(ms)),
        }
    }

    /// A question on its way is not repeated before its request has timed out.
    fn unanswered_at(&self, cx: &Context<'_>) -> Time {
        cx.now() + ms(self.config.request_timeout_ms.into())
    }

    fn retry_at<'a>(&mut self, partitions: impl Iterator<Item = &'a TopicPartition>, at: Time) {
        for partition in partitions {
            if let Some(assigned) = self.positions.get_mut(partition) {
                assigned.retry_at(at);
            }
        }
    }

    /// One alarm, at the earliest time at which there is something to do. It is set anew only if that has moved.
    fn set_alarm(&mut self, cx: &mut Context<'_>) {
        let now = cx.now();
        let mut earliest = self.network.next_deadline(now);
        let mut or = |at: Option<Time>| earliest = Time::earliest([earliest, at]);
        or(self.polling);
        or(self.lookup.as_ref().map(Lookup::until));
        if self.polling.is_some() {
            or(self.positions.next_retry().filter(|at| *at > now));
        }
        let waits = self.polling.is_some() || self.lookup.is_some();
        if waits && self.network.is_backing_off(now) {
            let leaders = self
                .positions
                .iter()
                .filter_map(|a| self.leader(&a.partition)?.leader);
            or(leaders
                .filter_map(|n| self.network.backing_off_until(n, now))
                .min());
        }
        if earliest != self.alarm {
            self.alarm = earliest;
            match earliest {
                Some(at) => cx.set_timer(Timer::Client(self.client), at.max(now)),
                None => cx.cancel_timer(Timer::Client(self.client)),
            }
        }
    }
}

fn ms(n: i64) -> Duration {
    Duration::millis(u64::try_from(n).unwrap_or(0))
}

fn id(topic: TopicId, partition: &TopicPartition) -> TopicIdPartition {
    TopicIdPartition {
        topic,
        partition: partition.partition,
    }
}

fn leader(
    metadata: &super::metadata::ClientMetadata,
    p: &TopicPartition,
) -> Option<LeaderAndEpoch> {
    let index = usize::try_from(p.partition).ok()?;
    let known = metadata.topic(&p.topic)?.partitions.get(index)?;
    let leader = metadata.reachable(known);
    Some(LeaderAndEpoch { leader, ..*known })
}

fn add<T>(by_node: &mut Vec<(NodeId, Vec<T>)>, node: NodeId, one: T) {
    match by_node.iter_mut().find(|(n, _)| *n == node) {
        Some((_, all)) => all.push(one),
        None => by_node.push((node, vec![one])),
    }
}

#[cfg(test)]
mod tests;
