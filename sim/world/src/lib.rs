//! Where Kafka happens: virtual time, a network, disks and clocks that faults can spoil, scenarios, checkers and verdicts.

pub mod ambush;
pub mod app;
pub mod census;
pub mod check;
pub mod clocks;
pub mod digest;
pub mod disks;
pub mod exercise;
pub mod fault;
pub mod frame;
mod lifecycle;
pub mod line;
mod machinery;
pub mod met;
pub mod network;
pub mod outcome;
#[cfg(test)]
mod perturbing;
pub mod process;
pub mod queue;
pub mod refusal;
pub mod roll;
pub mod run;
pub mod scenario;
pub mod select;
pub mod setup;
pub mod steps;
pub mod streams;
pub mod swarm;
pub mod telling;
pub mod timeline;
pub mod topics;
pub mod trace;
pub mod verdict;
pub mod view;
pub mod why;
pub mod world;
