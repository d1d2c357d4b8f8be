//! Every script. Each file states its contract: keys, arguments, replies.

use std::sync::LazyLock;

use sha2::{Digest, Sha256};

/// A Lua script and the digest by which Redis knows it.
#[derive(Debug)]
pub struct Script {
    /// The file's name, for metrics and errors.
    pub name: &'static str,
    /// The text.
    pub source: &'static str,
    sha: LazyLock<String>,
}

macro_rules! scripts {
    ($($(#[$doc:meta])* $constant:ident = $name:literal),* $(,)?) => {
        $(
            $(#[$doc])*
            pub static $constant: Script = Script {
                name: $name,
                source: include_str!(concat!("../../lua/", $name, ".lua")),
                sha: LazyLock::new(|| {
                    redis::Script::new(include_str!(concat!("../../lua/", $name, ".lua")))
                        .get_hash()
                        .to_owned()
                }),
            };
        )*

        /// All of them, loaded when a connection is made.
        pub static ALL: &[&Script] = &[$(&$constant),*];
    };
}

scripts! {
    /// Holds places: all or none.
    HOLD = "hold",
    /// Checkout begins: held -> claiming.
    BEGIN = "begin",
    /// Moves a hold's deadline.
    EXTEND = "extend",
    /// Changes the offers of a hold's places.
    RETYPE = "retype",
    /// Ends a hold; its places come back after a delay.
    RELEASE = "release",
    /// Ends holds past their deadline and frees what comes back.
    SWEEP = "sweep",
    /// Makes records follow Postgres.
    MIRROR = "mirror",
    /// Puts an ask for places that come back in line.
    ASK = "ask",
    /// Takes asks out of the line.
    UNASK = "unask",
    /// What is taken at one instant.
    SNAPSHOT = "snapshot",
    /// Kills places or moves allocations.
    BLOCK = "block",
    /// Opens or closes holds.
    STATE = "state",
    /// Adds stretches to a live event.
    GROW = "grow",
    /// The next number of a waiting room's line.
    NUMBER = "number",
    /// Marks a proof of work as spent.
    SPEND = "spend",
    /// Takes a unit of a limit that all processes share.
    GCRA = "gcra",
}

impl Script {
    /// The SHA-1 that `EVALSHA` takes.
    #[must_use]
    pub fn sha(&self) -> &str {
        &self.sha
    }
}

/// The version of all scripts together: two binaries with the same one can share an event.
#[must_use]
pub fn fingerprint() -> String {
    let mut hash = Sha256::new();
    for script in ALL {
        hash.update(script.source);
    }
    hex::encode(&hash.finalize()[..8])
}
