//! Events in words, each as a predicate: its process stands before it.

use super::{Lexicon, count, offsets};
use klab_kafka::client::consumer::records::ConsumerError;
use klab_kafka::controller::records::MetadataRecord;
use klab_kafka::event::*;
use klab_kafka::ids::{NodeId, Offset, TopicIdPartition};
use klab_kafka::log::batch::{Payload, RecordBatch};
use klab_kafka::protocol::ErrorCode;
use klab_kafka::protocol::admin::{ConfigResource, DescribedConfig, ElectionType, TopicRef};

impl Lexicon {
    /// What an event says of the process that tells it.
    pub fn event(&self, event: &Event) -> String {
        match event {
            Event::Log(id, event) => self.log(*id, event),
            Event::Replica(id, event) => self.replica(*id, event),
            Event::Broker(event) => broker(event),
            Event::Controller(event) => self.controller(event),
            Event::Raft(event) => self.raft(event),
            Event::Client(_, event) => self.client(event),
            Event::App(event) => self.app(event),
            Event::Admin(event) => admin(event),
        }
    }

    fn log(&self, id: TopicIdPartition, event: &LogEvent) -> String {
        let name = self.partition(id);
        match event {
            LogEvent::Appended { batch, as_leader } => {
                let verb = if *as_leader { "appends" } else { "copies" };
                let place = offsets(batch.base_offset, batch.end_offset());
                let (what, epoch) = (self.batch(batch), batch.leader_epoch);
                format!("{verb} {what} at {name} {place}, epoch {epoch}")
            }
            LogEvent::Deduplicated { base_offset, ids } => format!(
                "knows {} again: already at {name} offset {base_offset}, nothing is written",
                self.records(ids)
            ),
            LogEvent::Refused { error, ids } => {
                format!("refuses {} for {name}: {}", self.records(ids), error.name())
            }
            LogEvent::Truncated { from, to, why } => {
                let why = match why {
                    Truncation::DivergingEpoch => "the leader's epoch ends there",
                    Truncation::OutOfRange => "the leader's log ends there",
                    Truncation::HighWatermark => "its own high watermark lies there",
                    Truncation::OffsetForLeaderEpoch => "the leader says that the epoch ends there",
                };
                format!("cuts {name} from {from} back to {to}: {why}")
            }
            LogEvent::StartedOver { from, at } => {
                format!("gives up all of {name} up to {from} and starts over at {at}")
            }
            LogEvent::LogStartMoved { log_start, why } => {
                let why = match why {
                    LogStart::Leader => "its leader did",
                    LogStart::DeleteRecords => "a client asked for it",
                    LogStart::RetentionTime => "it is older than retention.ms",
                    LogStart::RetentionBytes => "there is more than retention.bytes",
                    LogStart::Recovered => {
                        return format!("finds that {name} starts at {log_start}");
                    }
                };
                format!("gives up what {name} holds below {log_start}: {why}")
            }
            LogEvent::Compacted {
                upto,
                gone,
                bytes_before,
                bytes_after,
                ..
            } => {
                let records = count(gone.len() as u64, "record");
                format!(
                    "compacts {name} up to {upto}: {records} superseded, {bytes_before} bytes become {bytes_after}"
                )
            }
            LogEvent::SegmentsDeleted { upto, why } => {
                let why = match why {
                    Deletion::LogStart => "they lie below the log start",
                    Deletion::Size => "there is more than retention.bytes",
                    Deletion::Age => "they are older than retention.ms",
                };
                format!("deletes the segments of {name} that end by {upto}: {why}")
            }
            LogEvent::HighWatermark { hw } => format!("has the high watermark of {name} at {hw}"),
            LogEvent::Recovered { leo, hw, torn } => {
                let torn = if *torn { ", a torn batch cut off" } else { "" };
                format!("finds {name} on its disk up to {leo}, high watermark {hw}{torn}")
            }
            LogEvent::Rolled { base_offset } => {
                format!("begins a new segment of {name} at {base_offset}")
            }
            LogEvent::ProducersForgotten { producers } => {
                let ids: Vec<String> = producers.iter().map(|p| p.0.to_string()).collect();
                let id = if ids.len() == 1 { "id" } else { "ids" };
                format!(
                    "forgets producer {id} {} of {name}, idle for producer.id.expiration.ms",
                    ids.join(", ")
                )
            }
        }
    }

    fn batch(&self, batch: &RecordBatch) -> String {
        match &batch.data.payload {
            Payload::Records { ids, .. } => self.records(ids),
            Payload::Control(_) => "a control record".into(),
            Payload::Metadata(records) => match &records[..] {
                [one] => metadata(one).into(),
                many => count(many.len() as u64, "metadata record"),
            },
        }
    }

    fn replica(&self, id: TopicIdPartition, event: &ReplicaEvent) -> String {
        let name = self.partition(id);
        match event {
            ReplicaEvent::Deleted => format!("deletes its replica of {name}"),
            ReplicaEvent::Stray => {
                format!("puts its log of {name} aside: the metadata do not know it")
            }
            ReplicaEvent::BecameLeader {
                epoch,
                start_offset,
                hw,
            } => format!(
                "leads {name} in epoch {epoch} from offset {start_offset} on, high watermark {hw}"
            ),
            ReplicaEvent::BecameFollower {
                epoch,
                leader: Some(leader),
            } => format!("follows {} in epoch {epoch} of {name}", self.node(*leader)),
            ReplicaEvent::BecameFollower {
                epoch,
                leader: None,
            } => format!("has no leader to follow in epoch {epoch} of {name}"),
            ReplicaEvent::FollowerFetched { follower, leo } => {
                format!(
                    "learns that {} holds {name} up to {leo}",
                    self.node(*follower)
                )
            }
            ReplicaEvent::IsrChangePending { isr, .. } => {
                format!("asks for the ISR {} of {name}", self.isr(isr))
            }
            ReplicaEvent::IsrChanged { isr, .. } => {
                format!("learns that the ISR of {name} is {}", self.isr(isr))
            }
            ReplicaEvent::IsrChangeRefused { error } => {
                format!("is refused another ISR of {name}: {}", error.name())
            }
            ReplicaEvent::Acknowledged {
                base_offset,
                ids,
                acks,
            } => {
                let acks = if *acks < 0 {
                    "all".into()
                } else {
                    acks.to_string()
                };
                let ids = self.records(ids);
                format!("acknowledges {ids} at {name} offset {base_offset}, acks={acks}")
            }
            ReplicaEvent::Fenced { error, write } => {
                let what = if *write { "write" } else { "fetch" };
                format!("refuses a {what} for {name}: {}", error.name())
            }
        }
    }

    fn controller(&self, event: &ControllerEvent) -> String {
        match event {
            ControllerEvent::Activated { epoch } => {
                format!("is the active controller of epoch {epoch}")
            }
            ControllerEvent::Deactivated => "is the active controller no longer".into(),
            ControllerEvent::BrokerRegistered { broker, epoch } => {
                format!(
                    "registers {} with broker epoch {}",
                    self.node(*broker),
                    epoch.0
                )
            }
            ControllerEvent::BrokerUnfenced { broker } => {
                format!("unfences {}", self.node(*broker))
            }
            ControllerEvent::BrokerFenced {
                broker,
                session_expired,
            } => {
                let why = if *session_expired {
                    ": its session ran out"
                } else {
                    ""
                };
                format!("fences {}{why}", self.node(*broker))
            }
            ControllerEvent::TopicDeleted { name, .. } => format!("deletes the topic {name}"),
            ControllerEvent::PartitionsCreated { name, from, to } => match to - from {
                1 => format!("adds partition {from} to {name}"),
                _ => format!("adds partitions {from} to {} to {name}", to - 1),
            },
            ControllerEvent::ConfigChanged {
                resource,
                key,
                value,
            } => {
                let owner = owner(resource);
                match value {
                    Some(value) => format!("sets {key}={value} for {owner}"),
                    None => format!("takes {key} of {owner} back"),
                }
            }
            ControllerEvent::TopicCreated {
                name, partitions, ..
            } => {
                let partitions = count(u64::from(partitions.unsigned_abs()), "partition");
                format!("creates {name} with {partitions}")
            }
            ControllerEvent::LeaderElected {
                partition,
                leader,
                epoch,
                unclean,
                isr,
            } => {
                let (name, isr) = (self.partition(*partition), self.isr(isr));
                let how = if *unclean {
                    ", from outside the ISR"
                } else {
                    ""
                };
                match leader {
                    Some(leader) => {
                        let leader = self.node(*leader);
                        format!("elects {leader} for {name} in epoch {epoch}{how}, ISR {isr}")
                    }
                    None => format!("leaves {name} without a leader in epoch {epoch}, ISR {isr}"),
                }
            }
            ControllerEvent::IsrCommitted { partition, isr, .. } => {
                format!(
                    "commits the ISR {} of {}",
                    self.isr(isr),
                    self.partition(*partition)
                )
            }
            ControllerEvent::AlterPartitionRefused {
                partition,
                broker,
                error,
            } => {
                let (who, name) = (self.node(*broker), self.partition(*partition));
                format!("refuses {who} another ISR of {name}: {}", error.name())
            }
        }
    }

    fn raft(&self, event: &RaftEvent) -> String {
        match event {
            RaftEvent::Became {
                state,
                epoch,
                leader,
            } => {
                let state = match state {
                    RaftState::Unattached => "knows no quorum leader".into(),
                    RaftState::Follower => match leader {
                        Some(leader) => format!("follows the quorum leader {}", self.node(*leader)),
                        None => "follows the quorum leader".into(),
                    },
                    RaftState::Prospective => "asks whether it could be quorum leader".into(),
                    RaftState::Candidate => "asks for votes".into(),
                    RaftState::Leader => "leads the quorum".into(),
                    RaftState::Resigned => "resigns as quorum leader".into(),
                };
                format!("{state} in quorum epoch {epoch}")
            }
            RaftEvent::Voted {
                candidate,
                epoch,
                pre_vote,
                granted,
            } => {
                let what = if *pre_vote { "PreVote" } else { "vote" };
                let verb = if *granted { "gives" } else { "refuses" };
                let candidate = self.node(*candidate);
                format!("{verb} {candidate} its {what} in quorum epoch {epoch}")
            }
            RaftEvent::HighWatermark { hw } => format!("has metadata committed up to {hw}"),
            RaftEvent::CheckQuorumFailed { epoch } => {
                format!("has no majority fetching any more in quorum epoch {epoch}")
            }
        }
    }

    fn client(&self, event: &ClientEvent) -> String {
        match event {
            ClientEvent::Queued { id, partition } => {
                format!(
                    "sends {} to {}",
                    self.record(*id),
                    self.partition(*partition)
                )
            }
            ClientEvent::BatchSent {
                partition,
                ids,
                attempt,
                ..
            } => {
                let again = match attempt {
                    0 => String::new(),
                    n => format!(", try {}", n + 1),
                };
                let (ids, name) = (self.records(ids), self.partition(*partition));
                format!("puts {ids} into a produce request for {name}{again}")
            }
            ClientEvent::Retried {
                partition,
                ids,
                error,
            } => {
                let (ids, name) = (self.records(ids), self.partition(*partition));
                format!("will send {ids} to {name} again after {}", error.name())
            }
            ClientEvent::BatchSplit {
                partition,
                ids,
                parts,
            } => {
                let (ids, name) = (self.records(ids), self.partition(*partition));
                let batches = if *parts == 1 { "batch" } else { "batches" };
                format!("will send {ids} to {name} in {parts} {batches}: one was too large")
            }
            ClientEvent::Acked {
                id,
                partition,
                offset,
            } => {
                let (id, name) = (self.record(*id), self.partition(*partition));
                match offset {
                    Some(offset) => {
                        format!("is told that {id} is written at {name} offset {offset}")
                    }
                    None => format!("holds {id} for written to {name}, with acks=0"),
                }
            }
            ClientEvent::Failed { id, error, .. } => {
                format!(
                    "is told that {} failed: {}",
                    self.record(*id),
                    failure(*error)
                )
            }
            ClientEvent::ProducerIdObtained { producer, epoch } => {
                format!("gets producer id {} with epoch {}", producer.0, epoch.0)
            }
            ClientEvent::EpochBumped { producer, epoch } => {
                format!("begins epoch {} of producer id {}", epoch.0, producer.0)
            }
            ClientEvent::RequestTimedOut { node } => {
                format!(
                    "waits for {} no longer and closes the connection",
                    self.client_node(*node)
                )
            }
            ClientEvent::Delivered {
                partition,
                from,
                to,
                records,
            } => {
                let records = count(records.len() as u64, "record");
                let name = self.partition(*partition);
                format!("reads {records} of {name}, {}", range(*from, *to))
            }
            ClientEvent::PositionReset { partition, to } => {
                format!(
                    "sets its position in {} to {to}",
                    self.partition(*partition)
                )
            }
            ClientEvent::TruncationDetected {
                partition,
                position,
                divergence,
            } => {
                let name = self.partition(*partition);
                match divergence {
                    Some(to) => {
                        format!("finds {name} cut back to {to}, below its position {position}")
                    }
                    None => {
                        format!("finds no part of {name} that it shares at its position {position}")
                    }
                }
            }
            ClientEvent::OffsetOutOfRange {
                partition,
                position,
            } => {
                let name = self.partition(*partition);
                format!("is told that {name} has no offset {position}")
            }
            ClientEvent::PollFailed { error } => format!("has its poll fail: {}", thrown(error)),
            ClientEvent::LeaderLearned {
                partition,
                leader,
                epoch,
            } => {
                let name = self.partition(*partition);
                match leader {
                    Some(leader) => {
                        format!(
                            "learns that {} leads {name} in epoch {epoch}",
                            self.node(*leader)
                        )
                    }
                    None => format!("learns that {name} has no leader in epoch {epoch}"),
                }
            }
        }
    }

    fn app(&self, event: &AppEvent) -> String {
        match event {
            AppEvent::Invoked { id } => format!("is asked to send {}", self.record(*id)),
            AppEvent::Accepted { id } => {
                format!("tells its caller that {} is accepted", self.record(*id))
            }
            AppEvent::Rejected { id } => {
                format!("tells its caller that {} failed", self.record(*id))
            }
            AppEvent::Resent { id } => format!("sends {} once more of itself", self.record(*id)),
            AppEvent::Started => "begins its work".into(),
            AppEvent::Finished => "has done its work".into(),
            AppEvent::ReachedEnd { partition, end } => {
                format!(
                    "has read {} to its end at {end}",
                    self.partition(*partition)
                )
            }
        }
    }

    /// A node as a client knows it: bootstrap addresses have numbers below zero.
    fn client_node(&self, node: NodeId) -> String {
        match node.0 {
            i32::MIN..0 => "a bootstrap broker".into(),
            _ => self.node(node),
        }
    }
}

/// Kafka's name of a metadata record.
fn metadata(record: &MetadataRecord) -> &'static str {
    match record {
        MetadataRecord::NoOp => "NoOpRecord",
        MetadataRecord::RegisterBroker { .. } => "RegisterBrokerRecord",
        MetadataRecord::BrokerRegistrationChange { .. } => "BrokerRegistrationChangeRecord",
        MetadataRecord::Topic { .. } => "TopicRecord",
        MetadataRecord::Partition { .. } => "PartitionRecord",
        MetadataRecord::PartitionChange { .. } => "PartitionChangeRecord",
        MetadataRecord::RemoveTopic { .. } => "RemoveTopicRecord",
        MetadataRecord::Config { .. } => "ConfigRecord",
        MetadataRecord::ProducerIds { .. } => "ProducerIdsRecord",
    }
}

fn broker(event: &BrokerEvent) -> String {
    match event {
        BrokerEvent::Started { clean: true } => "is up after a clean stop".into(),
        BrokerEvent::Started { clean: false } => "is up".into(),
        BrokerEvent::Registered { epoch } => format!("is registered with broker epoch {}", epoch.0),
        BrokerEvent::RegistrationRefused { error } => {
            format!("may not register yet: {}", error.name())
        }
        BrokerEvent::Unfenced => "learns that it is unfenced".into(),
        BrokerEvent::Fenced => "learns that it is fenced".into(),
        BrokerEvent::ShutdownGranted => "may stop now".into(),
    }
}

fn admin(event: &AdminEvent) -> String {
    match event {
        AdminEvent::TopicCreated { name } => format!("has created {name}"),
        AdminEvent::TopicExisted { name } => format!("finds that {name} existed already"),
        AdminEvent::TopicRefused { name, error } => {
            format!("is refused the topic {name}: {}", error.name())
        }
        AdminEvent::ConfigsAltered { resource } => {
            format!("has altered the configs of {}", owner(resource))
        }
        AdminEvent::ConfigsRefused { resource, error } => {
            let owner = owner(resource);
            format!("is refused other configs of {owner}: {}", error.name())
        }
        AdminEvent::ConfigsDescribed { resource, configs } => {
            let one = |c: &DescribedConfig| format!("{}={} ({})", c.name, c.value, c.source.name());
            let all: Vec<String> = configs.iter().map(one).collect();
            match all.is_empty() {
                true => format!("is told that nobody set a config of {}", owner(resource)),
                false => format!("is told of {}: {}", owner(resource), all.join(", ")),
            }
        }
        AdminEvent::Answered { call, error } => answered(call, *error),
        AdminEvent::RecordsDeleted {
            topic,
            partition,
            low_watermark,
        } => format!(
            "knows that every replica of {topic}-{partition} starts at {low_watermark} or later"
        ),
        AdminEvent::DeletionRefused {
            topic,
            partition,
            error,
        } => format!(
            "cannot delete records of {topic}-{partition}: {}",
            error.name()
        ),
        AdminEvent::CallTimedOut { api } => {
            format!("waits for the answer to {api:?} no longer; it may have been done")
        }
    }
}

fn answered(call: &AdminCall, error: ErrorCode) -> String {
    let election = |election: &ElectionType| match election {
        ElectionType::Preferred => "a preferred election",
        ElectionType::Unclean => "an unclean election",
    };
    let what = match call {
        AdminCall::DeleteTopic(TopicRef::Name(name)) => format!("the deletion of {name}"),
        AdminCall::DeleteTopic(TopicRef::Id(_)) => "the deletion of a topic by its id".into(),
        AdminCall::ValidateTopic(name) => format!("the look whether {name} could be created"),
        AdminCall::CreatePartitions { topic, count } => format!("{count} partitions of {topic}"),
        AdminCall::ElectLeader {
            topic,
            partition,
            election: how,
        } => format!("{} of {topic}-{partition}", election(how)),
        AdminCall::ElectLeaders(how) => format!("{} of all partitions", election(how)),
        AdminCall::DescribeConfigs(resource) => format!("the configs of {}", owner(resource)),
    };
    match error {
        ErrorCode::None => format!("is told that {what} is done"),
        error => format!("is refused {what}: {}", error.name()),
    }
}

fn owner(resource: &ConfigResource) -> String {
    match resource {
        ConfigResource::Topic(name) => name.to_string(),
        ConfigResource::Broker(node) => format!("broker-{}", node.0),
        ConfigResource::AllBrokers => "all brokers".into(),
    }
}

/// Kafka's name of what `poll` throws.
fn thrown(error: &ConsumerError) -> String {
    match error {
        ConsumerError::NoOffsetForPartition(_) => "NoOffsetForPartitionException".into(),
        ConsumerError::OffsetOutOfRange(..) => "OffsetOutOfRangeException".into(),
        ConsumerError::LogTruncation { .. } => "LogTruncationException".into(),
        ConsumerError::CorruptRecord(_, offset) => {
            format!("the record at offset {offset} is corrupt")
        }
        ConsumerError::Unexpected(_, error) => error.name().into(),
    }
}

fn failure(failure: SendFailure) -> String {
    match failure {
        SendFailure::Error(error) => error.name().into(),
        SendFailure::DeliveryTimeout => {
            "delivery.timeout.ms ran out; it may still be written".into()
        }
        SendFailure::MetadataTimeout => "max.block.ms ran out while it waited for metadata".into(),
        SendFailure::BufferExhausted => "max.block.ms ran out while it waited for memory".into(),
        SendFailure::RecordTooLarge => "it is too large".into(),
        SendFailure::Closed => "the producer was closed first".into(),
        SendFailure::QueueFull => "the local queue is full".into(),
    }
}

fn range(from: Offset, to: Offset) -> String {
    match to.0 - from.0 {
        0 => format!("at offset {from}"),
        _ => offsets(from, to),
    }
}
