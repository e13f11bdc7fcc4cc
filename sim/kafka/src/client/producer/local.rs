//! ROLE Producer, as librdkafka takes messages: into the local queue, and from there to a partition as soon as the topic is known.

use super::batch::TopicPartition;
use super::config::Placement;
use super::idempotence::{Idempotence, Identity};
use super::librdkafka::{message_bytes, partition_for_key};
use super::{Life, Producer, ProducerRecord, SendId};
use crate::context::{Context, Purpose};
use crate::event::{ClientEvent, SendFailure};
use crate::log::batch::PlainRecord;
use crate::protocol::ErrorCode;
use crate::time::Time;

impl Producer {
    /// rd_kafka_produce: it never blocks.
    pub(super) fn produce(
        &mut self,
        mut record: ProducerRecord,
        cx: &mut Context<'_>,
    ) -> Result<SendId, SendFailure> {
        if !matches!(self.life, Life::Running) {
            return Err(SendFailure::Closed);
        }
        if let Some(Identity::Failed(error)) = self.idempotence.as_ref().map(Idempotence::identity)
        {
            return Err(SendFailure::Error(error));
        }
        let bytes = message_bytes(&record);
        if bytes > self.settings.max_request_size {
            return Err(SendFailure::RecordTooLarge);
        }
        let local = self.local.as_mut().expect("it is librdkafka's");
        if !local.has_room(bytes) {
            return Err(SendFailure::QueueFull);
        }
        let send = SendId(self.next_send);
        self.next_send += 1;
        local.take(send, bytes);
        record.timestamp = record.timestamp.or_else(|| Some(cx.wall()));
        local.unassigned.push_back((send, record, cx.now()));
        self.assign(cx);
        if self.has_unassigned() {
            self.wake(cx.now(), cx);
        }
        Ok(send)
    }

    /// Whether messages wait for their topic to be known.
    pub(super) fn has_unassigned(&self) -> bool {
        let local = self.local.as_ref();
        local.is_some_and(|local| !local.unassigned.is_empty())
    }

    /// When the next of them times out.
    pub(super) fn next_unassigned_expiry(&self) -> Option<Time> {
        let (.., since) = self.local.as_ref()?.unassigned.front()?;
        Some(*since + self.settings.delivery_timeout)
    }

    /// Gives messages whose topic is known to their partitions, in order.
    pub(super) fn assign(&mut self, cx: &mut Context<'_>) {
        loop {
            let local = self.local.as_mut();
            let Some((send, record, since)) = local.and_then(|l| l.unassigned.pop_front()) else {
                return;
            };
            let expired = since + self.settings.delivery_timeout <= cx.now();
            let metadata = &mut self.network.metadata;
            if expired {
                self.fail_unassigned(send, &record, SendFailure::DeliveryTimeout, cx);
                continue;
            }
            let known = metadata.add(&record.topic, cx.now());
            let known = known.map(|t| (t.id, t.partitions.len()));
            let Some((id, count)) = known.filter(|(_, count)| *count > 0) else {
                metadata.request_update_for(&record.topic);
                let local = self.local.as_mut().expect("just seen");
                return local.unassigned.push_front((send, record, since));
            };
            let count = u32::try_from(count).expect("numbered by i32");
            let topic = self.accumulator.topic(&record.topic, id);
            let partition = match record.partition {
                Some(p) if i64::from(p) < i64::from(count) => p,
                Some(_) => {
                    let error = SendFailure::Error(ErrorCode::UnknownTopicOrPartition);
                    self.fail_unassigned(send, &record, error, cx);
                    continue;
                }
                None => self.partition_of(&record, topic, count, cx),
            };
            self.append_assigned(send, record, TopicPartition { topic, partition }, cx);
        }
    }

    fn partition_of(
        &mut self,
        record: &ProducerRecord,
        topic: super::batch::TopicIndex,
        count: u32,
        cx: &mut Context<'_>,
    ) -> i32 {
        let Placement::Librdkafka(partitioner) = self.settings.placement else {
            unreachable!("because a local queue is librdkafka's");
        };
        if let Some(partition) = partition_for_key(partitioner, record.key.as_deref(), count) {
            return partition;
        }
        let local = self.local.as_mut().expect("it is librdkafka's");
        if let Some(sticky) = local.sticky(topic, cx.now()) {
            return sticky;
        }
        let drawn = cx.draw(Purpose::StickyPartition(self.client));
        self.accumulator
            .choose_sticky(topic, &self.network.metadata, drawn);
        let partition = self.accumulator.sticky_partition(topic);
        let partition = partition.expect("just chosen");
        local.stick(TopicPartition { topic, partition }, cx.now());
        partition
    }

    fn append_assigned(
        &mut self,
        send: SendId,
        record: ProducerRecord,
        at: TopicPartition,
        cx: &mut Context<'_>,
    ) {
        let plain = PlainRecord {
            id: record.id,
            timestamp: record.timestamp.expect("stamped when it was taken"),
            key: record.key,
            value: record.value,
            headers: record.headers,
        };
        let appended = self.accumulator.append(at, send, &plain, cx.now());
        let appended = appended.expect("the local queue is the limit");
        let queued = ClientEvent::Queued {
            id: plain.id,
            partition: self.accumulator.with_id(at),
        };
        self.tell(queued, cx);
        if appended.full || appended.new_batch {
            self.wake_for(at, appended.full, &record.topic, cx);
        }
    }

    pub(super) fn fail_all_unassigned(&mut self, failure: SendFailure, cx: &mut Context<'_>) {
        let local = self.local.as_mut();
        let waiting = local.map(|l| std::mem::take(&mut l.unassigned));
        for (send, record, _) in waiting.into_iter().flatten() {
            self.fail_unassigned(send, &record, failure, cx);
        }
    }

    fn fail_unassigned(
        &mut self,
        send: SendId,
        record: &ProducerRecord,
        error: SendFailure,
        cx: &mut Context<'_>,
    ) {
        let failed = ClientEvent::Failed {
            id: record.id,
            partition: None,
            error,
        };
        self.tell(failed, cx);
        self.completed.push_back((send, record.id, Err(error)));
    }
}
