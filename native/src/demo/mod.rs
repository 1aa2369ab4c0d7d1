//! `native demo`: the page and its models, served to this machine's browser and to nobody else.

mod answer;
mod server;
mod site;

pub use server::{listen, serve};
pub use site::Site;
