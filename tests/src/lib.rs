//! Cluster stories: tests speak through [`Cluster`], in the words an operator would use.
//!
//! A story names nodes by role, does harm, and waits for conditions, never for durations. A wait that lasts too long
//! panics with what it waited for and how to replay the run.

use klab_kafka::broker::Broker;
use klab_kafka::config::{Configs, ProducerConfig, ServerConfig};
use klab_kafka::controller::records::PartitionRegistration;
use klab_kafka::event::{ClientEvent, Event, SendFailure};
use klab_kafka::ids::{LeaderEpoch, NodeId, Offset, RecordId, TopicIdPartition};
use klab_kafka::log::Log;
use klab_kafka::protocol::Api;
use klab_kafka::time::{Duration, Time};
use klab_world::disks::Keep;
use klab_world::fault::{Fault, Intercept, Realised};
use klab_world::process::{Process, ProcessId};
use klab_world::scenario::operation::Operation;
use klab_world::scenario::quantity::{Range, Rate};
use klab_world::scenario::{EndPlan, Lasts, ProducerPlan, Scenario, TopicPlan};
use klab_world::trace::{Handled, Phase, Record, What};
use klab_world::view::View;
use klab_world::world::{Watch, World};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A message that a test lies in wait for.
pub type Message = Intercept<Box<[ProcessId]>>;

/// The next Produce request from one to the other.
pub fn produce_request(from: ProcessId, to: ProcessId) -> Message {
    Intercept {
        api: Api::Produce,
        response: false,
        from: [from].into(),
        to: [to].into(),
        nth: 1,
    }
}

/// The next answer from one to the other's Produce requests.
pub fn produce_response(from: ProcessId, to: ProcessId) -> Message {
    Intercept {
        response: true,
        ..produce_request(from, to)
    }
}

/// The topic of a story: one partition on all brokers, led by one of them.
pub const TOPIC: &str = "orders";

/// How long a story waits for a condition, in virtual time.
const PATIENCE: Duration = Duration::secs(400);

/// What a story starts from.
#[derive(Clone)]
pub struct Setting {
    /// The scenario: three controllers, three brokers, one partition on all of them, `shop` sends to it.
    pub scenario: Scenario,
    /// The seed.
    pub seed: u64,
}

impl Default for Setting {
    fn default() -> Setting {
        let mut scenario = Scenario::tracer();
        scenario.title = "a story".into();
        scenario.cluster.brokers = 3;
        scenario.cluster.controllers = 3;
        scenario.end = EndPlan {
            at: Duration::secs(3_600),
            ..scenario.end
        };
        let topic = TopicPlan {
            partitions: 1,
            replication_factor: 3,
            replicas: Some(vec![vec![NodeId(1), NodeId(2), NodeId(3)]]),
            config: [("min.insync.replicas".into(), "2".into())].into(),
            later: false,
        };
        scenario.topics = [(TOPIC.into(), topic)].into();
        let mut setting = Setting { scenario, seed: 1 };
        setting.shop().records = 100_000;
        setting.shop().rate = Rate {
            count: 20,
            per_ns: 1_000_000_000,
        };
        setting
    }
}

impl Setting {
    /// The application that sends.
    pub fn shop(&mut self) -> &mut ProducerPlan {
        self.scenario
            .producers
            .get_mut("shop")
            .expect("a story has a shop")
    }

    /// The topic.
    pub fn topic(&mut self) -> &mut TopicPlan {
        self.scenario
            .topics
            .get_mut(TOPIC)
            .expect("a story has a topic")
    }

    /// Changes a setting of the shop's producer.
    pub fn producer(mut self, key: &str, value: &str) -> Setting {
        let config: &mut ProducerConfig = &mut self.shop().config;
        config
            .set(key, value)
            .unwrap_or_else(|e| panic!("{key}={value}: {e:?}"));
        self
    }

    /// Changes a setting of the topic.
    pub fn topic_config(mut self, key: &str, value: &str) -> Setting {
        self.topic().config.insert(key.into(), value.into());
        self
    }

    /// Changes a setting of all servers.
    pub fn server(mut self, key: &str, value: &str) -> Setting {
        let config: &mut ServerConfig = &mut self.scenario.cluster.config;
        config
            .set(key, value)
            .unwrap_or_else(|e| panic!("{key}={value}: {e:?}"));
        self
    }

    /// Where the topic's partitions lie, the preferred leader of each first.
    pub fn replicas(mut self, of: &[&[i32]]) -> Setting {
        let nodes = |partition: &&[i32]| partition.iter().map(|n| NodeId(*n)).collect();
        self.topic().partitions = of.len() as i32;
        self.topic().replicas = Some(of.iter().map(nodes).collect());
        self
    }

    /// How many different keys the shop's records have.
    pub fn keys(mut self, keys: u32) -> Setting {
        self.shop().keys = Some(keys);
        self
    }

    /// The size of a record's value.
    pub fn size(mut self, bytes: u32) -> Setting {
        self.shop().size = Range {
            min: bytes,
            max: bytes,
        };
        self
    }

    /// How many records the shop sends, and how many a second.
    pub fn sends(mut self, records: u32, per_second: u32) -> Setting {
        self.shop().records = records;
        self.shop().rate = Rate {
            count: per_second,
            per_ns: 1_000_000_000,
        };
        self
    }

    /// The latency of all links.
    pub fn latency(mut self, min: Duration, max: Duration) -> Setting {
        self.scenario.network.latency = Range {
            min: min.0,
            max: max.0,
        };
        self
    }

    /// Begins the story: boots, creates the topic, and waits until the run is ready.
    pub fn begin(self) -> Cluster {
        let watch = Watch {
            records: true,
            checkers: true,
        };
        let world = World::new(Arc::new(self.scenario), self.seed, watch);
        let mut cluster = Cluster { world };
        cluster.run_until("the run is ready", |c| c.world.phase() != Phase::Booting);
        cluster
    }
}

/// A cluster in a story.
pub struct Cluster {
    /// The run.
    pub world: World,
}

impl Cluster {
    /// A view of the state.
    pub fn view(&self) -> View<'_> {
        View::new(&self.world)
    }

    /// A process by name.
    pub fn process(&self, name: &str) -> ProcessId {
        self.view()
            .names()
            .find(name)
            .unwrap_or_else(|| panic!("no process is called {name}"))
    }

    /// A process's name.
    pub fn name(&self, p: ProcessId) -> &str {
        self.view().names().of(p)
    }

    /// The partition of the story.
    pub fn partition(&self) -> TopicIdPartition {
        self.view()
            .partition(TOPIC, 0)
            .expect("the topic exists once the run is ready")
    }

    /// How a partition is registered with the active controller.
    pub fn registration(&self, partition: i32) -> &PartitionRegistration {
        let id = TopicIdPartition {
            partition,
            ..self.partition()
        };
        let image = self.view().image().expect("a controller runs");
        image.partition(id).expect("it exists")
    }

    /// The leader as the active controller has it.
    pub fn leader(&self) -> Option<ProcessId> {
        let registration = self.view().image()?.partition(self.partition())?;
        self.view().process_of(registration.leader?)
    }

    /// The replicas that do not lead, in assignment order.
    pub fn followers(&self) -> Vec<ProcessId> {
        let leader = self.leader();
        let replicas = &self.registration(0).replicas;
        let processes = replicas.iter().filter_map(|n| self.view().process_of(*n));
        processes.filter(|p| Some(*p) != leader).collect()
    }

    /// The ISR as the active controller has it.
    pub fn isr(&self) -> Vec<NodeId> {
        self.registration(0).isr.clone()
    }

    /// The leader epoch as the active controller has it.
    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.registration(0).leader_epoch
    }

    /// The quorum's leader.
    pub fn active_controller(&self) -> Option<ProcessId> {
        self.view().active_controller().map(|(p, _)| p)
    }

    /// A running broker.
    pub fn broker(&self, p: ProcessId) -> &Broker {
        match &self.view().machine(p).process {
            Some(Process::Broker(b)) => b,
            _ => panic!("{} is not a running broker", self.name(p)),
        }
    }

    /// A broker's log of the partition.
    pub fn log(&self, p: ProcessId) -> &Log {
        let id = self.partition();
        let mut logs = self.broker(p).logs();
        let found = logs.find(|(tp, _)| *tp == id).map(|(_, log)| log);
        found.unwrap_or_else(|| panic!("{} has no replica of {TOPIC}-0", self.name(p)))
    }

    /// The records in a broker's log with their offsets, in order.
    pub fn read(&self, p: ProcessId) -> Vec<(Offset, RecordId)> {
        let log = self.log(p);
        let readable = log.batches().filter(|b| b.end_offset() > log.log_start());
        let records = readable.flat_map(|b| b.offsets().zip(b.data.ids().iter().copied()));
        records.collect()
    }

    /// Kills a process: what it wrote stays in the page cache.
    pub fn crash(&mut self, p: ProcessId) {
        self.harm(Fault::Kill { who: [p].into() });
    }

    /// Cuts the power of a machine; only what was synced survives.
    pub fn power_off(&mut self, p: ProcessId) {
        self.harm(Fault::PowerLoss {
            who: [p].into(),
            keep: Keep::Synced,
        });
    }

    /// Holds a process.
    pub fn pause(&mut self, p: ProcessId) {
        self.harm(Fault::Pause { who: [p].into() });
    }

    /// Asks a process to stop cleanly.
    pub fn stop(&mut self, p: ProcessId) {
        self.harm(Fault::Stop { who: [p].into() });
    }

    /// Starts a process that does not run.
    pub fn restart(&mut self, p: ProcessId) {
        self.harm(Fault::Start { who: [p].into() });
    }

    /// Cuts some off from others, both ways.
    pub fn cut(&mut self, from: &[ProcessId], to: &[ProcessId]) {
        self.harm(Fault::Cut {
            from: from.into(),
            to: to.into(),
            one_way: false,
        });
    }

    /// Lies in wait for one message and holds it.
    pub fn hold(&mut self, message: Message) {
        self.harm(Fault::Hold(message));
    }

    /// Lies in wait for one message and loses it with its connection.
    pub fn lose(&mut self, message: Message) {
        self.harm(Fault::Lose(message));
    }

    /// An operator asks for something.
    pub fn operate(&mut self, operation: Operation) {
        self.world.operate(operation);
    }

    /// Does any harm.
    pub fn harm(&mut self, fault: Realised) {
        self.world.intervene(fault, Lasts::UntilHeal);
    }

    /// Does any harm, for so long.
    pub fn harm_for(&mut self, fault: Realised, time: Duration) {
        self.world.intervene(fault, Lasts::For(time));
    }

    /// Ends all harm: links work, processes run again.
    pub fn heal(&mut self) {
        self.world.relent();
    }

    /// All brokers.
    pub fn brokers(&self) -> Vec<ProcessId> {
        self.named("broker-")
    }

    /// All controllers.
    pub fn controllers(&self) -> Vec<ProcessId> {
        self.named("controller-")
    }

    fn named(&self, prefix: &str) -> Vec<ProcessId> {
        self.view()
            .names()
            .iter()
            .filter(|(_, n)| n.starts_with(prefix))
            .map(|(p, _)| p)
            .collect()
    }

    /// Time since the run was ready.
    pub fn time(&self) -> Duration {
        self.world
            .now()
            .since(self.world.ready().unwrap_or(Time(0)))
    }

    /// Runs until something is so.
    pub fn run_until(&mut self, what: &str, mut is_so: impl FnMut(&Cluster) -> bool) {
        let since = self.world.now();
        while !is_so(self) {
            let waited = self.world.now().since(since);
            assert!(
                waited < PATIENCE,
                "waited {}s in vain until {what} (seed {})",
                waited.0 / 1_000_000_000,
                self.world.seed()
            );
            assert!(
                self.world.step(),
                "the run was over before {what}: {:?}",
                self.world.stuck()
            );
        }
    }

    /// Runs until a process tells something; returns the record.
    pub fn run_until_told(
        &mut self,
        what: &str,
        mut is_it: impl FnMut(ProcessId, &Event) -> bool,
    ) -> Record {
        let mut seen = self.world.trace().records().len();
        let mut found = None;
        self.run_until(what, |c| {
            let records = c.world.trace().records();
            found = records[seen..]
                .iter()
                .find(|r| told(r).is_some_and(|(p, e)| is_it(p, e)))
                .cloned();
            seen = records.len();
            found.is_some()
        });
        found.expect("the loop ends with it")
    }

    /// Records that applications were told are written.
    pub fn acked(&self) -> BTreeSet<RecordId> {
        self.told().filter_map(|(_, _, e)| acked(e)).collect()
    }

    /// Runs until so many records are acknowledged.
    pub fn run_until_acked(&mut self, n: usize) {
        let mut known = self.acked();
        if known.len() < n {
            self.run_until_told("so many records are acknowledged", |_, e| {
                known.extend(acked(e));
                known.len() >= n
            });
        }
    }

    /// Sends that failed: when, of which record, and how.
    pub fn failures(&self) -> Vec<(Time, RecordId, SendFailure)> {
        let failed = self.told().filter_map(|(at, _, e)| match e {
            Event::Client(_, ClientEvent::Failed { id, error, .. }) => Some((at, *id, *error)),
            _ => None,
        });
        failed.collect()
    }

    /// The answer that a process handled when it told something: to which request, and from whom.
    pub fn answer_behind(&self, told: &Record) -> (Api, ProcessId) {
        let cause = told.cause.expect("it was told of it");
        match self.world.trace().records()[cause as usize - 1].what {
            What::Handled(Handled::Response { api, from, .. }) => (api, from),
            ref other => panic!("a response was expected: {other:?}"),
        }
    }

    /// Lets so much virtual time pass.
    pub fn pass(&mut self, time: Duration) {
        let until = self.world.now() + time;
        self.world.run_until(until);
    }

    /// All that processes have told so far, with when and who.
    pub fn told(&self) -> impl Iterator<Item = (Time, ProcessId, &Event)> {
        let records = self.world.trace().records().iter();
        records.filter_map(|r| told(r).map(|(p, e)| (r.at, p, e)))
    }
}

fn acked(event: &Event) -> Option<RecordId> {
    match event {
        Event::Client(_, ClientEvent::Acked { id, .. }) => Some(*id),
        _ => None,
    }
}

fn told(record: &Record) -> Option<(ProcessId, &Event)> {
    match (&record.what, record.process) {
        (What::Told(event), Some(p)) => Some((p, event)),
        _ => None,
    }
}
