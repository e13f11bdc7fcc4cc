//! Applications: processes that own clients. What they send, how they answer their own callers, what they read.
//!
//! Thin still: the producing application does not block, resend or close.

pub mod consuming;
pub mod reading;

use crate::scenario::{Answers, ConsumerPlan, ProducerPlan};
use bytes::Bytes;
use consuming::Consuming;
use klab_kafka::client::consumer::positions::TopicPartition;
use klab_kafka::client::producer::{Producer, ProducerRecord, Sent};
use klab_kafka::context::{Context, Exit};
use klab_kafka::event::{AppEvent, Event};
use klab_kafka::ids::{Address, ClientId, RecordId};
use klab_kafka::input::{Command, Input};
use klab_kafka::time::{Duration, Time};
use klab_kafka::timer::Timer;
use reading::Reading;
use serde::Serialize;

/// An application.
#[derive(Clone, Debug, Serialize)]
pub enum App {
    /// It produces.
    Producing(Box<Producing>),
    /// It reads assigned partitions throughout.
    Consuming(Box<Consuming>),
    /// It reads everything, once, at the end.
    Reading(Box<Reading>),
}

/// What outlives an application's crash, outside of it: its source's memory of what was confirmed.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Source {
    /// When the workload began.
    pub began: Option<Time>,
    /// The next record that has not been taken from the source.
    pub next: u32,
    /// Records taken whose writing was not confirmed.
    pub unconfirmed: std::collections::BTreeSet<u32>,
}

/// An application that produces.
#[derive(Clone, Debug, Serialize)]
pub struct Producing {
    source_id: u32,
    plan: ProducerPlan,
    producer: Producer,
    source: Source,
    open: u32,
}

impl App {
    /// A producing application; `source_id` names its records.
    pub fn producing(
        source_id: u32,
        plan: ProducerPlan,
        source: Source,
        bootstrap: &[Address],
    ) -> App {
        let producer = Producer::new(ClientId(0), plan.config.clone(), bootstrap);
        App::Producing(Box::new(Producing {
            source_id,
            plan,
            producer,
            source,
            open: 0,
        }))
    }

    /// An application that reads assigned partitions.
    pub fn consuming(plan: ConsumerPlan, bootstrap: &[Address]) -> App {
        App::Consuming(Box::new(Consuming::new(plan, bootstrap)))
    }

    /// The reader of everything.
    pub fn reading(partitions: Vec<TopicPartition>, bootstrap: &[Address]) -> App {
        App::Reading(Box::new(Reading::new(partitions, bootstrap)))
    }

    /// One step.
    pub fn handle(&mut self, input: Input, cx: &mut Context<'_>) {
        match self {
            App::Producing(a) => a.handle(input, cx),
            App::Consuming(a) => a.handle(input, cx),
            App::Reading(a) => a.handle(input, cx),
        }
    }

    /// What the source remembers, to be handed to the next start.
    pub fn source(&self) -> Source {
        match self {
            App::Producing(a) => a.source.clone(),
            App::Consuming(_) | App::Reading(_) => Source::default(),
        }
    }

    /// Whether its work is done and every send is resolved. A consumer polls as long as there is anything to read, so
    /// that it is never in the way of a run's end.
    pub fn is_finished(&self) -> bool {
        match self {
            App::Producing(a) => a.source.next == a.plan.records && a.open == 0,
            App::Consuming(_) => true,
            App::Reading(a) => a.is_finished(),
        }
    }
}

impl App {
    /// What the reader has not read to the end.
    pub fn unread(&self) -> &[TopicPartition] {
        match self {
            App::Reading(a) => a.missing(),
            App::Producing(_) | App::Consuming(_) => &[],
        }
    }
}

impl Producing {
    fn handle(&mut self, input: Input, cx: &mut Context<'_>) {
        match input {
            Input::Command(Command::Start) => {
                self.source.began = Some(cx.now() + self.plan.after);
                cx.tell(Event::App(AppEvent::Started));
                self.send_due(cx);
            }
            Input::Timer(Timer::App(_)) => self.send_due(cx),
            Input::Stop => cx.exit(Exit::Stopped),
            other => self.producer.handle(other, cx),
        }
        self.callbacks(cx);
    }

    fn send_due(&mut self, cx: &mut Context<'_>) {
        let Some(began) = self.source.began else {
            return;
        };
        while self.source.next < self.plan.records {
            let at = began + Duration(self.plan.rate.nth_ns(self.source.next.into()));
            if at > cx.now() {
                return cx.set_timer(Timer::App(0), at);
            }
            self.send(cx);
        }
    }

    fn send(&mut self, cx: &mut Context<'_>) {
        let id = RecordId {
            source: self.source_id,
            number: self.source.next,
        };
        self.source.next += 1;
        self.source.unconfirmed.insert(id.number);
        cx.tell(Event::App(AppEvent::Invoked { id }));
        let record = ProducerRecord {
            id,
            topic: self.plan.topic.clone(),
            partition: None,
            key: None,
            value: Some(Bytes::from(vec![0; self.plan.size as usize])),
        };
        match self.producer.send(record, cx) {
            Sent::Queued(_) => self.open += 1,
            Sent::Full | Sent::Refused(_) => cx.tell(Event::App(AppEvent::Rejected { id })),
        }
        if self.plan.answers == Answers::AfterSend {
            cx.tell(Event::App(AppEvent::Accepted { id }));
        }
    }

    fn callbacks(&mut self, cx: &mut Context<'_>) {
        while let Some((_, id, completion)) = self.producer.completed() {
            self.open -= 1;
            match completion {
                Ok(_) => {
                    self.source.unconfirmed.remove(&id.number);
                    if self.plan.answers == Answers::InCallback {
                        cx.tell(Event::App(AppEvent::Accepted { id }));
                    }
                }
                Err(_) => cx.tell(Event::App(AppEvent::Rejected { id })),
            }
            if self.source.next == self.plan.records && self.open == 0 {
                cx.tell(Event::App(AppEvent::Finished));
            }
        }
    }
}
