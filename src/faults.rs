//! Places where a test can make a process die: between any two steps of a ticket's path.
//!
//! In debug builds `ONSALE_DIE_AT=name` makes the process kill itself, as kill -9 would, when it
//! comes by that name; release builds have nothing of it.

/// Dies here if this is the place.
#[cfg(debug_assertions)]
pub fn point(name: &str) {
    use std::sync::OnceLock;
    static PLACE: OnceLock<Option<String>> = OnceLock::new();
    let place = PLACE.get_or_init(|| std::env::var("ONSALE_DIE_AT").ok());
    if place.as_deref() == Some(name) {
        let pid = rustix::process::getpid();
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

/// Nothing.
#[cfg(not(debug_assertions))]
pub fn point(_: &str) {}
