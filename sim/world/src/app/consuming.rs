//! An application that polls its assigned partitions throughout.
//!
//! It does nothing with the records but have them: what a poll returned is in the trace. When a poll throws, it stops
//! reading, as an application that does not catch the exception; a restart begins anew, from where the reset policy says,
//! since without a group nothing remembers how far it was.

use crate::scenario::ConsumerPlan;
use klab_kafka::client::consumer::Consumer;
use klab_kafka::client::consumer::positions::TopicPartition;
use klab_kafka::context::{Context, Exit};
use klab_kafka::event::{AppEvent, Event};
use klab_kafka::ids::{Address, ClientId};
use klab_kafka::input::{Command, Input};
use klab_kafka::rules::Rules;
use klab_kafka::time::Duration;
use serde::Serialize;

/// How long one poll may block.
const POLL: Duration = Duration::secs(1);

/// An application that reads.
#[derive(Clone, Debug, Serialize)]
pub struct Consuming {
    plan: ConsumerPlan,
    consumer: Consumer,
    thread: Thread,
}

/// Idle -> Polling (started) -> Ended (a poll threw).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
enum Thread {
    Idle,
    Polling,
    Ended,
}

impl Consuming {
    /// Not started yet.
    pub fn new(plan: ConsumerPlan, rules: Rules, bootstrap: &[Address]) -> Consuming {
        let consumer = Consumer::new(ClientId(0), plan.config.clone(), rules, bootstrap);
        Consuming {
            plan,
            consumer,
            thread: Thread::Idle,
        }
    }

    /// One step.
    pub fn handle(&mut self, input: Input, cx: &mut Context<'_>) {
        match input {
            Input::Command(Command::Start) if self.thread == Thread::Idle => self.start(cx),
            Input::Command(_) => {}
            Input::Stop => {
                self.consumer.close(cx);
                cx.exit(Exit::Stopped);
            }
            other => self.consumer.handle(other, cx),
        }
        while let Some(polled) = self.consumer.polled() {
            match polled {
                Ok(_) => self.consumer.poll(POLL, cx),
                Err(_) => self.end(cx),
            }
        }
    }

    fn start(&mut self, cx: &mut Context<'_>) {
        let assign = self.plan.assign.iter().map(|tp| TopicPartition {
            topic: tp.topic.clone(),
            partition: tp.partition,
        });
        self.consumer.assign(&assign.collect::<Vec<_>>(), cx);
        cx.tell(Event::App(AppEvent::Started));
        self.thread = Thread::Polling;
        self.consumer.poll(POLL, cx);
    }

    fn end(&mut self, cx: &mut Context<'_>) {
        self.thread = Thread::Ended;
        self.consumer.close(cx);
    }
}
