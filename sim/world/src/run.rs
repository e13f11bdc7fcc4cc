//! The course of a run: boot, ready, workload and steps, healing, the reader, the end.
//!
//! Ready is when all brokers are unfenced and every topic has its leaders and full ISRs, as the active controller has
//! committed it; that instant is time 0 of workload and steps.

use crate::app::{App, Source};
use crate::process::{Coming, Pending, Process, ProcessId};
use crate::scenario::operation::Operation;
use crate::scenario::{ADMIN, Heal, Lasts, READER, ScenarioTime};
use crate::steps::{Entry, Steps};
use crate::stuck::{Missing, Stuck};
use crate::trace::{Phase, What};
use crate::view::View;
use crate::world::World;
use klab_kafka::client::consumer::positions::TopicPartition;
use klab_kafka::ids::NodeId;
use klab_kafka::input::Command;
use klab_kafka::protocol::admin::CreatableTopic;
use klab_kafka::time::{Duration, Time};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How long the cluster may take to be ready.
const READY_WITHIN: Duration = Duration::secs(60);
/// How often the run looks whether its next phase can begin.
const LOOK: Duration = Duration::millis(10);
/// While a run is mended, who gave up is started again so often.
const SUPERVISED_EVERY: Duration = Duration::secs(1);
/// A run that goes on so long is stopped.
const LONGEST: Time = Time(100 * 86_400 * 1_000_000_000);

/// Where a run stands.
#[derive(Clone, Debug)]
pub struct Run {
    /// The phase.
    pub phase: Phase,
    /// When it was ready.
    pub ready: Option<Time>,
    /// When healing began.
    pub healing: Option<Time>,
    /// By when all must be quiet and read, once healing has begun.
    deadline: Option<Time>,
    /// What was missing when a deadline passed.
    pub stuck: Option<Stuck>,
    /// Steps that matched nothing and were not optional.
    pub missed: Vec<u64>,
    asked_for_topics: bool,
    sources: BTreeMap<ProcessId, Source>,
    to_read: Vec<TopicPartition>,
    /// What is done comes from here instead of the scenario's steps.
    tape: Option<Arc<Vec<Entry>>>,
}

impl Default for Run {
    fn default() -> Run {
        Run {
            phase: Phase::Booting,
            ready: None,
            healing: None,
            deadline: None,
            asked_for_topics: false,
            stuck: None,
            missed: Vec::new(),
            sources: BTreeMap::new(),
            to_read: Vec::new(),
            tape: None,
        }
    }
}

impl Run {
    /// A run at its beginning, perhaps with a tape.
    pub fn of(tape: Option<Arc<Vec<Entry>>>) -> Run {
        Run {
            tape,
            ..Run::default()
        }
    }

    /// A step matched nothing.
    pub fn missed(&mut self, step: u64, optional: bool) {
        if !optional {
            self.missed.push(step);
        }
    }

    /// What an application's source remembers after its process ended.
    pub fn remember(&mut self, p: ProcessId, source: Source) {
        self.sources.insert(p, source);
    }

    /// What the fresh reader reads.
    pub fn to_read(&self) -> Vec<TopicPartition> {
        self.to_read.clone()
    }

    /// What its next start finds there.
    pub fn source(&self, p: ProcessId) -> Source {
        self.sources.get(&p).cloned().unwrap_or_default()
    }
}

impl World {
    /// Starts all machines and asks for the topics.
    pub(crate) fn begin(&mut self) {
        self.tell_world(What::Phase(Phase::Booting));
        let names = self.names.iter();
        let all: Vec<ProcessId> = names
            .filter(|(_, name)| &***name != READER)
            .map(|(p, _)| p)
            .collect();
        for p in all {
            self.start(p, 0);
        }
        self.look_again(LOOK);
    }

    /// Asks for the topics, once all brokers are there to take their share of the replicas.
    fn ask_for_topics(&mut self) {
        self.run.asked_for_topics = true;
        let input = Coming::Command(Command::CreateTopics(self.wanted_topics()));
        self.come(self.named(ADMIN), Pending { cause: 0, input });
    }

    /// A process that every run has.
    pub(crate) fn named(&self, name: &str) -> ProcessId {
        self.names.find(name).expect("every run has one")
    }

    /// The time of the run since it was ready; before that, since boot and negative.
    pub fn scenario_time(&self, t: Time) -> ScenarioTime {
        let ready = self.run.ready.map_or(0, |r| r.0);
        ScenarioTime(t.0 as i64 - ready as i64)
    }

    pub(crate) fn look_at_phase(&mut self) {
        if self.run.phase == Phase::Healing && self.is_time_to_supervise() {
            self.start_who_gave_up();
        }
        match self.run.phase {
            Phase::Booting if !self.run.asked_for_topics && self.missing_brokers().is_empty() => {
                self.ask_for_topics()
            }
            Phase::Booting if self.is_ready() => self.become_ready(),
            Phase::Booting if self.now() > Time(0) + READY_WITHIN => {
                self.give_up(self.what_is_missing())
            }
            Phase::Running => return self.heal_when_due(),
            Phase::Healing if self.is_quiet() => self.let_read(),
            Phase::Healing if self.is_overdue() => self.give_up(self.what_is_missing()),
            Phase::Reading if self.all_is_read() => self.enter(Phase::Done),
            Phase::Reading if self.is_overdue() => self.end_reading(),
            Phase::Done => return,
            _ => {}
        }
        if self.now() > LONGEST {
            self.give_up(Stuck::of(Missing::End));
        }
        self.look_again(LOOK);
    }

    /// An operator makes a call.
    pub(crate) fn command(&mut self, operation: &Operation) {
        let input = Coming::Command(Command::Call(operation.ask()));
        self.come(self.named(ADMIN), Pending { cause: 0, input });
    }

    fn wanted_topics(&self) -> Vec<CreatableTopic> {
        let topic = |(name, plan): (&Arc<str>, &crate::scenario::TopicPlan)| CreatableTopic {
            name: name.clone(),
            num_partitions: plan.replicas.is_none().then_some(plan.partitions),
            replication_factor: plan.replicas.is_none().then_some(plan.replication_factor),
            assignments: plan.replicas.clone().unwrap_or_default(),
            configs: plan
                .config
                .iter()
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect(),
        };
        let wanted = self.scenario().topics.iter().filter(|(_, t)| !t.later);
        wanted.map(topic).collect()
    }

    fn enter(&mut self, phase: Phase) {
        self.run.phase = phase;
        self.tell_world(What::Phase(phase));
    }

    fn become_ready(&mut self) {
        self.run.ready = Some(self.now());
        self.enter(Phase::Running);
        let scenario = Arc::new(self.scenario().clone());
        let mut steps = Steps::default();
        let ready = self.now();
        let (streams, names) = (&mut self.streams, &self.names);
        match &self.run.tape {
            Some(tape) => steps.arm_tape(tape),
            None => steps.arm(&scenario, ready, |step, below| {
                streams.below(crate::streams::Stream::Step(step), below, names)
            }),
        }
        self.steps = steps;
        self.look_again(scenario.end.at);
        for p in self.apps() {
            self.come(
                p,
                Pending {
                    cause: 0,
                    input: Coming::Command(Command::Start),
                },
            );
        }
    }

    /// The end begins at a time that the scenario fixes, whatever its steps are.
    fn heal_when_due(&mut self) {
        let due = self.run.ready.map(|r| r + self.scenario().end.at);
        if due.is_some_and(|due| self.now() >= due) {
            self.heal();
            self.look_again(LOOK);
        }
    }

    fn heal(&mut self) {
        self.run.healing = Some(self.now());
        self.run.deadline = Some(self.now() + self.scenario().quiet_within());
        self.enter(Phase::Healing);
        if self.scenario().end.heal == Heal::All {
            for (step, fault) in self.steps.heal() {
                self.lift(step, &fault);
            }
            let kept_down: Vec<ProcessId> = self.steps.kept_down();
            self.start_all(&kept_down);
        }
    }

    fn give_up(&mut self, why: Stuck) {
        self.run.stuck = Some(why);
        self.enter(Phase::Done);
    }

    fn apps(&self) -> Vec<ProcessId> {
        let is_app = |(p, m): (ProcessId, &crate::process::Machine)| {
            matches!(m.process, Some(Process::App(_))).then_some(p)
        };
        View::new(self).machines().filter_map(is_app).collect()
    }

    fn is_ready(&self) -> bool {
        self.missing_brokers().is_empty()
            && self.missing_topics().is_empty()
            && self.lacking_partitions().is_empty()
    }

    /// Running applications with records that are to be sent, or whose sends are not resolved.
    pub(crate) fn unfinished_apps(&self) -> impl Iterator<Item = (ProcessId, &App)> {
        let unfinished = |p: ProcessId| match &self.machines[p.index()].process {
            Some(Process::App(app)) if !app.is_finished() => Some((p, &**app)),
            _ => None,
        };
        self.names.iter().filter_map(move |(p, _)| unfinished(p))
    }

    /// Operators whose commands are neither answered nor given up.
    pub(crate) fn busy_operators(&self) -> impl Iterator<Item = ProcessId> {
        let is_busy = |p: &ProcessId| match &self.machines[p.index()].process {
            Some(Process::Admin(admin)) => !admin.is_idle(),
            _ => false,
        };
        self.names.iter().map(|(p, _)| p).filter(is_busy)
    }

    fn is_quiet(&self) -> bool {
        self.scenario().end.heal == Heal::None
            || (self.unfinished_apps().next().is_none()
                && self.busy_operators().next().is_none()
                && self.is_ready())
    }

    fn is_time_to_supervise(&self) -> bool {
        let mended_for = self.run.healing.map(|since| self.now().since(since));
        mended_for.is_some_and(|d| d.0 % SUPERVISED_EVERY.0 < LOOK.0)
    }

    fn is_overdue(&self) -> bool {
        self.run.deadline.is_some_and(|at| self.now() > at)
    }

    /// A fresh reader reads everything.
    fn let_read(&mut self) {
        self.run.to_read = self.all_partitions();
        self.enter(Phase::Reading);
        self.start(self.named(READER), 0);
    }

    /// Every partition that there is now, by name and in order.
    fn all_partitions(&self) -> Vec<TopicPartition> {
        let image = View::new(self).image();
        let named = image.into_iter().flat_map(|image| {
            let topics = image.names.iter();
            topics.flat_map(|(name, id)| {
                let partitions = image.topics[id].partitions.keys();
                partitions.map(|p| TopicPartition {
                    topic: name.clone(),
                    partition: *p,
                })
            })
        });
        named.collect()
    }

    fn all_is_read(&self) -> bool {
        match &self.machines[self.named(READER).index()].process {
            Some(Process::App(app)) => app.unread().is_empty(),
            _ => false,
        }
    }

    /// Where faults may last, there may be nothing to read from.
    fn end_reading(&mut self) {
        match self.scenario().end.heal {
            Heal::All => self.give_up(self.what_is_unread()),
            Heal::None => self.enter(Phase::Done),
        }
    }

    /// Brokers that are not unfenced and that no fault keeps away for ever.
    pub(crate) fn missing_brokers(&self) -> Vec<NodeId> {
        let image = View::new(self).image();
        let is_unfenced = |n: &NodeId| {
            image
                .and_then(|i| i.brokers.get(n))
                .is_some_and(|b| !b.fenced)
        };
        let gone = self.gone_for_ever();
        (1..=self.scenario().cluster.brokers as i32)
            .map(NodeId)
            .filter(|n| !is_unfenced(n) && !gone.contains(n))
            .collect()
    }

    /// Brokers that a fault for ever has struck: nobody waits for them.
    pub(crate) fn gone_for_ever(&self) -> Vec<NodeId> {
        let struck = |p: ProcessId| {
            let ever = self.steps.active().iter();
            let mut ever = ever.filter(|(_, _, lasts)| *lasts == Lasts::Ever);
            ever.any(|(_, fault, _)| fault.strikes(p))
        };
        let view = View::new(self);
        (1..=self.scenario().cluster.brokers as i32)
            .map(NodeId)
            .filter(|n| view.process_of(*n).is_some_and(struck))
            .collect()
    }

    pub(crate) fn missing_topics(&self) -> Vec<Arc<str>> {
        let image = View::new(self).image();
        let exists = |name: &Arc<str>| image.is_some_and(|i| i.names.contains_key(name));
        // Once they were there, only an operator takes them away.
        if self.run.ready.is_some() {
            return Vec::new();
        }
        let wanted = self.scenario().topics.iter().filter(|(_, t)| !t.later);
        wanted
            .map(|(name, _)| name)
            .filter(|n| !exists(n))
            .cloned()
            .collect()
    }
}
