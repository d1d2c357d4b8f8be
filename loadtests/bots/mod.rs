//! Bots against people: who gets the tickets of a small event, with and without the defences.
//!
//! Everybody plays by the API alone, over real HTTP, through addresses that a trusted proxy
//! vouches for. What is not played is time: people's delays only decide who asks first, and
//! hashes are counted instead of computed, except for the one run that shows how many a core does.
//!
//! The tests play a small scene of it; `cargo surge bots` plays all of them.

pub mod budget;
pub mod player;
pub mod scene;
