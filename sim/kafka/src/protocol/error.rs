//! Kafka's error codes, by their numbers and names.

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($name:ident = $code:literal $text:literal $kind:ident,)*) => {
        /// What went wrong, as a response says it. `None` (0) means that nothing did.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
        #[allow(missing_docs)] // Kafka's own names say what they are.
        pub enum ErrorCode { #[default] None, $($name,)* }

        impl ErrorCode {
            /// Every code there is, NONE first.
            pub const ALL: &[ErrorCode] = &[ErrorCode::None, $(ErrorCode::$name,)*];

            /// The number on the wire.
            pub fn code(self) -> i16 {
                match self { ErrorCode::None => 0, $(ErrorCode::$name => $code,)* }
            }

            /// Kafka's name in capitals.
            pub fn name(self) -> &'static str {
                match self { ErrorCode::None => "NONE", $(ErrorCode::$name => $text,)* }
            }

            fn kind(self) -> Kind {
                match self { ErrorCode::None => Kind::Final, $(ErrorCode::$name => Kind::$kind,)* }
            }
        }
    };
}

/// What a client does about it: fail, try again, or learn new metadata and try again.
#[derive(PartialEq)]
enum Kind {
    Final,
    Retry,
    Refresh,
}

codes! {
    UnknownServerError = -1 "UNKNOWN_SERVER_ERROR" Final,
    OffsetOutOfRange = 1 "OFFSET_OUT_OF_RANGE" Final,
    CorruptMessage = 2 "CORRUPT_MESSAGE" Retry,
    UnknownTopicOrPartition = 3 "UNKNOWN_TOPIC_OR_PARTITION" Refresh,
    LeaderNotAvailable = 5 "LEADER_NOT_AVAILABLE" Refresh,
    NotLeaderOrFollower = 6 "NOT_LEADER_OR_FOLLOWER" Refresh,
    RequestTimedOut = 7 "REQUEST_TIMED_OUT" Retry,
    ReplicaNotAvailable = 9 "REPLICA_NOT_AVAILABLE" Refresh,
    MessageTooLarge = 10 "MESSAGE_TOO_LARGE" Final,
    NetworkException = 13 "NETWORK_EXCEPTION" Refresh,
    CoordinatorLoadInProgress = 14 "COORDINATOR_LOAD_IN_PROGRESS" Retry,
    CoordinatorNotAvailable = 15 "COORDINATOR_NOT_AVAILABLE" Retry,
    NotCoordinator = 16 "NOT_COORDINATOR" Retry,
    InvalidTopicException = 17 "INVALID_TOPIC_EXCEPTION" Final,
    RecordListTooLarge = 18 "RECORD_LIST_TOO_LARGE" Final,
    NotEnoughReplicas = 19 "NOT_ENOUGH_REPLICAS" Retry,
    NotEnoughReplicasAfterAppend = 20 "NOT_ENOUGH_REPLICAS_AFTER_APPEND" Retry,
    InvalidRequiredAcks = 21 "INVALID_REQUIRED_ACKS" Final,
    InvalidTimestamp = 32 "INVALID_TIMESTAMP" Final,
    UnsupportedVersion = 35 "UNSUPPORTED_VERSION" Final,
    TopicAlreadyExists = 36 "TOPIC_ALREADY_EXISTS" Final,
    InvalidPartitions = 37 "INVALID_PARTITIONS" Final,
    InvalidReplicationFactor = 38 "INVALID_REPLICATION_FACTOR" Final,
    InvalidReplicaAssignment = 39 "INVALID_REPLICA_ASSIGNMENT" Final,
    InvalidConfig = 40 "INVALID_CONFIG" Final,
    NotController = 41 "NOT_CONTROLLER" Retry,
    InvalidRequest = 42 "INVALID_REQUEST" Final,
    PolicyViolation = 44 "POLICY_VIOLATION" Final,
    OutOfOrderSequenceNumber = 45 "OUT_OF_ORDER_SEQUENCE_NUMBER" Final,
    DuplicateSequenceNumber = 46 "DUPLICATE_SEQUENCE_NUMBER" Final,
    InvalidProducerEpoch = 47 "INVALID_PRODUCER_EPOCH" Final,
    InvalidTxnState = 48 "INVALID_TXN_STATE" Final,
    TransactionCoordinatorFenced = 52 "TRANSACTION_COORDINATOR_FENCED" Final,
    KafkaStorageError = 56 "KAFKA_STORAGE_ERROR" Refresh,
    UnknownProducerId = 59 "UNKNOWN_PRODUCER_ID" Final,
    TopicDeletionDisabled = 73 "TOPIC_DELETION_DISABLED" Final,
    FencedLeaderEpoch = 74 "FENCED_LEADER_EPOCH" Refresh,
    UnknownLeaderEpoch = 75 "UNKNOWN_LEADER_EPOCH" Retry,
    StaleBrokerEpoch = 77 "STALE_BROKER_EPOCH" Final,
    OffsetNotAvailable = 78 "OFFSET_NOT_AVAILABLE" Retry,
    PreferredLeaderNotAvailable = 80 "PREFERRED_LEADER_NOT_AVAILABLE" Refresh,
    EligibleLeadersNotAvailable = 83 "ELIGIBLE_LEADERS_NOT_AVAILABLE" Refresh,
    ElectionNotNeeded = 84 "ELECTION_NOT_NEEDED" Refresh,
    InvalidRecord = 87 "INVALID_RECORD" Final,
    InvalidUpdateVersion = 95 "INVALID_UPDATE_VERSION" Final,
    UnknownTopicId = 100 "UNKNOWN_TOPIC_ID" Refresh,
    DuplicateBrokerRegistration = 101 "DUPLICATE_BROKER_REGISTRATION" Final,
    BrokerIdNotRegistered = 102 "BROKER_ID_NOT_REGISTERED" Final,
    InconsistentTopicId = 103 "INCONSISTENT_TOPIC_ID" Refresh,
    IneligibleReplica = 107 "INELIGIBLE_REPLICA" Final,
    NewLeaderElected = 108 "NEW_LEADER_ELECTED" Final,
    InvalidVoterKey = 125 "INVALID_VOTER_KEY" Final,
}

impl ErrorCode {
    /// True for [`ErrorCode::None`].
    pub fn is_none(self) -> bool {
        self == ErrorCode::None
    }

    /// Whether a client tries again by default (kafka-fidelity §0).
    pub fn is_retriable(self) -> bool {
        self.kind() != Kind::Final
    }

    /// Whether it also makes a client ask for new metadata.
    pub fn wants_metadata(self) -> bool {
        self.kind() == Kind::Refresh
    }
}
