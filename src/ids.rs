//! Identifiers as types of their own: an order can't be passed where an event is asked for.
//!
//! All are UUIDs. Those that name rows a person creates are version 7, so that indexes grow at
//! one end; a hold's id is derived (see [`crate::holds`]) so that a retry finds the same hold.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
            utoipa::ToSchema,
        )]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new time-ordered id.
            #[must_use]
            pub fn fresh() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }
    };
}

id!(
    /// An organizer: whoever puts events on sale.
    OrganizerId
);
id!(
    /// A venue: where events take place.
    VenueId
);
id!(
    /// An event on sale.
    EventId
);
id!(
    /// What can be bought: price level x price type.
    OfferId
);
id!(
    /// An ask for places that come back; its hold's id derives from it.
    AskId
);
id!(
    /// A promo code.
    PromoId
);
id!(
    /// A channel with its own allocation of places.
    ChannelId
);
id!(
    /// A buyer: until they sign in, the subject of an anonymous session.
    AccountId
);
id!(
    /// A hold, and later the order that it becomes.
    HoldId
);
id!(
    /// A payment attempt of an order.
    AttemptId
);
id!(
    /// A refund.
    RefundId
);

impl HoldId {
    /// The order that this hold becomes: one id from hold to ticket.
    #[must_use]
    pub const fn order(self) -> OrderId {
        OrderId(self.0)
    }
}

id!(
    /// An order. It has the id of the hold it was made from.
    OrderId
);
id!(
    /// The session of a buyer who has signed in.
    SessionId
);
