//! Clients: the network hand of every role, the client's metadata, and the producer, consumer and admin client.

pub mod admin;
pub mod backoff;
pub mod connections;
pub mod consumer;
pub mod metadata;
pub mod network;
pub mod producer;

#[cfg(test)]
pub(crate) mod capture;
#[cfg(test)]
pub(crate) mod machine;
