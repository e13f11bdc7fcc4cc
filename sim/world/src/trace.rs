//! The trace: numbered facts with their causes, and a rolling hash over every field of every one.
//!
//! A run keeps only the hash unless somebody asks for the records; asking changes nothing.

use crate::digest;
use crate::fault::Fault;
use crate::process::{Down, ProcessId};
use klab_kafka::disk::{DiskError, FileId};
use klab_kafka::event::Event;
use klab_kafka::ids::{ConnId, CorrelationId};
use klab_kafka::input::Closed;
use klab_kafka::protocol::{Api, ErrorCode};
use klab_kafka::time::Time;
use klab_kafka::timer::Timer;
use serde::Serialize;

/// One numbered fact.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Record<W = What> {
    /// Its number, from 1.
    pub seq: u64,
    /// When, since boot.
    pub at: Time,
    /// At which process; none for the world's own.
    pub process: Option<ProcessId>,
    /// The record that led to it. For an input that came over a connection: the record of its sending.
    pub cause: Option<u64>,
    /// What; borrowed, as long as nobody needs the record itself.
    pub what: W,
}

/// What a record says; `E` is borrowed as long as nobody needs the record itself.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub enum What<E = Event> {
    /// A process handles an input; what it does then has this record as its cause.
    Handled(Handled),
    /// A process sent a request or a response.
    Sent {
        /// To whom.
        to: ProcessId,
        /// On which connection.
        conn: ConnId,
        /// Which request.
        id: CorrelationId,
        /// Which API.
        api: Api,
        /// A response; else a request.
        response: bool,
        /// Its size in bytes.
        size: u64,
    },
    /// A process told a fact.
    Told(E),
    /// A process began or ended.
    Process(ProcessFact),
    /// A fault was applied or lifted.
    Fault {
        /// The step it came from.
        step: u64,
        /// What.
        fault: Fault<Box<[ProcessId]>>,
        /// Lifted; else applied.
        lifted: bool,
    },
    /// A step of the scenario matched nothing when its time came.
    StepMissed {
        /// Which.
        step: u64,
    },
    /// The run entered a phase.
    Phase(Phase),
    /// A request was answered with an error in its server's place, which never saw it.
    Answered {
        /// To whom.
        to: ProcessId,
        /// On which connection.
        conn: ConnId,
        /// Which request.
        id: CorrelationId,
        /// Which API.
        api: Api,
        /// With which error.
        error: ErrorCode,
        /// The step of the fault.
        step: u64,
    },
}

/// What a process handles, without its contents: those follow from what was sent.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
#[allow(missing_docs)] // As in `Input`.
pub enum Handled {
    Opened {
        conn: ConnId,
        peer: ProcessId,
    },
    Closed {
        conn: ConnId,
        why: Closed,
    },
    Request {
        conn: ConnId,
        id: CorrelationId,
        api: Api,
        from: ProcessId,
    },
    Response {
        conn: ConnId,
        id: CorrelationId,
        api: Api,
        from: ProcessId,
    },
    Sent {
        conn: ConnId,
        id: CorrelationId,
    },
    Timer(Timer),
    Synced {
        file: FileId,
        result: Result<(), DiskError>,
    },
    Command,
    Stop,
}

/// Beginnings and ends of processes.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub enum ProcessFact {
    /// It runs.
    Started {
        /// For the how manieth time, from 1.
        start: u32,
    },
    /// It does not run any more.
    Ended {
        /// Why.
        how: Down,
        /// How many batches its disk lost with it.
        batches_lost: u64,
    },
    /// Its disk was replaced by an empty one.
    DiskReplaced {
        /// How many batches were on it.
        batches_lost: u64,
    },
    /// It takes no input until it is resumed.
    Paused,
    /// It goes on.
    Resumed,
}

/// The phases of a run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub enum Phase {
    /// The cluster starts and the topics are created.
    Booting,
    /// The workload runs and steps are fired.
    Running,
    /// Faults are lifted; the run waits for quiet.
    Healing,
    /// A fresh reader reads everything.
    Reading,
    /// Over.
    Done,
}

/// The records of a run, or only their hash.
#[derive(Clone, Debug)]
pub struct Trace {
    hash: u64,
    next: u64,
    keep: bool,
    kept: Vec<Record>,
}

impl Trace {
    /// An empty trace; `keep` keeps the records.
    pub fn new(keep: bool) -> Trace {
        Trace {
            hash: 0,
            next: 1,
            keep,
            kept: Vec::new(),
        }
    }

    /// The number that the next record gets.
    pub fn next_seq(&self) -> u64 {
        self.next
    }

    /// Whether records are kept.
    pub fn is_kept(&self) -> bool {
        self.keep
    }

    /// Takes a fact into the hash, which must have the next number.
    pub fn count_in<W: Serialize>(&mut self, record: &Record<W>) {
        assert_eq!(record.seq, self.next, "facts are numbered in a row");
        self.next += 1;
        self.hash = digest::roll(self.hash, record);
    }

    /// Takes in a fact, which must have the next number.
    pub fn push(&mut self, record: &Record<&What>) {
        self.count_in(record);
        if self.keep {
            self.kept.push(Record {
                seq: record.seq,
                at: record.at,
                process: record.process,
                cause: record.cause,
                what: record.what.clone(),
            });
        }
    }

    /// The hash over all records so far.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// How many records there have been.
    pub fn count(&self) -> u64 {
        self.next - 1
    }

    /// The records kept, in order.
    pub fn records(&self) -> &[Record] {
        &self.kept
    }

    /// Takes the kept records out, so that a checkpoint need not copy them.
    pub fn take_records(&mut self) -> Vec<Record> {
        std::mem::take(&mut self.kept)
    }

    /// Keeps records from now on, or no longer.
    pub fn keep(&mut self, keep: bool) {
        self.keep = keep;
    }
}
