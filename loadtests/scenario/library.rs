//! The scenarios that come with the program.

/// Names and texts, in the order in which they are listed.
pub const LIBRARY: &[(&str, &str)] = &[
    ("arena", include_str!("../scenarios/arena.toml")),
    ("stadium", include_str!("../scenarios/stadium.toml")),
    ("theatre", include_str!("../scenarios/theatre.toml")),
    ("bot-storm", include_str!("../scenarios/bot-storm.toml")),
    ("flaky-payments", include_str!("../scenarios/flaky-payments.toml")),
    ("server-kill", include_str!("../scenarios/server-kill.toml")),
    ("rolling-restart", include_str!("../scenarios/rolling-restart.toml")),
    ("redis-restart", include_str!("../scenarios/redis-restart.toml")),
    ("postgres-restart", include_str!("../scenarios/postgres-restart.toml")),
    ("miniature", include_str!("../scenarios/miniature.toml")),
    ("must-fail-threshold", include_str!("../scenarios/must-fail-threshold.toml")),
    ("must-fail-corruption", include_str!("../scenarios/must-fail-corruption.toml")),
];
