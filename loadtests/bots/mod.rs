//! Bots against people: who gets the tickets of an event, with and without the defences.
//!
//! Everybody plays by the API alone, over real HTTP, against a real server with real Postgres and
//! Redis, through addresses that a trusted proxy vouches for. Two things are not what they are in
//! life:
//!
//! - **Time** is simulated ([`timeline`]): what people do seconds or minutes later follows as soon
//!   as everything before it is done. So limits per second see a crowd that is faster than it
//!   would be, never slower; who is told to wait does wait, while the clock of the scene stands.
//! - **Hashes** of proofs are counted ([`budget`]): challenges are asked for, solved and checked,
//!   but are a thousandth as hard, and the attacker's cores pay for a thousand times as many.
//!
//! The tests play a small scene of it; `cargo surge bots` plays all of them.

pub mod budget;
pub mod crowd;
pub mod outcome;
pub mod player;
pub mod scene;
pub mod timeline;
