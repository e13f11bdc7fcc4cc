//! ROLE Controller: one node of the KRaft quorum (Kafka's QuorumController on its KafkaRaftClient). Of all controllers at most
//! one is active: the one that leads the quorum and has seen all that was committed before (K-11).
//!
//! The active controller decides from everything decided so far, committed or not; it answers after the commit. What it
//! decided in vain goes with its activity. A controller is single-threaded, and so is this role; Kafka's queue of events
//! is the machine's own, so that a request cannot time out in it.
//!
//! Left out: bootstrap records and features (activation writes nothing), registration of controllers, deadlines of
//! requests within the event queue, snapshots (K-12), everything that is left out in the parts.

pub mod cluster;
pub mod configs;
pub mod election;
pub mod existing;
pub mod facts;
#[cfg(test)]
pub(crate) mod fixture;
pub mod heartbeats;
pub mod image;
pub mod placement;
pub mod producer_ids;
pub mod records;
pub mod replication;
#[cfg(test)]
mod tests;
pub mod topics;

use crate::config::ServerConfig;
use crate::config::layers::Layers;
use crate::context::{Context, Exit, Purpose};
use crate::decision::Decision;
use crate::disk::DiskImage;
use crate::event::{ControllerEvent, Event};
use crate::ids::{
    Address, BrokerEpoch, ClientId, ConnId, CorrelationId, LeaderEpoch, NodeId, Offset,
};
use crate::ids::{ProducerId, TopicId, TopicIdPartition};
use crate::input::Input;
use crate::log::batch::Payload;
use crate::protocol::admin::CreateTopicsRequest;
use crate::protocol::cluster::*;
use crate::protocol::{Api, ErrorCode, Request, Response};
use crate::raft::driver::Driver;
use crate::raft::{Member, Raft, RaftConfig};
use crate::rules::Rules;
use crate::time::Duration;
use crate::timer::{ControllerTimer, Timer};
use cluster::Cluster;
use heartbeats::{BrokerControlState, Heartbeats};
use image::Image;
use records::MetadataRecord;
use serde::Serialize;
use std::collections::{BTreeSet, VecDeque};
use topics::DrawnForTopic;

/// What a controller is told before it starts.
#[derive(Clone, Debug, Serialize)]
pub struct ControllerConfig {
    /// Who it is.
    pub node: NodeId,
    /// All voters of the quorum and where they listen.
    pub voters: Vec<(NodeId, Address)>,
    /// Settings.
    pub server: ServerConfig,
}

/// A controller process.
#[derive(Clone, Debug, Serialize)]
pub struct Controller {
    config: ControllerConfig,
    rules: Rules,
    quorum: Driver,
    /// The fold of what is committed.
    image: Image,
    active: Option<Active>,
    /// The quorum epoch in which it was active last and is no longer: a leader that could not append is not active again
    /// before another epoch, though it leads the quorum until that is over.
    renounced: Option<LeaderEpoch>,
}

/// What only the active controller has.
#[derive(Clone, Debug, Serialize)]
struct Active {
    /// The quorum epoch that it is active in.
    epoch: LeaderEpoch,
    /// The fold of all that was decided.
    image: Image,
    heartbeats: Heartbeats,
    /// Answers that wait for the commit of what they stand on, by offset.
    deferred: VecDeque<Deferred>,
    /// Brokers that are being fenced because their session ran out.
    expired: BTreeSet<(NodeId, BrokerEpoch)>,
}

#[derive(Clone, Debug, Serialize)]
struct Deferred {
    /// The last offset that must be committed.
    offset: Offset,
    /// To whom what is told then; nobody waits for a periodic task.
    answer: Option<(Asker, Response)>,
}

/// Who waits for an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
struct Asker {
    conn: ConnId,
    id: CorrelationId,
    api: Api,
}

/// What a request comes to: a decision with its response, or an error in a response of its kind.
type Decided = Result<Decision<MetadataRecord, Response>, ErrorCode>;

/// Kafka's DEFAULT_IMMEDIATE_PERIOD_NS: a periodic task with more to do goes on after this.
const IMMEDIATELY: Duration = Duration::millis(10);

/// All periodic tasks (K-12, K-17, R-26, R-27).
const TASKS: [ControllerTimer; 4] = [
    ControllerTimer::StaleBrokers,
    ControllerTimer::NoOp,
    ControllerTimer::PreferredElection,
    ControllerTimer::UncleanElection,
];

impl Controller {
    /// Starts from what is on disk.
    pub fn boot(
        config: ControllerConfig,
        rules: Rules,
        disk: DiskImage,
        cx: &mut Context<'_>,
    ) -> Controller {
        let member = Member {
            node: config.node,
            voters: config.voters.iter().map(|(id, _)| *id).collect(),
            config: RaftConfig::of(&config.server),
        };
        cx.listen();
        let quorum = Driver::boot(member, &config.voters, ClientId(0), &disk, &rules, cx);
        let mut controller = Controller {
            config,
            rules,
            quorum,
            image: Image::default(),
            active: None,
            renounced: None,
        };
        controller.follow_quorum(cx);
        controller
    }

    /// One step.
    pub fn handle(&mut self, input: Input, cx: &mut Context<'_>) {
        match input {
            input if self.quorum.takes(&input) => self.quorum.handle(input, &self.rules, cx),
            Input::Request {
                conn, id, request, ..
            } => self.answer(conn, id, request, cx),
            Input::Timer(Timer::Controller(task)) => self.run_task(task, cx),
            Input::Closed { conn, .. } => self.quorum.closed(conn, &self.rules, cx),
            Input::Stop => self.quorum.stop(&self.rules, cx),
            _ => {}
        }
        self.follow_quorum(cx);
        if self.quorum.raft().may_stop(cx.now()) {
            cx.exit(Exit::Stopped);
        }
    }

    /// The metadata log's replica here.
    pub fn raft(&self) -> &Raft {
        self.quorum.raft()
    }

    /// The cluster as the committed metadata has it here.
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// The quorum epoch that this controller is active in, if it is.
    pub fn active_epoch(&self) -> Option<LeaderEpoch> {
        self.active.as_ref().map(|a| a.epoch)
    }

    /// Takes in what the quorum has committed and who leads it now.
    fn follow_quorum(&mut self, cx: &mut Context<'_>) {
        let seen = self.raft().seen();
        self.apply_committed(seen.committed, cx);
        let leads = seen.leader == Some(self.config.node);
        let epoch = self.active_epoch();
        if epoch.is_some() && !(leads && epoch == Some(seen.epoch)) {
            self.renounce(cx);
        }
        if leads && self.active.is_none() && self.renounced != Some(seen.epoch) {
            self.claim(seen.epoch, cx);
        }
    }

    /// The quorum's leader tells what is committed; after a failover the new one may tell again what the old one had
    /// told.
    fn apply_committed(&mut self, committed: Offset, cx: &mut Context<'_>) {
        let leads = self.quorum.raft().is_leader();
        let log = self.quorum.raft().log();
        let is_news = self.image.end < committed;
        // Mostly it is none, and then the log is not searched.
        let news = is_news.then(|| log.batches_from(self.image.end));
        for batch in news.into_iter().flatten() {
            if batch.end_offset() > committed {
                break;
            }
            let records: &[MetadataRecord] = match &batch.data.payload {
                Payload::Metadata(records) => records,
                _ => &[],
            };
            for (at, record) in records.iter().enumerate() {
                let removed = facts::of_removal(&self.image, record);
                self.image.apply(batch.base_offset.plus(at as i64), record);
                let expired = self.active.as_mut().map(|a| &mut a.expired);
                let fact = removed.or_else(|| facts::of_record(&self.image, records, at, expired));
                if let Some(fact) = fact.filter(|_| leads) {
                    cx.tell(Event::Controller(fact));
                }
            }
            self.image.end = batch.end_offset();
        }
        let Some(active) = &mut self.active else {
            return;
        };
        while active
            .deferred
            .front()
            .is_some_and(|d| d.offset < committed)
        {
            let done = active.deferred.pop_front().expect("it is there");
            if let Some((asker, response)) = done.answer {
                cx.reply(asker.conn, asker.id, response);
            }
        }
    }

    /// Everything before this epoch is committed and applied: this controller is active now.
    fn claim(&mut self, epoch: LeaderEpoch, cx: &mut Context<'_>) {
        let session = Duration::millis(self.config.server.broker_session_timeout_ms.max(0) as u64);
        self.active = Some(Active {
            epoch,
            image: self.image.clone(),
            heartbeats: Heartbeats::new(session, &self.image, cx.now()),
            deferred: VecDeque::new(),
            expired: BTreeSet::new(),
        });
        cx.tell(Event::Controller(ControllerEvent::Activated { epoch }));
        for task in TASKS {
            if let Some(period) = self.period(task) {
                cx.set_timer(Timer::Controller(task), cx.now() + period);
            }
        }
    }

    /// Active no longer: what was decided but is not committed here is forgotten, and whoever waits for it is sent to the next
    /// controller, though it may yet be committed there (K-8).
    fn renounce(&mut self, cx: &mut Context<'_>) {
        let Some(active) = self.active.take() else {
            return;
        };
        self.renounced = Some(active.epoch);
        for (asker, _) in active.deferred.into_iter().filter_map(|d| d.answer) {
            cx.reply(
                asker.conn,
                asker.id,
                refusal(asker.api, ErrorCode::NotController),
            );
        }
        for task in TASKS {
            cx.cancel_timer(Timer::Controller(task));
        }
        cx.tell(Event::Controller(ControllerEvent::Deactivated));
        self.quorum.resign(active.epoch, &self.rules, cx);
    }

    fn answer(&mut self, conn: ConnId, id: CorrelationId, request: Request, cx: &mut Context<'_>) {
        let asker = Asker {
            conn,
            id,
            api: request.api(),
        };
        if self.active.is_none() {
            return cx.reply(conn, id, refusal(asker.api, ErrorCode::NotController));
        }
        match request {
            Request::BrokerHeartbeat(r) => self.heartbeat(asker, &r, cx),
            request => match self.decide(request, cx) {
                Some(Ok(decision)) => {
                    self.append(decision.map(|response| Some((asker, response))), cx);
                }
                Some(Err(error)) => cx.reply(conn, id, refusal(asker.api, error)),
                // Not a request to a controller.
                None => cx.close(conn),
            },
        }
    }

    fn decide(&self, request: Request, cx: &mut Context<'_>) -> Option<Decided> {
        let active = self.active.as_ref()?;
        let cluster = self.cluster(active);
        Some(match request {
            Request::BrokerRegistration(r) => {
                let epoch = BrokerEpoch(self.raft().next_offset()?.0);
                let decision = cluster.register(&active.heartbeats, &r, epoch, cx.now());
                Ok(decision.map(Response::BrokerRegistration))
            }
            Request::AlterPartition(r) => {
                let decided = cluster.alter_partition(&r, &self.rules);
                if let Ok(decision) = &decided {
                    tell_refused(r.broker_id, &decision.response, cx);
                }
                decided.map(|d| d.map(Response::AlterPartition))
            }
            Request::AllocateProducerIds(r) => {
                let decided = cluster.allocate_producer_ids(&r);
                decided.map(|d| d.map(Response::AllocateProducerIds))
            }
            Request::Envelope(inner) => {
                let config = &self.config.server;
                let heartbeats = &active.heartbeats;
                let decision = match *inner {
                    Request::CreateTopics(r) => {
                        let drawn = draw_for_topics(&r, cx);
                        let decision = cluster.create_topics(&r, heartbeats, config, &drawn);
                        decision.map(Response::CreateTopics)
                    }
                    Request::CreatePartitions(r) => {
                        let draw = |_| cx.draw(Purpose::ReplicaPlacement);
                        let drawn: Vec<u64> = r.topics.iter().map(draw).collect();
                        let decision = cluster.create_partitions(&r, heartbeats, &drawn);
                        decision.map(Response::CreatePartitions)
                    }
                    Request::DeleteTopics(r) => cluster
                        .delete_topics(&r, config)
                        .map(Response::DeleteTopics),
                    Request::ElectLeaders(r) => {
                        cluster.elect_leaders(&r).map(Response::ElectLeaders)
                    }
                    Request::IncrementalAlterConfigs(r) => cluster
                        .alter_configs(&r)
                        .map(Response::IncrementalAlterConfigs),
                    _ => return None,
                };
                Ok(decision.map(|response| Response::Envelope(Ok(Box::new(response)))))
            }
            _ => return None,
        })
    }

    /// K-30: the contact counts at once, whatever comes of the heartbeat.
    fn heartbeat(&mut self, asker: Asker, r: &BrokerHeartbeatRequest, cx: &mut Context<'_>) {
        let active = self.active.as_mut().expect("the caller has looked");
        active
            .heartbeats
            .contact(r.broker_id, r.broker_epoch, cx.now());
        let active = self.active.as_ref().expect("it still is");
        let (next, decision) = match self.cluster(active).heartbeat(&active.heartbeats, r) {
            Ok(decided) => decided,
            Err(error) => return cx.reply(asker.conn, asker.id, refusal(asker.api, error)),
        };
        let active = self.active.as_mut().expect("it still is");
        let offset = Some(r.current_metadata_offset);
        active
            .heartbeats
            .touch(r.broker_id, next.is_fenced(), offset);
        let decision = decision.map(|response| Some((asker, Response::BrokerHeartbeat(response))));
        let last = self.append(decision, cx);
        if let (BrokerControlState::ControlledShutdown, Some(active)) = (next, &mut self.active) {
            active.heartbeats.shutting_down(r.broker_id, last);
        }
    }

    /// Hands records to the quorum and replays them at once; the answer waits for the commit. An answer without records waits
    /// for what was decided before it, since it may stand on that. Returns the last offset written.
    fn append(
        &mut self,
        decision: Decision<MetadataRecord, Option<(Asker, Response)>>,
        cx: &mut Context<'_>,
    ) -> Offset {
        let Decision {
            records,
            response: answer,
        } = decision;
        let Some(active) = &mut self.active else {
            return Offset(-1);
        };
        let pending = active.deferred.back().map(|d| d.offset);
        if records.is_empty() {
            match (pending, answer) {
                (Some(offset), answer) => active.deferred.push_back(Deferred { offset, answer }),
                (None, Some((asker, response))) => cx.reply(asker.conn, asker.id, response),
                (None, None) => {}
            }
            return self
                .raft()
                .next_offset()
                .map_or(Offset(-1), |next| next.plus(-1));
        }
        match self
            .quorum
            .append(active.epoch, records.clone(), &self.rules, cx)
        {
            Ok(first) => {
                for (i, record) in (0i64..).zip(&records) {
                    active.replay(first.plus(i), record);
                }
                let offset = first.plus(records.len() as i64 - 1);
                active.deferred.push_back(Deferred { offset, answer });
                offset
            }
            Err(error) => {
                if let Some((asker, _)) = answer {
                    cx.reply(asker.conn, asker.id, refusal(asker.api, error));
                }
                self.renounce(cx);
                Offset(-1)
            }
        }
    }

    fn run_task(&mut self, task: ControllerTimer, cx: &mut Context<'_>) {
        let period = self.period(task);
        let (Some(active), Some(period)) = (&mut self.active, period) else {
            return;
        };
        let stale = match task {
            ControllerTimer::StaleBrokers => active.heartbeats.take_expired(cx.now()),
            _ => None,
        };
        let active = self.active.as_ref().expect("it still is");
        let cluster = self.cluster(active);
        let Decision {
            records,
            response: again,
        } = match task {
            ControllerTimer::NoOp => Decision::new(vec![MetadataRecord::NoOp], false),
            ControllerTimer::PreferredElection => cluster.balance_leaders(),
            ControllerTimer::UncleanElection => cluster.elect_unclean_leaders(),
            ControllerTimer::StaleBrokers => {
                let mut records = Vec::new();
                // A session of an incarnation that is no longer registered ends without effect.
                if let Some((broker, epoch)) = stale {
                    if cluster.check_broker_epoch(broker, epoch).is_ok() {
                        cluster.fence(broker, &mut records);
                    }
                }
                Decision::new(records, stale.is_some())
            }
        };
        if let (Some(stale), Some(active)) =
            (stale.filter(|_| !records.is_empty()), &mut self.active)
        {
            active.expired.insert(stale);
        }
        let wait = if again { IMMEDIATELY } else { period };
        cx.set_timer(Timer::Controller(task), cx.now() + wait);
        self.append(Decision::new(records, None), cx);
    }

    /// How often a task runs; `None` if never.
    fn period(&self, task: ControllerTimer) -> Option<Duration> {
        let server = &self.config.server;
        let ms = match task {
            ControllerTimer::StaleBrokers => i64::from(server.broker_session_timeout_ms / 8).max(1),
            ControllerTimer::NoOp => i64::from(server.metadata_max_idle_interval_ms),
            ControllerTimer::PreferredElection if !server.auto_leader_rebalance_enable => 0,
            ControllerTimer::PreferredElection => server
                .leader_imbalance_check_interval_seconds
                .saturating_mul(1_000),
            ControllerTimer::UncleanElection => server.unclean_leader_election_interval_ms,
        };
        u64::try_from(ms)
            .ok()
            .filter(|ms| *ms > 0)
            .map(Duration::millis)
    }

    fn cluster<'a>(&'a self, active: &'a Active) -> Cluster<'a> {
        Cluster {
            image: &active.image,
            unclean_by_default: self.is_unclean_by_default(&active.image),
        }
    }

    /// What this controller's own layers say: its file, and what is dynamic for all brokers or for its own id.
    fn is_unclean_by_default(&self, image: &Image) -> bool {
        if image.dynamic.is_empty() {
            return self.config.server.unclean_leader_election_enable;
        }
        let layers = Layers {
            fixed: &self.config.server,
            dynamic: &image.dynamic,
            node: self.config.node,
        };
        layers.effective().unclean_leader_election_enable
    }
}

impl Active {
    fn replay(&mut self, offset: Offset, record: &MetadataRecord) {
        self.image.apply(offset, record);
        let changed = match record {
            MetadataRecord::RegisterBroker { broker, .. } => {
                self.heartbeats.forget(*broker);
                *broker
            }
            MetadataRecord::BrokerRegistrationChange { broker, .. } => *broker,
            _ => return,
        };
        if let Some(image) = self.image.brokers.get(&changed) {
            self.heartbeats.registered(changed, image);
        }
    }
}

fn draw_for_topics(r: &CreateTopicsRequest, cx: &mut Context<'_>) -> Vec<DrawnForTopic> {
    let mut draw = || {
        let high = u128::from(cx.draw(Purpose::TopicId)) << 64;
        DrawnForTopic {
            id: TopicId(high | u128::from(cx.draw(Purpose::TopicId))),
            placement: cx.draw(Purpose::ReplicaPlacement),
        }
    };
    r.topics.iter().map(|_| draw()).collect()
}

fn tell_refused(broker: NodeId, response: &AlterPartitionResponse, cx: &mut Context<'_>) {
    for result in response
        .partitions
        .iter()
        .filter(|p| !p.error_code.is_none())
    {
        cx.tell(Event::Controller(ControllerEvent::AlterPartitionRefused {
            partition: TopicIdPartition {
                topic: result.topic_id,
                partition: result.partition,
            },
            broker,
            error: result.error_code,
        }));
    }
}

/// The response of an API that says nothing but an error.
fn refusal(api: Api, error_code: ErrorCode) -> Response {
    match api {
        Api::BrokerRegistration => Response::BrokerRegistration(BrokerRegistrationResponse {
            error_code,
            broker_epoch: None,
        }),
        Api::BrokerHeartbeat => Response::BrokerHeartbeat(BrokerHeartbeatResponse {
            error_code,
            is_caught_up: false,
            is_fenced: true,
            should_shut_down: false,
        }),
        Api::AlterPartition => Response::AlterPartition(AlterPartitionResponse {
            error_code,
            partitions: Vec::new(),
        }),
        Api::AllocateProducerIds => Response::AllocateProducerIds(AllocateProducerIdsResponse {
            error_code,
            producer_id_start: ProducerId(-1),
            producer_id_len: 0,
        }),
        _ => Response::Envelope(Err(error_code)),
    }
}
