//! The `whofreed` command.
fn main() {}
