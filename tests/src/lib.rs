//! Cluster stories.
