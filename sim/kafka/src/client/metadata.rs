//! What a client knows of the cluster: Kafka's Metadata with its ProducerMetadata and ConsumerMetadata (N-5).
//!
//! It keeps: a partition's leader epoch never goes back while the topic is the same (by id); an update is asked for when
//! somebody wants one or when the last full one is `metadata.max.age.ms` old; between updates lies a back-off that grows
//! while they fail and while they bring nothing new; a topic not used for `metadata.max.idle.ms` is forgotten.
//! Brokers answer from their own copies (N-6), so that what stands here may be older than what another client knows.
//!
//! Left out: patterns, internal and unauthorized topics, racks, the controller's id.

use crate::client::backoff::Backoff;
use crate::ids::{Address, LeaderEpoch, NodeId, TopicId, TopicIdPartition};
use crate::protocol::ErrorCode;
use crate::protocol::metadata::{
    MetadataPartition, MetadataRequest, MetadataResponse, MetadataTopic, NodeEndpoint,
};
use crate::protocol::produce::LeaderIdAndEpoch;
use crate::sorted::Sorted;
use crate::time::{Duration, Time};
use serde::Serialize;
use std::sync::Arc;

/// Kafka's settings of a client's metadata.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct MetadataSettings {
    /// `retry.backoff.ms` to `retry.backoff.max.ms`.
    pub refresh_backoff: Backoff,
    /// `metadata.max.age.ms`.
    pub max_age: Duration,
    /// `metadata.max.idle.ms` of producers; `None` keeps topics until they are taken away.
    pub max_idle: Option<Duration>,
    /// Whether asking for an unknown topic creates it (K-25).
    pub allow_auto_topic_creation: bool,
}

impl Default for MetadataSettings {
    /// Kafka's defaults for its clients, but for the producer's idle topics.
    fn default() -> MetadataSettings {
        MetadataSettings {
            refresh_backoff: Backoff::new(Duration::millis(100), Duration::secs(1)),
            max_age: Duration::secs(300),
            max_idle: None,
            allow_auto_topic_creation: true,
        }
    }
}

/// A client's copy of the metadata.
#[derive(Clone, Debug, Serialize)]
pub struct ClientMetadata {
    settings: MetadataSettings,
    bootstrap: Vec<Address>,
    /// By id.
    nodes: Vec<(NodeId, Address)>,
    topics: Sorted<Arc<str>, Wanted>,
    /// Updates so far, the bootstrap included: who waits for news compares this.
    update_version: u32,
    /// The version of the last update that a broker's answer made.
    answered_version: u32,
    /// Topics added so far: an answer to an older question does not cover the newest ones.
    request_version: u32,
    full_update_wanted: bool,
    partial_update_wanted: bool,
    /// The last update or failure; `None` lets the next one go at once.
    last_refresh: Option<Time>,
    last_full_update: Option<Time>,
    /// Failures since the last update.
    attempts: u32,
    /// Updates in a row that brought nothing new.
    equivalent_responses: u32,
    wait_between: Duration,
    wait_after_nothing_new: Duration,
}

/// A topic that the client wants to know about.
#[derive(Clone, Debug, Serialize)]
struct Wanted {
    expires: Option<Time>,
    /// No answer has named it yet.
    is_new: bool,
    error: ErrorCode,
    known: Option<TopicMetadata>,
}

/// A topic as a client knows it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct TopicMetadata {
    /// Its id.
    pub id: TopicId,
    /// By partition.
    pub partitions: Vec<LeaderAndEpoch>,
}

/// Who leads a partition, as a client knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct LeaderAndEpoch {
    /// The leader, if there is one.
    pub leader: Option<NodeId>,
    /// The epoch in which it leads, or in which nobody does.
    pub epoch: LeaderEpoch,
}

/// A question that is on its way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Asked {
    request_version: u32,
    /// About new topics only.
    partial: bool,
}

/// The client learned of another leader, or of a later epoch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LeaderLearned {
    /// Of which partition.
    pub partition: TopicIdPartition,
    /// Who leads, and in which epoch.
    pub now: LeaderAndEpoch,
}

impl ClientMetadata {
    /// Knows the bootstrap servers, as nodes -1, -2, …, and wants a full update.
    pub fn new(settings: MetadataSettings, bootstrap: &[Address]) -> ClientMetadata {
        let mut metadata = ClientMetadata {
            settings,
            bootstrap: bootstrap.to_vec(),
            nodes: Vec::new(),
            topics: Sorted::default(),
            update_version: 0,
            answered_version: 0,
            request_version: 0,
            full_update_wanted: false,
            partial_update_wanted: false,
            last_refresh: None,
            last_full_update: None,
            attempts: 0,
            equivalent_responses: 0,
            wait_between: Duration::ZERO,
            wait_after_nothing_new: Duration::ZERO,
        };
        metadata.rebootstrap();
        metadata
    }

    /// Back to the bootstrap servers: whatever else was known is forgotten (KIP-899).
    pub fn rebootstrap(&mut self) {
        let named = (1..).zip(&self.bootstrap);
        self.nodes = named.map(|(i, address)| (NodeId(-i), *address)).collect();
        self.nodes.sort_by_key(|(id, _)| *id);
        for topic in self.topics.values_mut() {
            topic.known = None;
        }
        self.full_update_wanted = true;
        self.update_version += 1;
    }

    /// The nodes that can be asked, by id.
    pub fn nodes(&self) -> &[(NodeId, Address)] {
        &self.nodes
    }

    /// A topic, if known.
    pub fn topic(&self, name: &Arc<str>) -> Option<&TopicMetadata> {
        self.topics.get(name)?.known.as_ref()
    }

    /// The topics known, by name.
    pub fn topics(&self) -> impl Iterator<Item = (&Arc<str>, &TopicMetadata)> {
        self.topics
            .iter()
            .filter_map(|(name, t)| Some((name, t.known.as_ref()?)))
    }

    /// Who leads a partition, if that node can be reached as far as the client knows.
    pub fn leader(&self, name: &Arc<str>, partition: i32) -> Option<NodeId> {
        let index = usize::try_from(partition).ok()?;
        self.reachable(self.topic(name)?.partitions.get(index)?)
    }

    /// The leader of a partition, if it is among the nodes.
    pub fn reachable(&self, partition: &LeaderAndEpoch) -> Option<NodeId> {
        partition.leader.filter(|leader| self.is_node(*leader))
    }

    fn is_node(&self, node: NodeId) -> bool {
        self.nodes.iter().any(|(id, _)| *id == node)
    }

    /// What the last answer said about a topic.
    pub fn error(&self, name: &Arc<str>) -> ErrorCode {
        self.topics.get(name).map_or(ErrorCode::None, |t| t.error)
    }

    /// How many updates there were: who waits for news compares this.
    pub fn update_version(&self) -> u32 {
        self.update_version
    }

    /// The version that whoever waits in `awaitUpdate` was last woken for: of all updates only an answer notifies
    /// (ProducerMetadata.update), not that the bootstrap servers are back.
    pub fn answered_version(&self) -> u32 {
        self.answered_version
    }

    /// Wants to know about a topic, or goes on wanting to; returns what is known. A new one is asked for at once.
    pub fn add(&mut self, name: &Arc<str>, now: Time) -> Option<&TopicMetadata> {
        let expires = self.settings.max_idle.map(|idle| now + idle);
        if self.topics.get(name).is_none() {
            let fresh = Wanted {
                expires,
                is_new: true,
                error: ErrorCode::None,
                known: None,
            };
            self.topics.insert(name.clone(), fresh);
            self.request_update_for_new_topics();
        }
        let topic = self.topics.get_mut(name).expect("just seen to");
        topic.expires = expires;
        topic.known.as_ref()
    }

    /// Forgets all topics but these.
    pub fn keep_only(&mut self, wanted: impl Fn(&str) -> bool) {
        self.topics.retain(|name, _| wanted(name));
    }

    /// Somebody suspects that what is known is out of date.
    pub fn request_update(&mut self) {
        self.full_update_wanted = true;
    }

    /// Somebody waits for this topic.
    pub fn request_update_for(&mut self, name: &Arc<str>) {
        if self.topics.get(name).is_some_and(|t| t.is_new) {
            self.request_update_for_new_topics();
        } else {
            self.request_update();
        }
    }

    fn request_update_for_new_topics(&mut self) {
        self.last_refresh = None;
        self.partial_update_wanted = true;
        self.equivalent_responses = 0;
        self.wait_after_nothing_new = Duration::ZERO;
        self.request_version += 1;
    }

    /// When the next question should and may be asked.
    pub fn next_update_at(&self) -> Time {
        let wanted = self.full_update_wanted || self.partial_update_wanted;
        let due = match self.last_full_update {
            Some(last) if !wanted => last + self.settings.max_age,
            _ => Time(0),
        };
        let wait = self.wait_between.max(self.wait_after_nothing_new);
        let allowed = self.last_refresh.map_or(Time(0), |last| last + wait);
        due.max(allowed)
    }

    /// The question to ask now: about new topics only, unless more is wanted or all is old.
    pub fn question(&mut self, now: Time) -> (MetadataRequest, Asked) {
        let last = self.last_full_update;
        let is_old = last.is_none_or(|t| t + self.settings.max_age <= now);
        if is_old {
            self.equivalent_responses = 0;
        }
        let partial = !self.full_update_wanted && !is_old;
        let named = self.topics.iter().filter(|(_, t)| !partial || t.is_new);
        let request = MetadataRequest {
            topics: Some(named.map(|(name, _)| name.clone()).collect()),
            allow_auto_topic_creation: self.settings.allow_auto_topic_creation,
        };
        let asked = Asked {
            request_version: self.request_version,
            partial,
        };
        (request, asked)
    }

    /// The question was not answered, or by a broker that does not know the cluster yet.
    pub fn failed(&mut self, now: Time, drawn: u64) {
        self.last_refresh = Some(now);
        self.wait_between = self.settings.refresh_backoff.after(self.attempts, drawn);
        self.attempts = self.attempts.saturating_add(1);
        self.equivalent_responses = 0;
        self.wait_after_nothing_new = Duration::ZERO;
    }

    /// Takes in an answer; returns what it changed about leaders.
    pub fn update(
        &mut self,
        asked: Asked,
        response: &MetadataResponse,
        now: Time,
        drawn: u64,
    ) -> Vec<LeaderLearned> {
        if response.brokers.is_empty() {
            self.failed(now, drawn);
            return Vec::new();
        }
        self.update_version += 1;
        self.answered_version = self.update_version;
        self.attempts = 0;
        self.equivalent_responses += 1;
        self.last_refresh = Some(now);
        self.partial_update_wanted = asked.request_version < self.request_version;
        if !asked.partial {
            self.full_update_wanted = false;
            self.last_full_update = Some(now);
        }
        let brokers = response.brokers.iter();
        self.nodes = brokers.map(|b| (b.node_id, b.address)).collect();
        self.nodes.sort_by_key(|(id, _)| *id);

        let mut learned = Vec::new();
        for topic in &response.topics {
            self.update_topic(topic, now, &mut learned);
        }
        self.topics
            .retain(|_, t| t.is_new || t.expires.is_none_or(|at| at > now));
        self.wait_until_next(drawn);
        learned
    }

    /// After an update the next one waits a little, and ever longer while updates bring nothing new.
    fn wait_until_next(&mut self, drawn: u64) {
        let backoff = self.settings.refresh_backoff;
        self.wait_between = backoff.after(0, drawn);
        self.wait_after_nothing_new = match self.equivalent_responses {
            0 => Duration::ZERO,
            n => backoff.after(n - 1, drawn),
        };
    }

    fn update_topic(&mut self, topic: &MetadataTopic, now: Time, learned: &mut Vec<LeaderLearned>) {
        let Some(wanted) = self.topics.get_mut(&topic.name) else {
            return;
        };
        let expired = !wanted.is_new && wanted.expires.is_some_and(|at| at <= now);
        if expired {
            return;
        }
        wanted.is_new = false;
        wanted.error = topic.error_code;
        // Epochs compare only while the topic is the same one: a topic created anew begins with a low epoch.
        let before = wanted.known.take().filter(|k| k.id == topic.topic_id);
        if !topic.error_code.is_none() {
            self.full_update_wanted |= topic.error_code.wants_metadata();
            return;
        }
        let before = before.map_or(Vec::new(), |k| k.partitions);
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for answer in &topic.partitions {
            let index = partitions.len();
            let expected = answer.partition_index as usize;
            assert_eq!(index, expected, "partitions come in order, without gaps");
            let old = before.get(index).copied();
            let known = newest(old, answer);
            if old.is_none_or(|old| known.epoch > old.epoch) {
                self.equivalent_responses = 0;
            }
            if old != Some(known) {
                let partition = TopicIdPartition {
                    topic: topic.topic_id,
                    partition: answer.partition_index,
                };
                learned.push(LeaderLearned {
                    partition,
                    now: known,
                });
            }
            self.full_update_wanted |= answer.error_code.wants_metadata();
            partitions.push(known);
        }
        wanted.known = Some(TopicMetadata {
            id: topic.topic_id,
            partitions,
        });
    }

    /// Takes in the leaders that a produce or fetch error named (KIP-951); returns what that changed. A hint that is not
    /// newer than what is known, or names a node that nobody described, is passed over.
    pub fn learn_leaders(
        &mut self,
        hints: &[(TopicIdPartition, LeaderIdAndEpoch)],
        endpoints: &[NodeEndpoint],
    ) -> Vec<LeaderLearned> {
        let mut learned = Vec::new();
        for (partition, hint) in hints {
            let named = endpoints.iter().any(|e| e.node_id == hint.leader_id);
            let reachable = named || self.is_node(hint.leader_id);
            let Some(current) = self.partition_mut(*partition) else {
                continue;
            };
            if !reachable || hint.leader_epoch <= current.epoch {
                continue;
            }
            *current = LeaderAndEpoch {
                leader: Some(hint.leader_id),
                epoch: hint.leader_epoch,
            };
            learned.push(LeaderLearned {
                partition: *partition,
                now: *current,
            });
        }
        if !learned.is_empty() {
            self.merge_nodes(endpoints);
        }
        learned
    }

    fn partition_mut(&mut self, of: TopicIdPartition) -> Option<&mut LeaderAndEpoch> {
        let index = usize::try_from(of.partition).ok()?;
        let mut known = self.topics.values_mut().filter_map(|t| t.known.as_mut());
        known.find(|k| k.id == of.topic)?.partitions.get_mut(index)
    }

    fn merge_nodes(&mut self, endpoints: &[NodeEndpoint]) {
        for endpoint in endpoints {
            self.nodes.retain(|(id, _)| *id != endpoint.node_id);
            self.nodes.push((endpoint.node_id, endpoint.address));
        }
        self.nodes.sort_by_key(|(id, _)| *id);
    }
}

/// N-5: an answer that is older than what is known about the partition is passed over.
fn newest(old: Option<LeaderAndEpoch>, answer: &MetadataPartition) -> LeaderAndEpoch {
    let new = LeaderAndEpoch {
        leader: answer.leader_id,
        epoch: answer.leader_epoch,
    };
    old.filter(|old| new.epoch < old.epoch).unwrap_or(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIDDLE: u64 = 1 << 63;
    const ID: TopicId = TopicId(7);

    fn metadata() -> ClientMetadata {
        let settings = MetadataSettings {
            max_idle: Some(Duration::secs(300)),
            ..MetadataSettings::default()
        };
        ClientMetadata::new(settings, &[Address(1), Address(2)])
    }

    /// Wants to know about "orders".
    fn wanting() -> ClientMetadata {
        let mut m = metadata();
        m.add(&orders(), at(0));
        m
    }

    fn orders() -> Arc<str> {
        "orders".into()
    }

    fn endpoint(id: i32) -> NodeEndpoint {
        NodeEndpoint {
            node_id: NodeId(id),
            address: Address(id as u32),
            rack: None,
        }
    }

    fn answer(id: TopicId, leader: Option<i32>, epoch: i32) -> MetadataResponse {
        let error_code = match leader {
            Some(_) => ErrorCode::None,
            None => ErrorCode::LeaderNotAvailable,
        };
        MetadataResponse {
            brokers: vec![endpoint(1), endpoint(2)],
            controller_id: None,
            topics: vec![MetadataTopic {
                error_code: ErrorCode::None,
                name: orders(),
                topic_id: id,
                partitions: vec![MetadataPartition {
                    error_code,
                    partition_index: 0,
                    leader_id: leader.map(NodeId),
                    leader_epoch: LeaderEpoch(epoch),
                    replica_nodes: Vec::new(),
                    isr_nodes: Vec::new(),
                    offline_replicas: Vec::new(),
                }],
            }],
        }
    }

    fn at(ms: u64) -> Time {
        Time(0) + Duration::millis(ms)
    }

    fn told(m: &mut ClientMetadata, response: &MetadataResponse, ms: u64) -> Vec<LeaderLearned> {
        let (_, asked) = m.question(at(ms));
        m.update(asked, response, at(ms), MIDDLE)
    }

    fn leader(m: &ClientMetadata) -> (Option<i32>, i32) {
        let p = m.topic(&"orders".into()).expect("known").partitions[0];
        (p.leader.map(|l| l.0), p.epoch.0)
    }

    #[test]
    fn a_client_begins_with_its_bootstrap_servers_and_wants_an_update_at_once() {
        let m = metadata();
        let bootstrap = [(NodeId(-2), Address(2)), (NodeId(-1), Address(1))];
        assert_eq!(m.nodes(), bootstrap);
        assert_eq!(m.next_update_at(), Time(0));
    }

    #[test]
    fn an_answer_with_an_older_leader_epoch_is_passed_over() {
        let mut m = wanting();
        assert_eq!(told(&mut m, &answer(ID, Some(1), 5), 0).len(), 1);
        assert!(told(&mut m, &answer(ID, Some(2), 4), 200).is_empty());
        assert_eq!(leader(&m), (Some(1), 5));
        assert_eq!(told(&mut m, &answer(ID, Some(2), 6), 400).len(), 1);
        assert_eq!(leader(&m), (Some(2), 6));
    }

    #[test]
    fn a_topic_created_anew_begins_its_epochs_anew() {
        let mut m = wanting();
        told(&mut m, &answer(ID, Some(1), 5), 0);
        told(&mut m, &answer(TopicId(8), Some(2), 0), 200);
        assert_eq!(leader(&m), (Some(2), 0));
    }

    #[test]
    fn a_leader_hint_counts_if_it_is_newer_and_says_where_the_leader_is() {
        let mut m = wanting();
        told(&mut m, &answer(ID, Some(1), 5), 0);
        let partition = TopicIdPartition {
            topic: ID,
            partition: 0,
        };
        let hint = |leader, epoch| {
            let hint = LeaderIdAndEpoch {
                leader_id: NodeId(leader),
                leader_epoch: LeaderEpoch(epoch),
            };
            [(partition, hint)]
        };
        assert!(m.learn_leaders(&hint(2, 5), &[]).is_empty());
        assert!(m.learn_leaders(&hint(3, 6), &[]).is_empty());
        assert_eq!(m.learn_leaders(&hint(3, 6), &[endpoint(3)]).len(), 1);
        assert_eq!(leader(&m), (Some(3), 6));
        assert_eq!(m.leader(&"orders".into(), 0), Some(NodeId(3)));
    }

    #[test]
    fn a_partition_without_a_leader_makes_the_client_ask_again_soon_and_then_ever_later() {
        let mut m = wanting();
        let mut now = at(0);
        let mut waits = Vec::new();
        for _ in 0..6 {
            let (_, asked) = m.question(now);
            m.update(asked, &answer(ID, None, 5), now, MIDDLE);
            waits.push(m.next_update_at().since(now).as_millis());
            now = m.next_update_at();
        }
        assert_eq!(waits, [100, 100, 200, 400, 800, 1000]);
        assert_eq!(m.leader(&"orders".into(), 0), None);
    }

    #[test]
    fn failures_back_off_and_an_update_ends_that() {
        let mut m = wanting();
        m.failed(at(0), MIDDLE);
        assert_eq!(m.next_update_at(), at(100));
        m.failed(at(100), MIDDLE);
        assert_eq!(m.next_update_at(), at(300));
        told(&mut m, &answer(ID, Some(1), 0), 300);
        m.request_update();
        assert_eq!(m.next_update_at(), at(400));
    }

    #[test]
    fn metadata_is_asked_for_again_when_it_is_five_minutes_old() {
        let mut m = wanting();
        told(&mut m, &answer(ID, Some(1), 0), 10);
        assert_eq!(m.next_update_at(), at(300_010));
    }

    #[test]
    fn a_new_topic_is_asked_for_at_once_and_alone() {
        let mut m = wanting();
        told(&mut m, &answer(ID, Some(1), 0), 0);
        m.add(&"new".into(), at(1));
        assert_eq!(m.next_update_at(), Time(0));
        let (request, _) = m.question(at(1));
        assert_eq!(request.topics, Some(vec!["new".into()]));
    }

    #[test]
    fn an_answer_to_a_question_from_before_a_topic_was_added_does_not_cover_it() {
        let mut m = wanting();
        let (_, asked) = m.question(at(0));
        m.add(&"new".into(), at(1));
        m.update(asked, &answer(ID, Some(1), 0), at(2), MIDDLE);
        assert_eq!(m.next_update_at(), at(102));
        assert_eq!(m.question(at(102)).0.topics, Some(vec!["new".into()]));
    }

    #[test]
    fn a_topic_nobody_uses_is_forgotten() {
        let mut m = wanting();
        told(&mut m, &answer(ID, Some(1), 0), 0);
        told(&mut m, &answer(ID, Some(1), 0), 299_999);
        assert!(m.topic(&"orders".into()).is_some());
        told(&mut m, &answer(ID, Some(1), 0), 300_000);
        assert!(m.topic(&"orders".into()).is_none());
        assert_eq!(m.question(at(300_000)).0.topics, Some(Vec::new()));
    }

    #[test]
    fn an_unknown_topic_is_an_error_until_it_exists() {
        let mut m = wanting();
        let mut unknown = answer(ID, None, 0);
        unknown.topics[0].error_code = ErrorCode::UnknownTopicOrPartition;
        unknown.topics[0].partitions.clear();
        told(&mut m, &unknown, 0);
        assert_eq!(
            m.error(&"orders".into()),
            ErrorCode::UnknownTopicOrPartition
        );
        assert_eq!(m.next_update_at(), at(100));
        told(&mut m, &answer(ID, Some(1), 0), 100);
        assert_eq!(m.error(&"orders".into()), ErrorCode::None);
        assert_eq!(m.leader(&"orders".into(), 0), Some(NodeId(1)));
    }

    #[test]
    fn a_broker_that_knows_no_brokers_has_not_answered() {
        let mut m = wanting();
        let mut empty = answer(ID, Some(1), 0);
        empty.brokers.clear();
        assert!(told(&mut m, &empty, 0).is_empty());
        assert_eq!(m.nodes().len(), 2);
        assert_eq!(m.next_update_at(), at(100));
    }

    #[test]
    fn a_leader_that_is_not_among_the_nodes_is_none() {
        let mut m = wanting();
        let mut response = answer(ID, Some(3), 0);
        told(&mut m, &response, 0);
        assert_eq!(m.leader(&"orders".into(), 0), None);
        response.brokers.push(endpoint(3));
        told(&mut m, &response, 200);
        assert_eq!(m.leader(&"orders".into(), 0), Some(NodeId(3)));
    }

    #[test]
    fn starting_over_forgets_all_but_the_bootstrap_servers() {
        let mut m = wanting();
        told(&mut m, &answer(ID, Some(1), 5), 0);
        m.rebootstrap();
        assert_eq!(m.nodes()[0].0, NodeId(-2));
        assert_eq!(m.leader(&"orders".into(), 0), None);
        told(&mut m, &answer(ID, Some(2), 4), 200);
        assert_eq!(leader(&m), (Some(2), 4), "an older epoch, believed");
    }
}
