//! The real `native` binary, driven as a user drives it.
