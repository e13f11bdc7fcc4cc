//! An application that takes records from its source and sends them: fire and forget, or waiting for the callback.
//!
//! Its source lies outside of it and outlives its crash: how many records were taken, and which of them Kafka has not
//! confirmed. Its own caller is told either as soon as `send` returns, whatever becomes of the record (P14), or by the
//! callback. Its one thread blocks in `send` as a real one does: while it stands there it takes nothing.

use super::Source;
use crate::scenario::{Answers, OnRestart, OnStop, ProducerPlan};
use bytes::Bytes;
use klab_kafka::client::producer::{Producer, ProducerRecord, Sent};
use klab_kafka::context::{Context, Exit};
use klab_kafka::event::{AppEvent, Event};
use klab_kafka::ids::{Address, ClientId, RecordId};
use klab_kafka::input::{Command, Input};
use klab_kafka::time::{Duration, Time};
use klab_kafka::timer::Timer;
use serde::Serialize;
use std::collections::VecDeque;

/// An application that produces.
#[derive(Clone, Debug, Serialize)]
pub struct Producing {
    source_id: u32,
    plan: ProducerPlan,
    producer: Producer,
    source: Source,
    thread: Thread,
    /// Records to be sent again, taken before a restart and not confirmed.
    again: VecDeque<u32>,
    /// Sends whose callback has not run.
    open: u32,
    told_finished: bool,
}

/// Idle -> Working (started) <-> BlockedInSend; any -> Closing (asked to stop).
#[derive(Clone, Debug, Serialize)]
enum Thread {
    /// Not started.
    Idle,
    /// Takes records when they are due.
    Working,
    /// Stands in `send` with this record.
    BlockedInSend(ProducerRecord),
    /// Closes its producer, and exits then.
    Closing,
}

impl Producing {
    /// Not started yet; `source_id` names its records.
    pub fn new(
        source_id: u32,
        plan: ProducerPlan,
        source: Source,
        bootstrap: &[Address],
    ) -> Producing {
        let producer = Producer::new(ClientId(0), plan.config.clone(), bootstrap);
        Producing {
            source_id,
            plan,
            producer,
            source,
            thread: Thread::Idle,
            again: VecDeque::new(),
            open: 0,
            told_finished: false,
        }
    }

    /// What its source remembers.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Whether all records were sent and every send is resolved.
    pub fn is_finished(&self) -> bool {
        let blocked = matches!(self.thread, Thread::BlockedInSend(_));
        let taken = self.source.next == self.plan.records && self.again.is_empty();
        taken && !blocked && self.open == 0
    }

    /// One step.
    pub fn handle(&mut self, input: Input, cx: &mut Context<'_>) {
        match input {
            Input::Command(Command::Start) if matches!(self.thread, Thread::Idle) => self.start(cx),
            Input::Command(Command::Finish) => self.plan.records = self.source.next,
            Input::Command(_) | Input::Timer(Timer::App(_)) => {}
            Input::Stop => self.stop(cx),
            other => self.producer.handle(other, cx),
        }
        self.callbacks(cx);
        self.return_from_send(cx);
        self.work(cx);
        if self.is_finished() && !self.told_finished {
            self.told_finished = true;
            cx.tell(Event::App(AppEvent::Finished));
        }
        if matches!(self.thread, Thread::Closing) && self.producer.is_closed() {
            cx.exit(Exit::Stopped);
        }
    }

    /// The first start begins the workload; a later one goes on with it.
    fn start(&mut self, cx: &mut Context<'_>) {
        self.thread = Thread::Working;
        let began = cx.now() + self.plan.after;
        self.source.began.get_or_insert(began);
        if self.plan.on_restart == OnRestart::ResendUnconfirmed {
            self.again = self.source.unconfirmed.iter().copied().collect();
        }
        cx.tell(Event::App(AppEvent::Started));
        self.producer.start(cx);
    }

    fn stop(&mut self, cx: &mut Context<'_>) {
        match self.plan.on_stop {
            OnStop::Exit => cx.exit(Exit::Stopped),
            OnStop::Close => {
                self.thread = Thread::Closing;
                self.producer.close(None, cx);
            }
        }
    }

    /// Sends what is due, until its thread blocks.
    fn work(&mut self, cx: &mut Context<'_>) {
        while matches!(self.thread, Thread::Working) {
            if let Some(number) = self.again.pop_front() {
                let id = self.id(number);
                cx.tell(Event::App(AppEvent::Resent { id }));
                self.call_send(self.record(number), cx);
                continue;
            }
            let next = self.source.next;
            if next >= self.plan.records {
                return;
            }
            let due = self.due(next);
            if due > cx.now() {
                return cx.set_timer(Timer::App(0), due);
            }
            self.source.next += 1;
            self.source.unconfirmed.insert(next);
            let id = self.id(next);
            cx.tell(Event::App(AppEvent::Invoked { id }));
            self.call_send(self.record(next), cx);
        }
    }

    fn due(&self, number: u32) -> Time {
        let began = self.source.began.expect("it works after it was started");
        began + Duration(self.plan.rate.nth_ns(number.into()))
    }

    fn id(&self, number: u32) -> RecordId {
        RecordId {
            source: self.source_id,
            number,
        }
    }

    /// Keys come in turns, so that each has its records in the order of their numbers.
    fn record(&self, number: u32) -> ProducerRecord {
        let key = self.plan.keys.map(|keys| format!("key-{}", number % keys));
        ProducerRecord {
            id: self.id(number),
            topic: self.plan.topic.clone(),
            partition: None,
            key: key.map(Bytes::from),
            value: Some(Bytes::from(vec![0; self.plan.size as usize])),
        }
    }

    fn call_send(&mut self, record: ProducerRecord, cx: &mut Context<'_>) {
        let id = record.id;
        match self.producer.send(record.clone(), cx) {
            Sent::Full => {
                self.thread = Thread::BlockedInSend(record);
                return;
            }
            Sent::Queued(_) => self.open += 1,
            // Kafka hands these errors to the future and the callback: who does not look there does not see them.
            Sent::Refused(_) => self.answer(id, Answers::InCallback, false, cx),
        }
        self.answer(id, Answers::AfterSend, true, cx);
    }

    /// The `send` that its thread stands in returns, if it can.
    fn return_from_send(&mut self, cx: &mut Context<'_>) {
        if !self.producer.may_send() {
            return;
        }
        if let Thread::BlockedInSend(record) = &self.thread {
            let record = record.clone();
            self.thread = Thread::Working;
            self.call_send(record, cx);
        }
    }

    fn callbacks(&mut self, cx: &mut Context<'_>) {
        while let Some((_, id, completion)) = self.producer.completed() {
            self.open -= 1;
            if completion.is_ok() {
                self.source.unconfirmed.remove(&id.number);
            }
            self.answer(id, Answers::InCallback, completion.is_ok(), cx);
        }
    }

    /// Tells its own caller, if this is when it does.
    fn answer(&mut self, id: RecordId, when: Answers, well: bool, cx: &mut Context<'_>) {
        if self.plan.answers != when {
            return;
        }
        let told = match well {
            true => AppEvent::Accepted { id },
            false => AppEvent::Rejected { id },
        };
        cx.tell(Event::App(told));
    }
}
