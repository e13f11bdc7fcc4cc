//! ROLE Broker: a Kafka server that keeps partitions and answers clients (Kafka's BrokerServer with its KafkaApis).
//!
//! The role matches and acts; what is decided is decided in its parts: [`lifecycle`] (registration, heartbeats, the way
//! out), [`metadata`] (the broker's own copy), [`replicas`] and [`partition`] (logs, leaders, ISR, high watermark),
//! [`produce`] and [`fetch`] in their [`purgatory`], [`fetcher`] (copying from leaders), [`producer_ids`]. Other files
//! of the role: [`serving`] answers, [`housekeeping`] gives up and compacts what is old, [`following`] makes of the metadata what they say, [`network`] and [`channel`]
//! send.
//!
//! Left out, beside what the parts say: group and transaction coordinators, eligible leader replicas (R-28…:
//! era 4.0), fetching from followers near by, several log directories, combined mode.

#[cfg(test)]
mod admin_tests;
mod alarms;
pub mod auto_topics;
#[cfg(test)]
mod bench;
pub mod channel;
pub mod configs;
pub mod deleting;
pub mod fetch;
pub mod fetcher;
#[cfg(test)]
pub(crate) mod fixture;
mod following;
mod housekeeping;
pub mod isr;
pub mod lifecycle;
pub mod metadata;
pub mod network;
pub mod partition;
pub mod produce;
pub mod producer_ids;
pub mod purgatory;
pub mod replica;
pub mod replicas;
mod serving;
#[cfg(test)]
mod tests;

use crate::config::ServerConfig;
use crate::config::layers::Layers;
use crate::context::{Context, Exit, Halt, Purpose};
use crate::controller::image::{Image, TopicImage};
use crate::disk::{DiskError, DiskImage, FileId};
use crate::effect::{Effects, carry_out};
use crate::event::{BrokerEvent, Event};
use crate::ids::*;
use crate::input::Input;
use crate::log::Log;
use crate::protocol::admin::DescribedConfig;
use crate::raft::driver::Driver;
use crate::raft::{Member, Raft, RaftConfig};
use crate::rules::Rules;
use crate::time::{Duration, Time, Timestamp};
use crate::timer::{BrokerTimer, Timer};
use alarms::Alarms;
use auto_topics::AutoTopics;
use deleting::Deleting;
use fetch::Fetching;
use fetcher::Fetchers;
use lifecycle::{BrokerState, Identity, Lifecycle, Pace};
use metadata::Metadata;
use network::{AllNews, Network, News, RAFT_CLIENT};
use partition::{Here, Partition};
use produce::Producing;
use producer_ids::ProducerIds;
use purgatory::Purgatory;
use replicas::{LastStop, Replicas};
use serde::Serialize;
use std::sync::Arc;

/// What a broker is told before it starts.
#[derive(Clone, Debug, Serialize)]
pub struct BrokerConfig {
    /// Who it is.
    pub node: NodeId,
    /// Where it listens.
    pub address: Address,
    /// Its rack.
    pub rack: Option<Arc<str>>,
    /// The voters of the metadata quorum.
    pub voters: Vec<(NodeId, Address)>,
    /// Settings.
    pub server: ServerConfig,
}

/// A broker process.
#[derive(Clone, Debug, Serialize)]
pub struct Broker {
    standing: Standing,
    raft: Driver,
    network: Network,
    replicas: Replicas,
    fetchers: Fetchers,
    produces: Purgatory<Producing>,
    fetches: Purgatory<Fetching>,
    deletes: Purgatory<Deleting>,
    /// Deleted files that are still there, and when they vanish.
    vanishing: Vec<(Time, FileId)>,
    producer_ids: ProducerIds,
    auto_topics: AutoTopics,
    alarms: Alarms,
    /// Before this no directory is deleted.
    first_deletion: Time,
    /// Every log is being flushed, for a clean stop.
    is_flushing: bool,
    /// The buffer that is lent to parts. Empty between two steps.
    #[serde(skip)]
    wishes: Effects,
}

/// What the broker knows of itself and of the cluster: what its partitions see around them.
#[derive(Clone, Debug, Serialize)]
struct Standing {
    /// With the settings in force.
    config: BrokerConfig,
    /// The settings that it was started with.
    fixed: ServerConfig,
    rules: Rules,
    metadata: Metadata,
    lifecycle: Lifecycle,
}

/// Recovery points are first written so long after the start (L-33).
const RECOVERY_POINTS_FIRST: Duration = Duration::secs(30);
/// Directories are deleted so long after the start at the earliest (`log.initial.task.delay.ms`).
const DELETIONS_FIRST: Duration = Duration::secs(30);

impl Broker {
    /// Starts from what is on disk.
    pub fn boot(
        config: BrokerConfig,
        rules: Rules,
        disk: DiskImage,
        cx: &mut Context<'_>,
    ) -> Broker {
        let raft = observe(&config, &rules, &disk, cx);
        let mut out = Effects::new();
        let first_deletion = cx.now() + DELETIONS_FIRST;
        let delay = millis(config.server.log_segment_delete_delay_ms);
        let deletion = (cx.now() + delay).max(first_deletion);
        let (replicas, last_stop) =
            Replicas::load(disk, &config.server, cx.wall(), deletion, &mut out);
        let incarnation = u128::from(cx.draw(Purpose::Incarnation)) << 64
            | u128::from(cx.draw(Purpose::Incarnation));
        let lifecycle = enlist(&config, IncarnationId(incarnation), last_stop, cx.now());
        let mut broker = Broker {
            network: Network::new(&config),
            standing: Standing {
                fixed: config.server.clone(),
                config,
                rules,
                metadata: Metadata::default(),
                lifecycle,
            },
            raft,
            replicas,
            fetchers: Fetchers::default(),
            produces: Purgatory::default(),
            fetches: Purgatory::default(),
            deletes: Purgatory::default(),
            vanishing: Vec::new(),
            producer_ids: ProducerIds::default(),
            auto_topics: AutoTopics::default(),
            alarms: Alarms::default(),
            first_deletion,
            is_flushing: false,
            wishes: Effects::new(),
        };
        broker.carry_out(out, cx);
        let clean = last_stop.clean;
        cx.tell(Event::Broker(BrokerEvent::Started { clean }));
        broker.settle(cx);
        broker
    }

    /// One step.
    pub fn handle(&mut self, input: Input, cx: &mut Context<'_>) {
        match input {
            Input::Request {
                conn, id, request, ..
            } => self.answer(conn, id, request, cx),
            Input::Timer(Timer::Broker(timer)) => self.alarm(timer, cx),
            Input::Timer(Timer::Network) => self.network_alarm(cx),
            Input::Stop => self.begin_stop(cx),
            input if self.raft.takes(&input) => {
                self.raft.handle(input, &self.standing.rules, cx);
            }
            Input::Synced { file, result } => self.synced(file, result, cx),
            Input::Opened { conn, .. }
            | Input::Response { conn, .. }
            | Input::Sent { conn, .. } => {
                self.heard(conn, input, cx);
            }
            Input::Closed { conn, .. } => {
                self.produces.forget(conn);
                self.fetches.forget(conn);
                self.deletes.forget(conn);
                self.heard(conn, input, cx);
            }
            Input::Timer(_) | Input::Command(_) => {}
        }
        self.settle(cx);
    }

    /// The broker's copy of the metadata.
    pub fn image(&self) -> &Image {
        self.standing.metadata.image()
    }

    /// DescribeConfigs of a topic, as this broker answers it.
    pub fn describe_topic(&self, topic: &TopicImage) -> Vec<DescribedConfig> {
        self.standing.layers().describe_topic(&topic.config)
    }

    /// The metadata log's replica here.
    pub fn raft(&self) -> &Raft {
        self.raft.raft()
    }

    /// Where it stands with the controller.
    pub fn lifecycle(&self) -> &Lifecycle {
        &self.standing.lifecycle
    }

    /// The partitions kept here.
    pub fn partitions(&self) -> impl Iterator<Item = (TopicIdPartition, &Partition)> {
        self.replicas.iter()
    }

    /// The logs kept here.
    pub fn logs(&self) -> impl Iterator<Item = (TopicIdPartition, &Log)> {
        self.partitions().map(|(id, p)| (id, p.log()))
    }

    /// What a step leads to: metadata that came, heartbeats and ISR changes that are due, parked requests that can be
    /// answered, the way out, and the next alarms.
    fn settle(&mut self, cx: &mut Context<'_>) {
        self.load_metadata(cx);
        self.stand_in_line(cx);
        self.complete_parked(cx);
        self.propose_isr_changes(cx);
        self.go_on_stopping(cx);
        self.set_alarms(cx);
    }

    /// Registration and heartbeats (K-14, K-16, K-30).
    fn stand_in_line(&mut self, cx: &mut Context<'_>) {
        let Standing {
            lifecycle,
            metadata,
            ..
        } = &mut self.standing;
        if lifecycle.has_given_up(cx.now()) {
            return cx.exit(Exit::Halted(Halt::NotRegistered));
        }
        if lifecycle.state() >= BrokerState::Recovery && metadata.is_published() {
            lifecycle.ready_to_unfence(cx.now());
        }
        if let Some(request) = lifecycle.communicate(metadata.applied(), cx.now()) {
            let leader = self.raft().leader();
            let news = self.network.beat(request, leader, cx);
            self.hear(news, cx);
        }
    }

    ///
    fn propose_isr_changes(&mut self, cx: &mut Context<'_>) {
        let (node, epoch) = (self.standing.config.node, self.standing.lifecycle.epoch());
        if let Some(request) = self.replicas.next_isr_request(node, epoch, cx.now()) {
            let leader = self.raft().leader();
            let request = crate::protocol::Request::AlterPartition(request);
            let news = self.network.alter(request, leader, cx);
            self.hear(news, cx);
        }
    }

    fn alarm(&mut self, timer: BrokerTimer, cx: &mut Context<'_>) {
        self.alarms.went_off(Timer::Broker(timer));
        match timer {
            BrokerTimer::IsrCheck => self.check_isr(cx),
            BrokerTimer::HwCheckpoint => self.checkpoint_hws(cx),
            BrokerTimer::RecoveryPoint => self.checkpoint_recovery_points(cx),
            BrokerTimer::ProducerIdExpiry => self.expire_producers(cx),
            BrokerTimer::Purgatory => self.time_out_parked(cx),
            BrokerTimer::DeleteLogs => {
                let mut out = self.buffer();
                self.replicas.delete_due(cx.now(), &mut out);
                self.carry_out(out, cx);
            }
            BrokerTimer::Retention => self.sweep(cx),
            BrokerTimer::FileDelete => self.delete_files(cx),
            BrokerTimer::Cleaner => self.clean(cx),
            BrokerTimer::Fetcher(source) => self.drive_fetcher(NodeId(source), cx),
            // These wake the broker; what is due is found in `settle`.
            BrokerTimer::Heartbeat
            | BrokerTimer::AlterPartition
            | BrokerTimer::ProducerIds
            | BrokerTimer::Shutdown => {}
        }
    }

    fn network_alarm(&mut self, cx: &mut Context<'_>) {
        self.alarms.went_off(Timer::Network);
        let leader = self.raft().leader();
        let news = self.network.expire(leader, cx);
        self.hear(news, cx);
    }

    /// Something about a connection: of the broker's own there is more to know than of a client's.
    fn heard(&mut self, conn: ConnId, input: Input, cx: &mut Context<'_>) {
        if self.network.copies_on(conn) {
            for happened in self.network.fetch().handle(input, cx) {
                self.fetch_heard(happened, cx);
            }
        } else if self.network.owns(conn) {
            let leader = self.raft().leader();
            let news = self.network.handle(conn, input, leader, cx);
            self.hear(news, cx);
        }
    }

    fn hear(&mut self, news: AllNews, cx: &mut Context<'_>) {
        for news in news {
            match news {
                News::Heartbeat(outcome) => self.heartbeat_answered(outcome, cx),
                News::Alter(outcome) => self.isr_answered(outcome, cx),
                News::Forward(outcome) => self.forwarded(outcome, cx),
                News::Fetch(happened) => self.fetch_heard(happened, cx),
            }
        }
    }

    fn synced(&mut self, file: FileId, result: Result<(), DiskError>, cx: &mut Context<'_>) {
        match (result, file) {
            (Ok(()), FileId::Cleaned(id, base)) => self.cleaned(id, base, cx),
            (Ok(()), file) => self.replicas.synced(file),
            (Err(error), _) => cx.exit(Exit::Halted(Halt::Disk(error))),
        }
    }
}

/// Duties by the clock.
impl Broker {
    /// From the first metadata on.
    fn begin_duties(&mut self, cx: &mut Context<'_>) {
        self.checkpoint_hws(cx);
        self.again(BrokerTimer::IsrCheck, self.isr_check_interval(), cx);
        self.again(BrokerTimer::RecoveryPoint, RECOVERY_POINTS_FIRST, cx);
        self.again(
            BrokerTimer::ProducerIdExpiry,
            self.producer_expiry_interval(),
            cx,
        );
        self.begin_housekeeping(cx);
    }

    fn check_isr(&mut self, cx: &mut Context<'_>) {
        let mut out = self.buffer();
        let here = self.standing.here(cx.wall());
        self.replicas.check_isr(here, &mut out);
        self.carry_out(out, cx);
        self.again(BrokerTimer::IsrCheck, self.isr_check_interval(), cx);
    }

    fn checkpoint_hws(&mut self, cx: &mut Context<'_>) {
        let mut out = self.buffer();
        self.replicas.checkpoint_hws(&mut out);
        self.carry_out(out, cx);
        let server = &self.standing.config.server;
        let interval = millis(server.replica_high_watermark_checkpoint_interval_ms);
        self.again(BrokerTimer::HwCheckpoint, interval, cx);
    }

    fn checkpoint_recovery_points(&mut self, cx: &mut Context<'_>) {
        let mut out = self.buffer();
        self.replicas.checkpoint_recovery_points(&mut out);
        self.carry_out(out, cx);
        let server = &self.standing.config.server;
        let interval = millis(i64::from(server.log_flush_offset_checkpoint_interval_ms));
        self.again(BrokerTimer::RecoveryPoint, interval, cx);
    }

    fn expire_producers(&mut self, cx: &mut Context<'_>) {
        let mut out = Effects::new();
        self.replicas.remove_expired_producers(cx.wall(), &mut out);
        self.carry_out(out, cx);
        self.again(
            BrokerTimer::ProducerIdExpiry,
            self.producer_expiry_interval(),
            cx,
        );
    }

    /// Idle producers are looked for so often (L-14).
    fn producer_expiry_interval(&self) -> Duration {
        let server = &self.standing.config.server;
        millis(i64::from(server.producer_id_expiration_check_interval_ms))
    }

    /// half of `replica.lag.time.max.ms`.
    fn isr_check_interval(&self) -> Duration {
        millis(self.standing.config.server.replica_lag_time_max_ms / 2)
    }

    fn again(&mut self, timer: BrokerTimer, after: Duration, cx: &mut Context<'_>) {
        self.set_alarm(Timer::Broker(timer), Some(cx.now() + after), cx);
    }

    fn set_alarms(&mut self, cx: &mut Context<'_>) {
        let now = cx.now();
        let parked = Time::earliest([
            self.produces.next_deadline(),
            self.fetches.next_deadline(),
            self.deletes.next_deadline(),
        ]);
        let network = self.network.next_deadline(now);
        let heartbeat = self.standing.lifecycle.wake_at();
        self.set_alarm(Timer::Network, network, cx);
        for (duty, at) in [
            (BrokerTimer::Heartbeat, heartbeat),
            (BrokerTimer::Purgatory, parked),
            (BrokerTimer::DeleteLogs, self.replicas.next_deletion()),
            (BrokerTimer::FileDelete, self.next_vanishing()),
            (BrokerTimer::AlterPartition, self.replicas.isr_retry_at()),
        ] {
            self.set_alarm(Timer::Broker(duty), at, cx);
        }
    }

    fn set_alarm(&mut self, timer: Timer, at: Option<Time>, cx: &mut Context<'_>) {
        let Some(at) = at else {
            return;
        };
        if self.alarms.should_set(timer, at) {
            cx.set_timer(timer, at);
        }
    }
}

/// The way out (K-19, L-35).
impl Broker {
    fn begin_stop(&mut self, cx: &mut Context<'_>) {
        if self.standing.config.server.controlled_shutdown_enable {
            self.standing.lifecycle.begin_controlled_shutdown(cx.now());
        } else {
            self.standing.lifecycle.shut_down();
        }
    }

    /// Let go by the controller, the broker stops to talk, flushes every log, and leaves its marker last.
    fn go_on_stopping(&mut self, cx: &mut Context<'_>) {
        if self.standing.lifecycle.state() != BrokerState::ShuttingDown {
            return;
        }
        let mut out = self.buffer();
        if !self.is_flushing {
            self.is_flushing = true;
            self.network.close(cx);
            self.replicas.checkpoint_hws(&mut out);
            self.replicas.close(&mut out);
        }
        let is_done = self.replicas.is_flushed();
        if is_done {
            let epoch = self.standing.lifecycle.epoch();
            self.replicas.mark_clean(epoch, &mut out);
        }
        self.carry_out(out, cx);
        if is_done {
            cx.exit(Exit::Stopped);
        }
    }

    /// Carries out what a part wants. A disk that refuses ends the process: it has no other (L-37).
    fn carry_out(&mut self, mut out: Effects, cx: &mut Context<'_>) {
        // Mostly a part wants nothing.
        if !out.is_empty() {
            let sent = |_, _| unreachable!("because a broker's parts send by their own ways");
            if let Err(error) = carry_out(out.drain(..), cx, sent) {
                cx.exit(Exit::Halted(Halt::Disk(error)));
            }
        }
        self.wishes = out;
    }

    /// An empty buffer for a part. [`Broker::carry_out`] takes it back.
    fn buffer(&mut self) -> Effects {
        std::mem::take(&mut self.wishes)
    }
}

impl Standing {
    /// The dynamic layers have changed: every user of a setting sees what is in force now.
    fn reconfigure(&mut self) {
        let layers = self.layers();
        let server = layers.effective();
        self.config.server = server;
    }

    /// The layers below those of topics.
    fn layers(&self) -> Layers<'_> {
        Layers {
            fixed: &self.fixed,
            dynamic: &self.metadata.image().dynamic,
            node: self.config.node,
        }
    }

    /// What partitions see at this moment by the wall clock.
    fn here(&self, now: Timestamp) -> Here<'_> {
        Here {
            node: self.config.node,
            broker_epoch: self.lifecycle.epoch(),
            now,
            image: self.metadata.image(),
            config: &self.config.server,
            rules: &self.rules,
        }
    }
}

/// The metadata log's replica: a broker observes.
fn observe(config: &BrokerConfig, rules: &Rules, disk: &DiskImage, cx: &mut Context<'_>) -> Driver {
    let member = Member {
        node: config.node,
        voters: config.voters.iter().map(|(node, _)| *node).collect(),
        config: RaftConfig::of(&config.server),
    };
    Driver::boot(member, &config.voters, RAFT_CLIENT, disk, rules, cx)
}

fn enlist(
    config: &BrokerConfig,
    incarnation: IncarnationId,
    last_stop: LastStop,
    now: Time,
) -> Lifecycle {
    let identity = Identity {
        node: config.node,
        incarnation,
        address: config.address,
        rack: config.rack.clone(),
        previous_epoch: last_stop.broker_epoch,
    };
    let server = &config.server;
    let pace = Pace {
        heartbeat: millis(i64::from(server.broker_heartbeat_interval_ms)),
        registration: millis(i64::from(server.initial_broker_registration_timeout_ms)),
    };
    Lifecycle::start(identity, pace, now)
}

fn millis(ms: i64) -> Duration {
    Duration::millis(u64::try_from(ms).unwrap_or(0))
}
