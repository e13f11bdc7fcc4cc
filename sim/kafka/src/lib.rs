//! Kafka's own protocols as passive state machines.
