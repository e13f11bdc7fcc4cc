//! What a fetcher asks besides Fetch: where a leader's log begins and ends, and, before KIP-595, where an epoch ends.

use super::{Desk, Doing, Fetcher, Progress, State, cut};
use crate::event::Truncation;
use crate::ids::*;
use crate::protocol::fetch::IsolationLevel;
use crate::protocol::offsets::*;
use crate::protocol::{ErrorCode, Request};
use crate::rules::Truncate;

/// a partition stands where its leader's log does not reach.
impl Fetcher {
    /// Asks the leader where its log ends, or begins, for the first partition that must know.
    pub(super) fn settle(&mut self, desk: &mut Desk<'_, '_>) -> Option<Request> {
        let wanted = |p: &Progress| match p.state {
            State::OutOfRange if !p.is_delayed(desk.now) => Some(OffsetSpec::Latest),
            State::BeforeRange if !p.is_delayed(desk.now) => Some(OffsetSpec::Earliest),
            _ => None,
        };
        let mut due = self
            .partitions
            .iter()
            .filter_map(|(id, p)| Some(question(*id, p.epoch, wanted(p)?)));
        let question = due.next()?;
        self.doing = Doing::AskingOffset(question.clone());
        Some(Request::ListOffsets(ListOffsetsRequest {
            replica_id: Some(desk.here.node),
            isolation_level: IsolationLevel::ReadUncommitted,
            partitions: vec![question],
        }))
    }

    /// Beyond the leader's end: cut to it. Before its start: nothing that is here exists there any more. Neither: it fetches
    /// on from where it stands.
    pub(super) fn offset_answered(
        &mut self,
        asked: &ListOffsetsPartition,
        response: &ListOffsetsResponse,
        desk: &mut Desk<'_, '_>,
    ) {
        let id = TopicIdPartition {
            topic: asked.topic_id,
            partition: asked.partition,
        };
        let Some(offset) = self.offset_from(id, asked, response, desk) else {
            return;
        };
        let Some(leo) = desk.replicas.get(id).map(|p| p.log().leo()) else {
            return;
        };
        let state = match asked.at {
            OffsetSpec::Latest if offset >= leo => State::BeforeRange,
            OffsetSpec::Latest => {
                cut(id, offset, Truncation::OutOfRange, desk);
                State::Fetching
            }
            _ => {
                if offset > leo {
                    start_over(id, offset, desk);
                }
                State::Fetching
            }
        };
        self.set_state(id, state);
    }

    /// The offset that was asked for, if the partition still waits for it. After an error it fetches again, later.
    fn offset_from(
        &mut self,
        id: TopicIdPartition,
        asked: &ListOffsetsPartition,
        response: &ListOffsetsResponse,
        desk: &Desk<'_, '_>,
    ) -> Option<Offset> {
        let progress = self.partitions.get(&id)?;
        if Some(progress.epoch) != asked.current_leader_epoch {
            return None;
        }
        let answer = response.partitions.first()?;
        match answer.error_code {
            ErrorCode::None => return answer.offset,
            ErrorCode::FencedLeaderEpoch => self.fenced(id),
            _ => {
                self.set_state(id, State::Fetching);
                self.delay(id, desk);
            }
        }
        None
    }
}

/// Truncation before fetching, as before KIP-595.
impl Fetcher {
    /// Asks where epochs end, for all partitions that must know. Those whose log knows no epoch, and all of them before
    /// KIP-101, are cut to their own high watermark at once: what lies above it may not be the leader's.
    pub(super) fn truncate(&mut self, desk: &mut Desk<'_, '_>) -> Option<Request> {
        let is_due = |p: &Progress| p.state == State::Truncating && !p.is_delayed(desk.now);
        let due = self.partitions.iter().filter(|(_, p)| is_due(p));
        let due: Vec<_> = due.map(|(id, p)| (*id, p.epoch)).collect();
        let mut asked = Vec::new();
        for (id, epoch) in due {
            let Some(log) = desk.replicas.get(id).map(|p| p.log()) else {
                continue;
            };
            let asks = desk.here.rules.truncate != Truncate::Hw;
            match log.latest_epoch().filter(|_| asks) {
                Some(latest) => asked.push(OffsetForLeaderPartition {
                    topic_id: id.topic,
                    partition: id.partition,
                    current_leader_epoch: Some(epoch),
                    leader_epoch: latest,
                }),
                None => {
                    let hw = log.hw();
                    cut(id, hw, Truncation::HighWatermark, desk);
                    self.set_state(id, State::Fetching);
                }
            }
        }
        if asked.is_empty() {
            return None;
        }
        self.doing = Doing::AskingEpochs(asked.clone());
        Some(Request::OffsetForLeaderEpoch(OffsetForLeaderEpochRequest {
            replica_id: Some(desk.here.node),
            partitions: asked,
        }))
    }

    pub(super) fn epochs_answered(
        &mut self,
        asked: &[OffsetForLeaderPartition],
        response: &OffsetForLeaderEpochResponse,
        desk: &mut Desk<'_, '_>,
    ) {
        for answer in &response.partitions {
            let id = TopicIdPartition {
                topic: answer.topic_id,
                partition: answer.partition,
            };
            let question = asked
                .iter()
                .find(|a| (a.topic_id, a.partition) == (id.topic, id.partition));
            let epoch = self.partitions.get(&id).map(|p| p.epoch);
            if question.is_none_or(|q| q.current_leader_epoch != epoch) {
                continue;
            }
            match answer.error_code {
                ErrorCode::None => {
                    let leader_end = (answer.leader_epoch, answer.end_offset);
                    self.part(id, leader_end, Truncation::OffsetForLeaderEpoch, desk);
                }
                ErrorCode::FencedLeaderEpoch => self.fenced(id),
                _ => self.delay(id, desk),
            }
        }
    }
}

fn question(id: TopicIdPartition, epoch: LeaderEpoch, at: OffsetSpec) -> ListOffsetsPartition {
    ListOffsetsPartition {
        topic_id: id.topic,
        partition: id.partition,
        current_leader_epoch: Some(epoch),
        at,
    }
}

fn start_over(id: TopicIdPartition, at: Offset, desk: &mut Desk<'_, '_>) {
    if let Some(partition) = desk.replicas.get_mut(id) {
        let log = partition.log_mut();
        log.truncate_fully_and_start_at(at, desk.here.now, desk.out);
        desk.replicas.truncated(id, desk.out);
    }
}
