//! `native`: the command line of clinicalbert.
fn main() {}
