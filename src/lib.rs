//! onsale: an event ticket sales engine for high-demand onsales.
//!
//! Redis admits, Postgres decides, and no money moves before Postgres has decided.
//!
//! The modules are the steps of a ticket's path:
//!
//! ```text
//! waiting_room ──▶ holds ──▶ checkout ──▶ payments ──▶ orders ──▶ tickets
//! no state per     Redis,    Postgres,    provider,    Postgres,  signed
//! visitor, a pass  1 script  1 commit     webhook      1 commit   codes
//! ```
//!
//! What must be true of this code, above all of what is absent:
//!
//! - A place is sold once because `claims` has a primary key on it, and `tickets` a unique index;
//!   everything else only makes it fast and fair.
//! - Only [`checkout`] turns a hold into an order; no payment provider is asked before its commit.
//! - No clock ends a record that checkout has begun with.
//! - No handler builds a Redis key: [`redis::keys`] has every key, [`redis::scripts`] every script.
//! - No step imports another step's handlers except to share what they show (`*View`).
//! - Nothing is told to anyone before the commit that makes it true.

pub mod access;
pub mod accounts;
pub mod app;
pub mod audit;
pub mod catalog;
pub mod checkout;
pub mod cli;
pub mod config;
pub mod db;
pub mod demo;
pub mod devstack;
pub mod faults;
pub mod holds;
pub mod http;
pub mod ids;
pub mod keyring;
pub mod mail;
pub mod money;
pub mod orders;
pub mod organizers;
pub mod payments;
pub mod redis;
pub mod registrations;
pub mod rehearsals;
pub mod serve;
pub mod suspicion;
pub mod tickets;
pub mod waiting_room;
pub mod web;
pub mod words;
pub mod workers;

pub use words::{counted, say};
