//! Tests on the real stack: one binary, real Postgres and Redis, real HTTP.
//!
//! Each test has its own database and its own prefix in Redis, so all run at once. Workers don't
//! run by themselves unless a test asks for them: tests drive them by hand and never sleep to
//! wait for something to have happened.

#![allow(dead_code, reason = "each helper is for some of the tests")]
#![allow(clippy::unused_async, reason = "helpers of one kind are called in one way")]
#![allow(clippy::large_futures, reason = "a test's future may be large")]
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod access;
mod accounts;
mod audit;
mod availability;
mod bad_inputs;
mod bots;
mod contact;
mod crowd;
mod details;
mod due;
mod embedding;
mod expiry;
mod faults;
mod fuzz;
mod http2;
mod languages;
mod limits;
mod losing_postgres;
mod losing_redis;
mod mail;
mod misbehaving_provider;
mod organizers;
mod path;
mod proof;
mod returns;
mod retype;
mod rolling_restart;
mod scripts;
mod starting;
mod support;
mod suspicion;
mod waiting_pages;
mod waiting_room;
