//! Organizers: whoever puts events on sale, known by API keys.
//!
//! Every route of theirs takes its permission as a type ([`permit::Can`], [`permit::Own`]): a
//! handler that asks for none gets neither an organizer nor an event. What they change is
//! written by [`crate::catalog::edit`].

pub mod creations;
pub mod http;
pub mod keys;
pub mod permit;
pub mod rules;
