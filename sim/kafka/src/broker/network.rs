//! Everything a broker sends, but for its Raft client: three channels to the active controller and a connection to each
//! broker that it copies from (N-2). It works for the broker's role, and so may name `Context`.

use crate::broker::BrokerConfig;
use crate::broker::channel::{Channel, Outcome, Outcomes};
use crate::client::connections::{Connections, Happened, Happenings, NetworkSettings};
use crate::context::Context;
use crate::ids::*;
use crate::input::Input;
use crate::protocol::admin::*;
use crate::protocol::{ErrorCode, Request, Response};
use crate::time::{Duration, Time};
use serde::Serialize;
use smallvec::SmallVec;
use std::sync::Arc;

/// A broker's connections. Draws are named by a number each; the Raft client has the first.
#[derive(Clone, Debug, Serialize)]
pub struct Network {
    heartbeat: Channel<()>,
    alter: Channel<()>,
    forward: Channel<Forwarded>,
    /// To the brokers that it copies from.
    fetch: Connections<()>,
    /// What something was done with since the deadlines were last asked for. Nothing between two steps.
    #[serde(skip)]
    touched: Touched,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
enum Touched {
    #[default]
    Nothing,
    /// The connections to the brokers that it copies from.
    Copying,
    All,
}

/// The name of the Raft client's draws.
pub const RAFT_CLIENT: ClientId = ClientId(0);
const HEARTBEAT_CLIENT: ClientId = ClientId(1);
const ALTER_CLIENT: ClientId = ClientId(2);
const FORWARD_CLIENT: ClientId = ClientId(3);
const FETCH_CLIENT: ClientId = ClientId(4);

/// A forwarded request is given up after a minute.
const FORWARD_PATIENCE: Duration = Duration::secs(60);

/// Who waits for the answer to a forwarded request.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub enum Forwarded {
    /// A client.
    Client {
        /// Where the answer goes.
        conn: ConnId,
        /// To which request.
        id: CorrelationId,
        /// What it asked.
        request: Box<Request>,
        /// What this broker answered itself.
        apart: Vec<AlterConfigsResult>,
    },
    /// This broker, for topics that clients asked about.
    AutoTopics(Vec<Arc<str>>),
    /// This broker, which needs producer ids.
    ProducerIds,
}

/// What was heard.
#[derive(Clone, PartialEq, Debug)]
pub enum News {
    /// On registration and heartbeats.
    Heartbeat(Outcome<()>),
    /// On ISR changes.
    Alter(Outcome<()>),
    /// On a forwarded request.
    Forward(Outcome<Forwarded>),
    /// From a broker that is copied from.
    Fetch(Happened<()>),
}

/// What one input led to: mostly one thing, and then it lies in no heap.
pub type AllNews = SmallVec<[News; 1]>;

impl Network {
    /// Knows the voters, and is not connected.
    pub fn new(config: &BrokerConfig) -> Network {
        let millis = |ms: i32| Duration::millis(u64::try_from(ms).unwrap_or(0));
        let heartbeat = millis(config.server.broker_heartbeat_interval_ms);
        let channel = |client, patience| Channel::new(client, &config.voters, patience);
        let fetch = NetworkSettings {
            request_timeout: millis(config.server.request_timeout_ms),
            // A fetcher has a back-off of its own.
            reconnect_backoff: Duration::ZERO,
            reconnect_backoff_max: Duration::ZERO,
            max_in_flight: 1,
            ..NetworkSettings::default()
        };
        Network {
            heartbeat: channel(HEARTBEAT_CLIENT, Some(heartbeat)),
            alter: channel(ALTER_CLIENT, None),
            forward: Channel::new(FORWARD_CLIENT, &config.voters, Some(FORWARD_PATIENCE)),
            fetch: Connections::new(FETCH_CLIENT, fetch),
            touched: Touched::All,
        }
    }

    /// The connections to the brokers that it copies from.
    pub fn fetch(&mut self) -> &mut Connections<()> {
        self.touched = self.touched.max(Touched::Copying);
        &mut self.fetch
    }

    /// Whether a connection is one to copy on: what comes on it is for [`Network::fetch`] to take.
    pub fn copies_on(&self, conn: ConnId) -> bool {
        self.fetch.owns(conn)
    }

    /// Whether a connection is one of those to the controller.
    pub fn owns(&self, conn: ConnId) -> bool {
        self.heartbeat.owns(conn) || self.alter.owns(conn) || self.forward.owns(conn)
    }

    /// Takes an input about one of the connections to the controller. `leader` leads the metadata quorum, as far as this broker knows.
    pub fn handle(
        &mut self,
        conn: ConnId,
        input: Input,
        leader: Option<NodeId>,
        cx: &mut Context<'_>,
    ) -> AllNews {
        self.touched = Touched::All;
        if self.heartbeat.owns(conn) {
            beaten(self.heartbeat.handle(input, leader, cx))
        } else if self.alter.owns(conn) {
            altered(self.alter.handle(input, leader, cx))
        } else {
            forwarded(self.forward.handle(input, leader, cx))
        }
    }

    /// Does what is due: timeouts, reconnects, another look at who leads.
    pub fn expire(&mut self, leader: Option<NodeId>, cx: &mut Context<'_>) -> AllNews {
        self.touched = Touched::All;
        let mut news = fetched(self.fetch.expire(cx));
        news.extend(beaten(self.heartbeat.expire(leader, cx)));
        news.extend(altered(self.alter.expire(leader, cx)));
        news.extend(forwarded(self.forward.expire(leader, cx)));
        news
    }

    /// When to call [`Network::expire`] next, as far as anything was done since the last answer: where nobody does something, no
    /// deadline comes nearer.
    pub fn next_deadline(&mut self, now: Time) -> Option<Time> {
        match std::mem::take(&mut self.touched) {
            Touched::Nothing => return None,
            Touched::Copying => return self.fetch.next_deadline(),
            Touched::All => {}
        }
        Time::earliest([
            self.fetch.next_deadline(),
            self.heartbeat.next_deadline(now),
            self.alter.next_deadline(now),
            self.forward.next_deadline(now),
        ])
    }

    /// A registration or a heartbeat.
    pub fn beat(
        &mut self,
        request: Request,
        leader: Option<NodeId>,
        cx: &mut Context<'_>,
    ) -> AllNews {
        self.touched = Touched::All;
        self.heartbeat.enqueue(request, (), cx.now());
        beaten(self.heartbeat.drive(leader, cx))
    }

    /// An ISR change.
    pub fn alter(
        &mut self,
        request: Request,
        leader: Option<NodeId>,
        cx: &mut Context<'_>,
    ) -> AllNews {
        self.touched = Touched::All;
        self.alter.enqueue(request, (), cx.now());
        altered(self.alter.drive(leader, cx))
    }

    /// A request of somebody else's, or for producer ids.
    pub fn forward(
        &mut self,
        request: Request,
        who: Forwarded,
        leader: Option<NodeId>,
        cx: &mut Context<'_>,
    ) -> AllNews {
        self.touched = Touched::All;
        self.forward.enqueue(request, who, cx.now());
        forwarded(self.forward.drive(leader, cx))
    }

    /// Closes everything: the broker stops.
    pub fn close(&mut self, cx: &mut Context<'_>) {
        self.touched = Touched::All;
        self.fetch.close_all(cx);
        self.heartbeat.close(cx);
        self.alter.close(cx);
        self.forward.close(cx);
    }
}

fn fetched(happened: Happenings<()>) -> AllNews {
    happened.into_iter().map(News::Fetch).collect()
}

fn beaten(outcomes: Outcomes<()>) -> AllNews {
    outcomes.into_iter().map(News::Heartbeat).collect()
}

fn altered(outcomes: Outcomes<()>) -> AllNews {
    outcomes.into_iter().map(News::Alter).collect()
}

fn forwarded(outcomes: Outcomes<Forwarded>) -> AllNews {
    outcomes.into_iter().map(News::Forward).collect()
}

/// The answer to a client whose request found no controller, or whose envelope was refused: every topic with that error.
pub fn refusal(request: &Request, error_code: ErrorCode) -> Option<Response> {
    match request {
        Request::CreateTopics(r) => {
            let refused = |topic: &CreatableTopic| CreatableTopicResult {
                name: topic.name.clone(),
                topic_id: None,
                error_code,
                error_message: None,
            };
            let topics = r.topics.iter().map(refused).collect();
            Some(Response::CreateTopics(CreateTopicsResponse { topics }))
        }
        Request::DeleteTopics(r) => {
            let refused = |topic: &TopicRef| DeletableTopicResult {
                topic: topic.clone(),
                error_code,
            };
            let responses = r.topics.iter().map(refused).collect();
            Some(Response::DeleteTopics(DeleteTopicsResponse { responses }))
        }
        Request::CreatePartitions(r) => {
            let refused = |topic: &CreatePartitionsTopic| CreatePartitionsTopicResult {
                name: topic.name.clone(),
                error_code,
                error_message: None,
            };
            let results = r.topics.iter().map(refused).collect();
            Some(Response::CreatePartitions(CreatePartitionsResponse {
                results,
            }))
        }
        Request::ElectLeaders(_) => Some(Response::ElectLeaders(ElectLeadersResponse {
            error_code,
            results: Vec::new(),
        })),
        Request::IncrementalAlterConfigs(r) => {
            let refused = |r: &AlterConfigsResource| AlterConfigsResult {
                resource: r.resource.clone(),
                error_code,
                error_message: None,
            };
            let responses = r.resources.iter().map(refused).collect();
            Some(Response::IncrementalAlterConfigs(
                IncrementalAlterConfigsResponse { responses },
            ))
        }
        _ => None,
    }
}
