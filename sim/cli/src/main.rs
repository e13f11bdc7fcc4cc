//! The `klab` command.
fn main() {}
