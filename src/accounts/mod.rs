//! Buyers. Until they sign in, a buyer is the subject of an anonymous session and an e-mail.

pub mod email;
pub mod http;
