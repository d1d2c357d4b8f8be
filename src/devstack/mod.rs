//! A private, real Postgres and a private, real Redis in a directory: for the demo, for tests,
//! and for whoever develops.
//!
//! Each server is, in this order: the one whose URL was given; a program found on the machine; a
//! program fetched by the machine's own package clients, pinned and hash-checked, into the data
//! directory. The system itself is left alone unless `install` asks otherwise.
//!
//! Servers listen on loopback only, on free ports, with random passwords. They end with the
//! process that started them, even if that is killed ([`watchdog`]), or, when shared, soon after
//! their last user ([`sharing`]).
//!
//! Files are read and written synchronously here: this runs before anything is served.

mod apt;
mod cluster;
mod databases;
mod error;
mod foreground;
mod home;
mod install;
mod machine;
mod options;
mod postgres;
mod process;
mod programs;
mod redis;
mod server_user;
mod sharing;
mod stack;
#[cfg(test)]
mod tests;
mod unpack;
mod watchdog;
mod wheels;

pub use self::error::DevstackError;
pub use self::foreground::{run_foreground, run_with};
pub use self::options::{Options, Progress, Sharing};
pub use self::stack::Stack;

/// The database that is created at the first start.
const DATABASE: &str = "onsale";

/// How often a server is started anew because its port was taken in the meantime.
const START_ATTEMPTS_MAX: u32 = 3;
