//! Tickets: the right to enter, as a signed code that can be verified without a connection.

pub mod code;
pub mod http;
pub mod qr;
