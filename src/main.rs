//! The command line: `main` only dispatches.
fn main() {}
