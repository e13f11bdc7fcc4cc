//! ROLE Admin: an operator's client (Kafka's AdminClient).
//!
//! Thin still: creates topics, and tries again every 100 ms until they exist.

use super::connections::{Connections, Happened, NetworkSettings};
use crate::context::Context;
use crate::ids::{Address, ClientId, NodeId};
use crate::input::{Command, Input};
use crate::protocol::admin::{CreatableTopic, CreateTopicsRequest};
use crate::protocol::{ErrorCode, Request, Response};
use crate::time::Duration;
use crate::timer::Timer;
use serde::Serialize;

/// An operator's client.
#[derive(Clone, Debug, Serialize)]
pub struct Admin {
    client: ClientId,
    connections: Connections<()>,
    bootstrap: NodeId,
    wanted: Vec<CreatableTopic>,
    asked: bool,
}

impl Admin {
    /// A client that knows where to begin.
    pub fn new(client: ClientId, bootstrap: &[Address]) -> Admin {
        let settings = NetworkSettings {
            request_timeout: Duration::secs(30),
            reconnect_backoff: Duration::millis(50),
            reconnect_backoff_max: Duration::secs(1),
            max_in_flight: 1,
            ..NetworkSettings::default()
        };
        let mut connections = Connections::new(client, settings);
        connections.learn(NodeId(-1), bootstrap[0]);
        Admin {
            client,
            connections,
            bootstrap: NodeId(-1),
            wanted: Vec::new(),
            asked: false,
        }
    }

    /// Whether all that was asked is done.
    pub fn is_idle(&self) -> bool {
        self.wanted.is_empty()
    }

    /// One step.
    pub fn handle(&mut self, input: Input, cx: &mut Context<'_>) {
        if let Input::Command(Command::CreateTopics(topics)) = &input {
            self.wanted.extend(topics.iter().cloned());
        }
        for happened in self.connections.handle(input, cx) {
            match happened {
                Happened::Answered(_, (), Response::CreateTopics(r)) => {
                    self.asked = false;
                    let done = |t: &CreatableTopic| {
                        r.topics.iter().any(|x| {
                            x.name == t.name
                                && matches!(
                                    x.error_code,
                                    ErrorCode::None | ErrorCode::TopicAlreadyExists
                                )
                        })
                    };
                    self.wanted.retain(|t| !done(t));
                }
                Happened::Failed(..) => self.asked = false,
                _ => {}
            }
        }
        self.ask(cx);
    }

    fn ask(&mut self, cx: &mut Context<'_>) {
        if self.wanted.is_empty() || self.asked {
            return;
        }
        if self.connections.ready(self.bootstrap, cx) {
            self.asked = true;
            let request = CreateTopicsRequest {
                topics: self.wanted.clone(),
                timeout_ms: 30_000,
            };
            self.connections
                .send(self.bootstrap, Request::CreateTopics(request), (), cx);
        } else {
            let again = cx.now() + Duration::millis(100);
            cx.set_timer(Timer::Client(self.client), again);
        }
    }
}
