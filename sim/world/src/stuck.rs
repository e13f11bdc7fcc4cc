//! What a mended run still lacks when its time is up, and why: every lack with one reason of a closed list, computed from
//! the tape's harms, from what else is lacking and from the times that the file gives. A lack for which there is none
//! breaks the promise of progress.
//!
//! What is left out: how a lack came about step by step; `klab why --event` tells that.

use crate::app::App;
use crate::fault::{Fault, Realised};
use crate::line::Lexicon;
use crate::process::{Process, ProcessId};
use crate::scenario::{Lasts, READER};
use crate::select;
use crate::steps::Taped;
use crate::view::View;
use crate::world::World;
use klab_kafka::ids::{NodeId, Offset};
use serde::Serialize;
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

/// All that is lacking.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct Stuck {
    /// In the order in which one thing stands on another.
    pub lacks: Vec<Lack>,
}

/// One thing that is lacking.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Lack {
    /// What.
    pub what: Missing,
    /// Why; none is a break of a promise.
    pub because: Option<Reason>,
}

/// What can be lacking.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub enum Missing {
    /// No controller runs.
    Controller,
    /// This broker is not unfenced.
    Broker(Arc<str>),
    /// This topic does not exist.
    Topic(Arc<str>),
    /// This partition has no leader.
    Leader(Arc<str>),
    /// This partition's ISR is not full.
    InSync {
        /// The partition.
        partition: Arc<str>,
        /// How many are in the ISR.
        isr: u32,
        /// How many there should be.
        replicas: u32,
    },
    /// This application has a send that is not resolved.
    Send {
        /// The application.
        app: Arc<str>,
        /// The partitions of its open batches.
        partitions: Vec<Arc<str>>,
    },
    /// This operator has a command that is neither answered nor given up.
    Command(Arc<str>),
    /// This partition is not read to its end.
    Read(Arc<str>),
    /// The reader does not run.
    Reader,
    /// The run went on for the longest time that any may.
    End,
}

/// Why something is lacking: there are no other reasons.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub enum Reason {
    /// A harm that lasts for ever keeps this process from its work, or from those with whom it works.
    Harmed {
        /// Whom.
        who: Arc<str>,
        /// The harm as a sentence.
        harm: String,
    },
    /// Most voters lost their disks, and the metadata log with them.
    QuorumForgot {
        /// The last of the harms as a sentence.
        harm: String,
    },
    /// It waits for a partition that has no leader.
    NoLeader {
        /// The partition.
        partition: Arc<str>,
    },
    /// From this offset to its end the log holds nothing: compaction took it all, for what came later, and that was cut off by
    /// an election. Kafka's consumer cannot get past it before something is written (an empty answer moves no position).
    NothingThere {
        /// Where the reader stands.
        from: Offset,
    },
    /// The application has records that were not due when the end began.
    NotAllDue,
    /// The application waits for its answers, which come one after the other, and has more to send.
    StillSending,
    /// The file gives less time than the longest timeout in force asks for.
    TooLittleTime,
}

impl Stuck {
    /// One thing that nothing explains.
    pub fn of(what: Missing) -> Stuck {
        Stuck {
            lacks: vec![Lack {
                what,
                because: None,
            }],
        }
    }

    /// Whether something is lacking without a reason.
    pub fn is_unexplained(&self) -> bool {
        self.lacks.iter().any(|lack| lack.because.is_none())
    }
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, lack) in self.lacks.iter().enumerate() {
            let between = if i == 0 { "" } else { "; " };
            write!(f, "{between}{}", lack.what)?;
            match &lack.because {
                Some(reason) => write!(f, " ({reason})")?,
                None => f.write_str(" (nothing on the tape explains it)")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Missing::Controller => f.write_str("no controller runs"),
            Missing::Broker(name) => write!(f, "{name} is not unfenced"),
            Missing::Topic(name) => write!(f, "topic {name} does not exist"),
            Missing::Leader(partition) => write!(f, "{partition} has no leader"),
            Missing::InSync {
                partition,
                isr,
                replicas,
            } => write!(f, "{partition} has {isr} of {replicas} replicas in sync"),
            Missing::Send { app, partitions } if partitions.is_empty() => {
                write!(f, "a send of {app} is unresolved")
            }
            Missing::Send { app, partitions } => {
                write!(
                    f,
                    "a send of {app} to {} is unresolved",
                    partitions.join(", ")
                )
            }
            Missing::Command(operator) => write!(f, "a command of {operator} is pending"),
            Missing::Read(partition) => write!(f, "{partition} is not read to its end"),
            Missing::Reader => f.write_str("the reader does not run"),
            Missing::End => f.write_str("the run went on for 100 virtual days"),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Harmed { who, harm } => write!(f, "{who} is harmed for ever: {harm}"),
            Reason::QuorumForgot { harm } => {
                write!(f, "most controllers lost the metadata log: {harm}")
            }
            Reason::NoLeader { partition } => write!(f, "{partition} has no leader"),
            Reason::NothingThere { from } => write!(
                f,
                "from offset {from} to its end the log holds nothing that could be read"
            ),
            Reason::NotAllDue => f.write_str("`end.at` comes before its last record is due"),
            Reason::StillSending => {
                f.write_str("it waits for answers, which come, and has more to send than `end.at` leaves time for")
            }
            Reason::TooLittleTime => {
                f.write_str("`end.within` is less than twice the longest timeout in force")
            }
        }
    }
}

impl World {
    /// What is lacking until the reader can come, each with its reason.
    pub(crate) fn what_is_missing(&self) -> Stuck {
        let brokers = self.missing_brokers().into_iter().map(|b| {
            let who = View::new(self).process_of(b);
            let name = format!("broker-{b}").into();
            (Missing::Broker(name), who.into_iter().collect::<Vec<_>>())
        });
        let topics = self.missing_topics().into_iter();
        let topics = topics.map(|t| (Missing::Topic(t), Vec::new()));
        let partitions = self.lacking_partitions();
        let all = brokers.chain(topics).chain(partitions);
        let mut stuck = Stuck {
            lacks: all.map(|(what, who)| self.lack(what, &who)).collect(),
        };
        for (p, app) in self.unfinished_apps() {
            stuck.lacks.push(self.open_sends(p, app));
        }
        for p in self.busy_operators() {
            let what = Missing::Command(self.names.of(p).into());
            stuck.lacks.push(self.lack(what, &[p]));
        }
        stuck
    }

    /// What the reader has not read to the end, each with its reason.
    pub(crate) fn what_is_unread(&self) -> Stuck {
        let reader = self.named(READER);
        let lacks = match &self.machines[reader.index()].process {
            Some(Process::App(app)) => {
                let unread = app.unread().into_iter().map(|(p, at)| {
                    let name: Arc<str> = format!("{}-{}", p.topic, p.partition).into();
                    let what = Missing::Read(name.clone());
                    let nothing = || self.nothing_behind(&p.topic, p.partition, at?);
                    match self.without_leader(&name).or_else(nothing) {
                        None => self.lack(what, &[reader]),
                        because => Lack { what, because },
                    }
                });
                unread.collect()
            }
            _ => vec![self.lack(Missing::Reader, &[reader])],
        };
        Stuck { lacks }
    }

    /// Partitions without a leader or without a full ISR, each with those on whom that depends.
    pub(crate) fn lacking_partitions(&self) -> Vec<(Missing, Vec<ProcessId>)> {
        let view = View::new(self);
        let Some(image) = view.image() else {
            return vec![(Missing::Controller, Vec::new())];
        };
        let gone = self.gone_for_ever();
        let all = image.topics.values().flat_map(|topic| {
            let partitions = topic.partitions.iter();
            partitions.map(move |(i, p)| (&topic.name, i, p))
        });
        let lacking = all.filter_map(|(topic, i, p)| {
            // Only what lacks something needs a name: this is looked at often.
            let name = || Arc::<str>::from(format!("{topic}-{i}"));
            let processes = |nodes: &[NodeId]| -> Vec<ProcessId> {
                nodes.iter().filter_map(|n| view.process_of(*n)).collect()
            };
            let Some(leader) = p.leader else {
                return Some((Missing::Leader(name()), processes(&p.isr)));
            };
            let is_out = |n: &&NodeId| !p.isr.contains(n) && !gone.contains(n);
            let out: Vec<NodeId> = p.replicas.iter().filter(is_out).copied().collect();
            if out.is_empty() {
                return None;
            }
            let what = Missing::InSync {
                partition: name(),
                isr: p.isr.len() as u32,
                replicas: p.replicas.len() as u32,
            };
            let on = processes(&[&out[..], &[leader]].concat());
            Some((what, on))
        });
        lacking.collect()
    }

    /// A lack that depends on these processes.
    fn lack(&self, what: Missing, on: &[ProcessId]) -> Lack {
        let harmed = || on.iter().find_map(|p| self.harmed_for_ever(*p));
        let because = harmed()
            .or_else(|| self.voters_harmed())
            .or_else(|| self.forgetting())
            .or_else(|| self.too_little_time());
        Lack { what, because }
    }

    fn open_sends(&self, p: ProcessId, app: &App) -> Lack {
        let partitions = app.unresolved();
        let waits = partitions.iter().find_map(|name| self.without_leader(name));
        let what = Missing::Send {
            app: self.names.of(p).into(),
            partitions,
        };
        if app.has_more_to_send() {
            let because = Some(Reason::NotAllDue);
            return Lack { what, because };
        }
        if app.goes_on_sending(self.now) {
            let because = Some(Reason::StillSending);
            return Lack { what, because };
        }
        match waits {
            None => self.lack(what, &[p]),
            because => Lack { what, because },
        }
    }

    fn without_leader(&self, partition: &Arc<str>) -> Option<Reason> {
        let is_it = |(what, _): &(Missing, _)| *what == Missing::Leader(partition.clone());
        let partition = partition.clone();
        let found = self.lacking_partitions().iter().any(is_it);
        found.then_some(Reason::NoLeader { partition })
    }

    /// Whether a leader's log holds no batch from an offset on, although it ends later: answers to a fetch are empty then,
    /// and leave the reader where it is.
    fn nothing_behind(&self, topic: &str, partition: i32, from: Offset) -> Option<Reason> {
        let view = View::new(self);
        let id = view.partition(topic, partition)?;
        let leader = view.process_of(view.image()?.partition(id)?.leader?)?;
        let mut batches = view.disk(leader).batches(id);
        let is_there = batches.any(|b| b.end_offset() > from);
        (!is_there).then_some(Reason::NothingThere { from })
    }

    fn harmed_for_ever(&self, p: ProcessId) -> Option<Reason> {
        let mut ever = self.steps.active().iter();
        let harm = ever.find(|(_, fault, lasts)| *lasts == Lasts::Ever && touches(fault, p));
        harm.map(|(_, fault, _)| Reason::Harmed {
            who: self.names.of(p).into(),
            harm: Lexicon::of(View::new(self)).fault(fault),
        })
    }

    /// A harm for ever to a majority of the voters leaves nobody who decides.
    fn voters_harmed(&self) -> Option<Reason> {
        let voters = select::controllers(&self.names);
        let harmed: Vec<Reason> = voters
            .iter()
            .filter_map(|p| self.harmed_for_ever(*p))
            .collect();
        let is_majority = harmed.len() > voters.len() / 2;
        harmed.into_iter().next().filter(|_| is_majority)
    }

    /// Whether most voters had their disks replaced.
    fn forgetting(&self) -> Option<Reason> {
        let takes_disks = |taped: &Taped| match taped {
            Taped::Fault(fault @ Fault::DiskLoss { who }, _) => Some((fault.clone(), who.to_vec())),
            _ => None,
        };
        let tape = self.tape();
        let losses: Vec<(Realised, Vec<ProcessId>)> =
            tape.iter().filter_map(|e| takes_disks(&e.what)).collect();
        let voters = select::controllers(&self.names);
        let lost = |p: &&ProcessId| losses.iter().any(|(_, who)| who.contains(p));
        let is_majority = voters.iter().filter(lost).count() > voters.len() / 2;
        let of_voters = |who: &[ProcessId]| who.iter().any(|p| voters.contains(p));
        let last = losses.iter().rev().find(|(_, who)| of_voters(who));
        last.filter(|_| is_majority)
            .map(|(fault, _)| Reason::QuorumForgot {
                harm: Lexicon::of(View::new(self)).fault(fault),
            })
    }

    fn too_little_time(&self) -> Option<Reason> {
        let scenario = self.scenario();
        let asked = scenario.longest_timeout();
        (scenario.quiet_within() < asked + asked).then_some(Reason::TooLittleTime)
    }
}

/// Whether a harm can keep a process from getting on. What a wall clock says keeps nobody.
fn touches(fault: &Realised, p: ProcessId) -> bool {
    let mut found = false;
    let Ok(_) = fault.map(|who| {
        found |= who.contains(&p);
        Ok::<(), Infallible>(())
    });
    found && !matches!(fault, Fault::Clock { .. } | Fault::Drift { .. })
}
