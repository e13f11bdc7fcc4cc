//! Where Kafka happens.
