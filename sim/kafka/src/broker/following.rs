//! What a broker makes of what the controller says: metadata (K-20), answers to heartbeats and ISR changes; and the
//! copying from leaders that follows from it.

use super::fetcher::{Desk, backoff};
use super::{Broker, millis};
use crate::broker::channel::Outcome;
use crate::broker::lifecycle::BrokerState;
use crate::client::connections::Happened;
use crate::context::Context;
use crate::ids::*;
use crate::protocol::Response;
use crate::timer::{BrokerTimer, Timer};
use std::collections::BTreeSet;

impl Broker {
    /// Takes in what the quorum has committed: the copy first, then leaders, then followers, then settings (K-20).
    pub(super) fn load_metadata(&mut self, cx: &mut Context<'_>) {
        let committed = self.raft().seen().committed;
        let from = self.image().end;
        if from >= committed {
            return;
        }
        let is_first = !self.standing.metadata.is_published();
        let log = self.raft.raft().log();
        let batches = log.batches_from(from);
        let batches = batches.take_while(|b| b.end_offset() <= committed);
        let delta = self.standing.metadata.load(batches);
        let is_news = !delta.topics.is_empty() || !delta.partitions.is_empty();
        if is_first {
            self.put_strays_aside(cx);
        } else if !delta.deleted.is_empty() {
            self.delete_partitions(delta.deleted, cx);
        }
        if delta.dynamic {
            self.standing.reconfigure();
        }
        if !delta.partitions.is_empty() {
            self.change_partitions(delta.partitions.into_iter().collect(), cx);
        }
        if delta.dynamic || !delta.topics.is_empty() {
            let topics: Vec<TopicId> = delta.topics.into_iter().collect();
            let here = self.standing.here(cx.wall());
            let changed = (!delta.dynamic).then_some(&topics[..]);
            self.replicas.configure(changed, here);
        }
        if is_first {
            self.begin_duties(cx);
        }
        if is_news {
            self.wake_cleaner(cx);
        }
    }

    /// K-24: nothing is copied, led or answered for them any more; their files go later.
    fn delete_partitions(&mut self, deleted: BTreeSet<TopicIdPartition>, cx: &mut Context<'_>) {
        let mut out = self.buffer();
        let delay = millis(self.standing.config.server.log_segment_delete_delay_ms);
        let at = (cx.now() + delay).max(self.first_deletion);
        let gone = self.replicas.delete(deleted.into_iter(), at, &mut out);
        self.fetchers.stop(&gone);
        self.carry_out(out, cx);
        self.close_idle_fetchers(cx);
    }

    fn put_strays_aside(&mut self, cx: &mut Context<'_>) {
        let mut out = self.buffer();
        let here = self.standing.here(cx.wall());
        self.replicas.put_strays_aside(here, &mut out);
        self.carry_out(out, cx);
    }

    fn close_idle_fetchers(&mut self, cx: &mut Context<'_>) {
        for source in self.fetchers.take_idle() {
            self.network.fetch().disconnect(source, cx);
        }
    }

    fn change_partitions(&mut self, changed: Vec<TopicIdPartition>, cx: &mut Context<'_>) {
        let mut out = self.buffer();
        let is_stopping = self.standing.lifecycle.state() > BrokerState::Running;
        let here = self.standing.here(cx.wall());
        let changes = self.replicas.apply(&changed, is_stopping, here, &mut out);
        self.fetchers.stop(&changes.stop);
        for (id, source, epoch) in changes.start {
            let log = self.replicas.get(id).expect("just hosted").log();
            self.fetchers.start(id, source, epoch, log, here.rules);
            self.network
                .fetch()
                .learn(source, here.image.brokers[&source].address);
        }
        self.carry_out(out, cx);
        self.close_idle_fetchers(cx);
        for source in self.fetchers.sources() {
            self.drive_fetcher(source, cx);
        }
    }

    /// Lets a fetcher ask its next question, if it has one and its source can be asked.
    pub(super) fn drive_fetcher(&mut self, source: NodeId, cx: &mut Context<'_>) {
        let now = cx.now();
        let Some(fetcher) = self.fetchers.get_mut(source) else {
            return;
        };
        let mut out = std::mem::take(&mut self.wishes);
        let mut request = None;
        if fetcher.is_ready(now) && self.network.fetch().ready(source, cx) {
            request = fetcher.next_request(&mut Desk {
                replicas: &mut self.replicas,
                here: self.standing.here(cx.wall()),
                now,
                out: &mut out,
            });
        }
        let wake_at = fetcher.wake_at(now);
        self.carry_out(out, cx);
        if let Some(request) = request {
            self.network.fetch().send(source, request, (), cx);
        }
        let timer = Timer::Broker(BrokerTimer::Fetcher(source.0));
        self.set_alarm(timer, wake_at, cx);
    }

    /// Something about a connection to a broker that is copied from.
    pub(super) fn fetch_heard(&mut self, happened: Happened<()>, cx: &mut Context<'_>) {
        let now = cx.now();
        let source = match &happened {
            Happened::Ready(node)
            | Happened::Sent(node, ())
            | Happened::Answered(node, (), _)
            | Happened::Failed(node, ..)
            | Happened::Disconnected(node) => *node,
        };
        let Some(fetcher) = self.fetchers.get_mut(source) else {
            return;
        };
        let mut out = std::mem::take(&mut self.wishes);
        let here = self.standing.here(cx.wall());
        match happened {
            Happened::Answered(_, (), response) => fetcher.answered(
                response,
                &mut Desk {
                    replicas: &mut self.replicas,
                    here,
                    now,
                    out: &mut out,
                },
            ),
            Happened::Failed(..) => fetcher.failed(backoff(here), now),
            // It could not be connected to. A connection lost while nothing was asked is no loss.
            Happened::Disconnected(_) if fetcher.is_ready(now) => {
                fetcher.failed(backoff(here), now);
            }
            Happened::Disconnected(_) | Happened::Ready(_) | Happened::Sent(..) => {}
        }
        self.carry_out(out, cx);
        self.drive_fetcher(source, cx);
    }

    /// The controller answered a registration or a heartbeat, or did not in time.
    pub(super) fn heartbeat_answered(&mut self, outcome: Outcome<()>, cx: &mut Context<'_>) {
        let mut out = self.buffer();
        let (lifecycle, now) = (&mut self.standing.lifecycle, cx.now());
        let served = lifecycle.serves();
        match outcome {
            Outcome::Answered((), Response::BrokerRegistration(r)) => {
                lifecycle.registered(&r, now, &mut out);
            }
            Outcome::Answered((), Response::BrokerHeartbeat(r)) => {
                lifecycle.beaten(&r, now, &mut out);
            }
            Outcome::Answered((), other) => panic!("{:?} is no heartbeat's answer", other.api()),
            Outcome::TimedOut(()) => lifecycle.failed(now),
        }
        // Kafka's BrokerServer opens its sockets when it has been unfenced for the first time: nobody is to take an open
        // port for readiness (KIP-631; Acceptor.start).
        if !served && lifecycle.serves() {
            cx.listen();
        }
        self.carry_out(out, cx);
    }

    /// The controller answered an ISR change.
    pub(super) fn isr_answered(&mut self, outcome: Outcome<()>, cx: &mut Context<'_>) {
        let Outcome::Answered((), Response::AlterPartition(response)) = outcome else {
            unreachable!("because an ISR change is waited for without limit");
        };
        let mut out = self.buffer();
        let here = self.standing.here(cx.wall());
        self.replicas
            .isr_answered(response, here, cx.now(), &mut out);
        self.carry_out(out, cx);
    }
}
