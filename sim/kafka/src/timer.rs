//! Every alarm a process can set. Setting one again replaces it; deadlines of single requests live in queues of the
//! parts, and one alarm per part wakes its owner at the earliest.

use crate::ids::ClientId;
use serde::{Deserialize, Serialize};

/// An alarm: what it is for and whose it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Timer {
    /// The metadata log's replica: elections, fetches, check-quorum, append linger. One for all.
    Raft,
    /// The process's own outgoing connections: reconnects, request timeouts, connection set-up.
    Network,
    /// A broker's duty.
    Broker(BrokerTimer),
    /// The active controller's duty.
    Controller(ControllerTimer),
    /// A client inside an application: its next deadline of any kind.
    Client(ClientId),
    /// An application's own logic; the number is the application's.
    App(u16),
}

/// Alarms of a broker.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum BrokerTimer {
    /// Registration retry or the next heartbeat (K-14, K-30).
    Heartbeat,
    /// The next follower fetch, or the end of a back-off, by source broker.
    Fetcher(i32),
    /// The earliest deadline in the produce and fetch purgatories.
    Purgatory,
    /// ISR check, every half `replica.lag.time.max.ms`.
    IsrCheck,
    /// AlterPartition retry after 50 ms.
    AlterPartition,
    /// High watermark checkpoint, every 5 s (L-33).
    HwCheckpoint,
    /// Recovery point checkpoint, every 60 s (L-33).
    RecoveryPoint,
    /// Producer id expiry sweep, every 10 min (L-14).
    ProducerIdExpiry,
    /// Next block of producer ids (P-16).
    ProducerIds,
    /// Directories of deleted topics go (K-24).
    DeleteLogs,
    /// Controlled shutdown gives up (K-19).
    Shutdown,
}

/// Alarms of the active controller.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum ControllerTimer {
    /// Stale broker check, every session/8 (K-17).
    StaleBrokers,
    /// NoOp record every 500 ms (K-12).
    NoOp,
    /// Preferred leader sweep, every 300 s.
    PreferredElection,
    /// Unclean election sweep, every 300 s.
    UncleanElection,
}
