//! Tests on the real stack: one binary, real Postgres and Redis, real HTTP.
//!
//! Each test has its own database and its own prefix in Redis, so all run at once. Workers don't
//! run by themselves unless a test asks for them: tests drive them by hand and never sleep to
//! wait for something to have happened.

mod crowd;
mod mail;
mod path;
mod support;
