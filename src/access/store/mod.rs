//! Code sets, codes and redemptions in Postgres.

mod codes;
mod sets;

pub use codes::{
    CodeRow, Redeemed, add_batch, add_codes, batch_key, codes, known, redeem, revoke_code,
};
pub use sets::{SetRow, add_set, close_lane, close_offer, load, make_room, revoke_set, sets};
