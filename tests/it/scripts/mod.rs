//! The scripts, against a model: random sequences, brute force, and every reply of every header.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod ask;
mod audit;
mod best;
mod counters;
mod drawing;
mod found;
mod judge;
mod model;
mod replies;
mod retype;
mod sequences;
mod short;
mod steps;
mod timing;
mod world;
