//! Kafka's own protocols as passive state machines: brokers, KRaft controllers and clients.
//!
//! A process is a value with one method, `handle(input, cx)`. It learns everything through [`input::Input`] and does
//! everything through [`context::Context`]; it knows no clock, thread, file or socket but those.

pub mod broker;
pub mod client;
pub mod config;
pub mod context;
pub mod controller;
pub mod decision;
pub mod disk;
pub mod effect;
pub mod event;
pub mod ids;
pub mod input;
pub mod log;
pub mod protocol;
pub mod raft;
pub mod rules;
pub mod sorted;
pub mod time;
pub mod timer;
