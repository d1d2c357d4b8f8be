//! Organizers: whoever puts events on sale.

pub mod http;
