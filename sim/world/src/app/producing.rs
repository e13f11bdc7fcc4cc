//! An application that produces: it takes records from a source outside of it, sends them, and tells its own caller what
//! became of them.
//!
//! What it *told* is what its `answers` say: after `send`, it told "accepted" before anybody had the record (P14); in the
//! callback, it told the truth as far as it knows it. What its source remembers outlives its crash; what its producer had
//! queued does not.
//!
//! With librdkafka it hears of its messages only when it polls.
//!
//! Its one thread sends and waits. While it stands in `send` (no memory, no metadata), or waits for the answers to its last
//! sends, records that fall due wait outside.

use super::{Source, workload};
use crate::scenario::{Answers, OnFailure, OnRestart, OnStop, Polls, ProducerPlan};
use klab_kafka::client::producer::config::Settings;
use klab_kafka::client::producer::{Producer, ProducerRecord, Sent};
use klab_kafka::context::{Context, Exit};
use klab_kafka::event::{AppEvent, Event, SendFailure};
use klab_kafka::ids::{Address, ClientId, RecordId};
use klab_kafka::input::{Command, Input};
use klab_kafka::time::{Duration, Time};
use klab_kafka::timer::Timer;
use serde::Serialize;
use std::collections::VecDeque;
use std::sync::Arc;

/// Its one alarm: the next record falls due.
const DUE: Timer = Timer::App(0);

/// How long it waits before it sends a failed record again.
const RESEND_PAUSE: Duration = Duration::secs(1);

/// An application that produces.
#[derive(Clone, Debug, Serialize)]
pub struct Producing {
    source_id: u32,
    plan: ProducerPlan,
    producer: Producer,
    source: Source,
    thread: Thread,
    /// To be sent again from these times on, before anything new.
    resend: VecDeque<(Time, u32)>,
    /// Sends whose callback has not come.
    open: u32,
    /// When the last callback came.
    answered: Option<Time>,
    /// It takes nothing new from its source.
    finishing: bool,
    told_finished: bool,
    /// It has called `flush` at the end of its work.
    flushed: bool,
}

/// Idle -> Sending (started) <-> BlockedInSend (the producer is full) -> Closing (asked to stop).
#[derive(Clone, Debug, Serialize)]
enum Thread {
    /// Not started yet.
    Idle,
    /// Sends what is due and waits for what is not.
    Sending,
    /// Stands in `send` with this record.
    BlockedInSend(ProducerRecord),
    /// Stands in `close`.
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
        let settings = match &plan.librdkafka {
            Some(own) => Settings::of_librdkafka(own),
            None => Settings::of(&plan.config),
        };
        let settings = settings.expect("settings are checked where they are read");
        let producer = Producer::with(ClientId(0), settings, bootstrap);
        Producing {
            source_id,
            plan,
            producer,
            source,
            thread: Thread::Idle,
            resend: VecDeque::new(),
            open: 0,
            answered: None,
            finishing: false,
            told_finished: false,
            flushed: false,
        }
    }

    /// What the source remembers.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Whether every record was sent and every send is resolved.
    pub fn is_finished(&self) -> bool {
        let is_free = matches!(self.thread, Thread::Sending);
        is_free && self.open == 0 && self.has_sent_all()
    }

    /// Whether it has records that it has never sent, and may.
    pub fn has_more_to_send(&self) -> bool {
        matches!(self.thread, Thread::Sending)
            && !self.has_nothing_new()
            && !self.awaits_an_answer()
    }

    /// Whether it has more to send once it has an answer, and had the last one no longer ago than one may take.
    pub fn goes_on_sending(&self, now: Time) -> bool {
        let patience = self.producer.delivery_timeout();
        let waits = !self.has_nothing_new() && self.awaits_an_answer();
        waits && self.answered.is_some_and(|at| at + patience >= now)
    }

    /// The partitions whose records are neither acknowledged nor given up.
    pub fn unresolved(&self) -> Vec<Arc<str>> {
        let open = self.producer.open_partitions().into_iter();
        open.map(|(topic, partition)| format!("{topic}-{partition}").into())
            .collect()
    }

    /// One step.
    pub fn handle(&mut self, input: Input, cx: &mut Context<'_>) {
        match input {
            Input::Command(Command::Start) if matches!(self.thread, Thread::Idle) => self.start(cx),
            Input::Command(Command::Finish) => self.finishing = true,
            Input::Command(_) | Input::Timer(DUE) => {}
            Input::Stop => self.stop(cx),
            other => self.producer.handle(other, cx),
        }
        self.work(cx);
        if self.producer.turn(cx) && self.has_news() {
            self.work(cx);
            // What is to be done even so is another step's: each takes its time, or one could go on for ever.
            if self.producer.is_woken() {
                cx.set_timer(DUE, cx.now());
            }
        }
        if matches!(self.thread, Thread::Closing) && self.producer.is_closed() {
            cx.exit(Exit::Stopped);
        }
        if self.is_finished() && !self.told_finished {
            self.told_finished = true;
            cx.tell(Event::App(AppEvent::Finished));
        }
    }

    /// Callbacks, then the application's own thread.
    fn work(&mut self, cx: &mut Context<'_>) {
        if self.hears_at_once() {
            self.take_callbacks(cx);
        }
        self.go_on(cx);
        if self.hears_at_once() {
            self.flush(cx);
            self.take_callbacks(cx);
        }
    }

    /// Whether the sender's turn has left it something to do.
    fn has_news(&self) -> bool {
        let may_go_on = matches!(self.thread, Thread::BlockedInSend(_)) && self.producer.may_send();
        may_go_on || (self.producer.has_completed() && self.hears_at_once())
    }

    fn start(&mut self, cx: &mut Context<'_>) {
        let after = self.plan.after;
        let restarted = self.source.began.is_some();
        self.source.began.get_or_insert(cx.now() + after);
        if restarted && self.plan.on_restart == OnRestart::ResendUnconfirmed {
            let unconfirmed = self.source.unconfirmed.iter().copied();
            self.resend = unconfirmed.map(|number| (cx.now(), number)).collect();
        }
        self.thread = Thread::Sending;
        self.producer.start(cx);
        cx.tell(Event::App(AppEvent::Started));
    }

    fn stop(&mut self, cx: &mut Context<'_>) {
        if self.plan.on_stop == OnStop::Exit {
            return cx.exit(Exit::Stopped);
        }
        self.producer.close(None, cx);
        // A `send` that stood in the way ends with an error: the producer takes nothing more.
        if let Thread::BlockedInSend(record) = std::mem::replace(&mut self.thread, Thread::Closing)
        {
            self.refused(record.id, cx);
        }
        cx.cancel_timer(DUE);
    }

    /// The thread, as far as it gets.
    fn go_on(&mut self, cx: &mut Context<'_>) {
        loop {
            let record = match &self.thread {
                Thread::Idle | Thread::Closing => return,
                Thread::BlockedInSend(_) if !self.producer.may_send() => return,
                Thread::BlockedInSend(record) => record.clone(),
                Thread::Sending => match self.next_record(cx) {
                    Some(record) => record,
                    None => return,
                },
            };
            self.send(record, cx);
        }
    }

    /// The next record to be sent now: one to be sent again, or one that is due.
    fn next_record(&mut self, cx: &mut Context<'_>) -> Option<ProducerRecord> {
        if self.awaits_an_answer() {
            return None;
        }
        let again = self.resend.front().map(|(at, _)| *at);
        if again.is_some_and(|at| at <= cx.now()) {
            let (_, number) = self.resend.pop_front()?;
            if self.plan.librdkafka.is_some() {
                self.take_callbacks(cx);
            }
            let id = self.id(number);
            cx.tell(Event::App(AppEvent::Resent { id }));
            return Some(workload::record(id, &self.plan));
        }
        let fresh = (!self.has_nothing_new()).then(|| self.due());
        if fresh.is_none_or(|at| at > cx.now()) {
            if let Some(at) = fresh.into_iter().chain(again).min() {
                cx.set_timer(DUE, at);
            }
            return None;
        }
        let id = self.id(self.source.next);
        self.source.next += 1;
        self.source.unconfirmed.push_back(id.number);
        cx.tell(Event::App(AppEvent::Invoked { id }));
        Some(workload::record(id, &self.plan))
    }

    fn send(&mut self, record: ProducerRecord, cx: &mut Context<'_>) {
        let id = record.id;
        self.thread = Thread::Sending;
        match self.producer.send(record, cx) {
            Sent::Full => {
                // Made again, which is seldom, rather than copied before every send.
                self.thread = Thread::BlockedInSend(workload::record(id, &self.plan));
                return;
            }
            Sent::Queued(_) => self.open += 1,
            // Kafka hands these errors to the future and the callback: who does not look there does not see them.
            Sent::Refused(failure) => self.called_back(id, Err(failure), cx),
        }
        if self.plan.answers == Answers::AfterSend {
            self.accepted(id, cx);
        }
        if self.plan.librdkafka.is_some() && self.plan.polls == Polls::AfterSend {
            self.take_callbacks(cx);
        }
    }

    /// Kafka's own client calls back by itself; librdkafka only while it is polled, as it is while one waits, flushes or closes.
    fn hears_at_once(&self) -> bool {
        let waits = self.has_sent_all()
            || self.awaits_an_answer()
            || matches!(self.thread, Thread::Closing);
        self.plan.librdkafka.is_none() || waits
    }

    /// Whether it stands in `send(…).get()`, or in whatever else keeps its open sends few.
    fn awaits_an_answer(&self) -> bool {
        self.plan.unanswered.is_some_and(|most| self.open >= most)
    }

    /// With librdkafka one flushes at the end, or what was sent last is never heard of.
    fn flush(&mut self, cx: &mut Context<'_>) {
        let is_free = matches!(self.thread, Thread::Sending);
        let is_due = self.plan.librdkafka.is_some() && is_free && self.has_sent_all();
        if is_due && !std::mem::replace(&mut self.flushed, true) {
            self.producer.flush(cx);
        }
    }

    fn take_callbacks(&mut self, cx: &mut Context<'_>) {
        while let Some((_, id, completion)) = self.producer.completed() {
            self.open -= 1;
            self.answered = Some(cx.now());
            self.called_back(id, completion.map(|_| ()), cx);
        }
    }

    /// An application that answers after `send` never looks at the callback.
    fn called_back(
        &mut self,
        id: RecordId,
        completion: Result<(), SendFailure>,
        cx: &mut Context<'_>,
    ) {
        if self.plan.answers == Answers::AfterSend {
            return;
        }
        match completion {
            Ok(()) => self.accepted(id, cx),
            Err(failure) if self.sends_again_after(failure) => {
                self.resend.push_back((cx.now() + RESEND_PAUSE, id.number));
            }
            Err(_) => self.refused(id, cx),
        }
    }

    /// C5: to the producer this is a new record, whatever became of the first one. Once it takes nothing new it sends
    /// nothing again either, so that its work comes to an end.
    fn sends_again_after(&self, failure: SendFailure) -> bool {
        let may_go_well = match failure {
            SendFailure::Error(error) => error.is_retriable(),
            SendFailure::DeliveryTimeout
            | SendFailure::MetadataTimeout
            | SendFailure::BufferExhausted
            | SendFailure::QueueFull => true,
            SendFailure::RecordTooLarge | SendFailure::Closed => false,
        };
        may_go_well && !self.finishing && self.plan.on_failure == OnFailure::Resend
    }

    /// It tells its caller, who need not remember the record any more.
    fn accepted(&mut self, id: RecordId, cx: &mut Context<'_>) {
        if let Ok(at) = self.source.unconfirmed.binary_search(&id.number) {
            self.source.unconfirmed.remove(at);
        }
        cx.tell(Event::App(AppEvent::Accepted { id }));
    }

    /// It tells its caller, who remembers that the record has not been confirmed.
    fn refused(&mut self, id: RecordId, cx: &mut Context<'_>) {
        cx.tell(Event::App(AppEvent::Rejected { id }));
    }

    /// Nothing is left to be sent, for the first time or again.
    fn has_sent_all(&self) -> bool {
        self.has_nothing_new() && self.resend.is_empty()
    }

    fn has_nothing_new(&self) -> bool {
        self.finishing || self.source.next == self.plan.records
    }

    /// When the next new record falls due. What fell due while the application was down or blocked is due now.
    fn due(&self) -> Time {
        let began = self.source.began.expect("a workload begins with its start");
        let next = self.source.next;
        let first_of_burst = next - next % self.plan.burst;
        began + Duration(self.plan.rate.nth_ns(first_of_burst.into()))
    }

    fn id(&self, number: u32) -> RecordId {
        RecordId {
            source: self.source_id,
            number,
        }
    }
}
