//! What a request is for, decided once by method and route.

use axum::http::Method;

use super::table::NodeLimit;

/// Classes of requests, from the one that may always go on to the one that yields first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Class {
    /// Health and metrics: neither limited nor counted.
    Operate,
    /// Webhooks of payment providers: never refused, because they settle.
    Settle,
    /// Checkout, payments, and orders as their buyers see them.
    Checkout,
    /// Holds.
    Hold,
    /// Organizers by their keys, and gates.
    Organize,
    /// Beginning sessions, signing in.
    SignIn,
    /// Waiting rooms.
    Wait,
    /// Looking around, and what isn't there.
    Browse,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Operate,
        Self::Settle,
        Self::Checkout,
        Self::Hold,
        Self::Organize,
        Self::SignIn,
        Self::Wait,
        Self::Browse,
    ];

    /// The class of a route, by its template, such as `/v1/events/{event}/holds`.
    #[must_use]
    pub fn of(method: &Method, template: &str) -> Self {
        let mut parts = template.split('/').skip(1).peekable();
        parts.next_if_eq(&"v1");
        match parts.next().unwrap_or_default() {
            "health" | "metrics" => Self::Operate,
            "webhooks" => Self::Settle,
            "organizer" => Self::Organize,
            "orders" | "rehearsals" => Self::Checkout,
            "tickets" if method == Method::POST => Self::Organize,
            "sessions" | "sign-in" | "account" | "accounts" if !method.is_safe() => Self::SignIn,
            "events" => Self::of_event(parts.nth(1).unwrap_or_default(), template),
            _ => Self::Browse,
        }
    }

    /// The class of what belongs to an event.
    fn of_event(part: &str, template: &str) -> Self {
        match part {
            "holds" if template.ends_with("/checkout") => Self::Checkout,
            "holds" | "asks" => Self::Hold,
            "waiting-room" | "access" | "registrations" | "presale" => Self::Wait,
            _ => Self::Browse,
        }
    }

    /// Its name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Operate => "operate",
            Self::Settle => "settle",
            Self::Checkout => "checkout",
            Self::Hold => "hold",
            Self::Organize => "organize",
            Self::SignIn => "sign_in",
            Self::Wait => "wait",
            Self::Browse => "browse",
        }
    }

    /// Its limits per address and per session.
    #[must_use]
    pub const fn limits(self) -> (Option<NodeLimit>, Option<NodeLimit>) {
        match self {
            Self::Operate | Self::Settle => (None, None),
            Self::Checkout => (Some(NodeLimit::CheckoutAddress), Some(NodeLimit::CheckoutSession)),
            Self::Hold => (Some(NodeLimit::HoldAddress), Some(NodeLimit::HoldSession)),
            Self::Organize => (Some(NodeLimit::OrganizeAddress), None),
            Self::SignIn => (Some(NodeLimit::SignInAddress), None),
            Self::Wait => (Some(NodeLimit::WaitAddress), Some(NodeLimit::WaitSession)),
            Self::Browse => (Some(NodeLimit::BrowseAddress), Some(NodeLimit::BrowseSession)),
        }
    }

    /// Whether its answers say how much is left. Not those of what everybody sees alike: caches
    /// would tell one client of another's limits.
    #[must_use]
    pub const fn tells(self) -> bool {
        matches!(self, Self::Checkout | Self::Hold | Self::SignIn | Self::Organize)
    }

    /// Whether its bodies are read before it counts as work, so that whoever sends slowly takes
    /// nobody's place. Organizers' are not: their keys are checked before anything is read.
    #[must_use]
    pub const fn reads_first(self) -> bool {
        !matches!(self, Self::Operate | Self::Organize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What has its own line here; every other documented GET is for looking, and every
    /// organizer's route for organizing.
    const EXPECTED: &[(&str, &str, Class)] = &[
        ("post", "/v1/sessions", Class::SignIn),
        ("post", "/v1/sessions/rotate", Class::SignIn),
        ("delete", "/v1/sessions/{session}", Class::SignIn),
        ("delete", "/v1/sessions/current", Class::SignIn),
        ("post", "/v1/sign-in", Class::SignIn),
        ("post", "/v1/sign-in/confirm", Class::SignIn),
        ("post", "/v1/events/{event}/access", Class::Wait),
        ("get", "/v1/events/{event}/registrations", Class::Wait),
        ("get", "/v1/events/{event}/registrations/{registration}", Class::Wait),
        ("get", "/v1/events/{event}/registrations/{registration}/mine", Class::Wait),
        ("post", "/v1/events/{event}/registrations/{registration}", Class::Wait),
        ("delete", "/v1/events/{event}/registrations/{registration}", Class::Wait),
        ("post", "/v1/events/{event}/asks", Class::Hold),
        ("get", "/v1/events/{event}/asks/{ask}", Class::Hold),
        ("delete", "/v1/events/{event}/asks/{ask}", Class::Hold),
        ("get", "/v1/orders", Class::Checkout),
        ("post", "/v1/events/{event}/holds", Class::Hold),
        ("get", "/v1/events/{event}/holds/{hold}", Class::Hold),
        ("delete", "/v1/events/{event}/holds/{hold}", Class::Hold),
        ("patch", "/v1/events/{event}/holds/{hold}", Class::Hold),
        ("post", "/v1/events/{event}/holds/{hold}/extend", Class::Hold),
        ("post", "/v1/events/{event}/holds/{hold}/checkout", Class::Checkout),
        ("get", "/v1/orders/{order}", Class::Checkout),
        ("post", "/v1/orders/{order}/cancel", Class::Checkout),
        ("post", "/v1/orders/{order}/payments", Class::Checkout),
        ("post", "/v1/orders/{order}/confirmation", Class::Checkout),
        ("put", "/v1/orders/{order}/email", Class::Checkout),
        ("get", "/v1/orders/{order}/tickets/{ticket}/{format}", Class::Checkout),
        ("post", "/v1/tickets/verify", Class::Organize),
        ("post", "/webhooks/{provider}", Class::Settle),
    ];

    /// The pages' and operators' routes that are not for looking.
    const PAGES: &[(&str, &str, Class)] = &[
        ("get", "/health/live", Class::Operate),
        ("get", "/health/ready", Class::Operate),
        ("get", "/metrics", Class::Operate),
        ("post", "/events/{slug}/holds", Class::Hold),
        ("post", "/events/{slug}/asks", Class::Hold),
        ("post", "/events/{slug}/asks/{ask}/withdraw", Class::Hold),
        ("get", "/events/{slug}/waiting-room", Class::Wait),
        ("post", "/events/{slug}/waiting-room/join", Class::Wait),
        ("post", "/events/{slug}/waiting-room/enter", Class::Wait),
        ("post", "/events/{slug}/waiting-room/give-up", Class::Wait),
        ("get", "/events/{slug}/presale", Class::Wait),
        ("post", "/events/{slug}/presale/{id}/register", Class::Wait),
        ("post", "/events/{slug}/presale/{id}/withdraw", Class::Wait),
        ("post", "/sign-in", Class::SignIn),
        ("post", "/sign-in/code", Class::SignIn),
        ("post", "/sign-in/link", Class::SignIn),
        ("post", "/account/sign-out", Class::SignIn),
        ("post", "/account/sessions/{session}/end", Class::SignIn),
        ("get", "/events/{slug}/holds/{hold}", Class::Hold),
        ("post", "/events/{slug}/holds/{hold}/extend", Class::Hold),
        ("post", "/events/{slug}/holds/{hold}/change", Class::Hold),
        ("post", "/events/{slug}/holds/{hold}/release", Class::Hold),
        ("post", "/events/{slug}/holds/{hold}/checkout", Class::Checkout),
        ("get", "/orders/{order}", Class::Checkout),
        ("post", "/orders/{order}/pay", Class::Checkout),
        ("get", "/rehearsals/pay/{payment}", Class::Checkout),
        ("post", "/rehearsals/pay/{payment}", Class::Checkout),
        ("post", "/orders/{order}/cancel", Class::Checkout),
        ("post", "/orders/{order}/confirmation", Class::Checkout),
        ("post", "/orders/{order}/email", Class::Checkout),
        ("get", "/", Class::Browse),
        ("get", "/events/{slug}", Class::Browse),
        ("get", "/events/{slug}/choose", Class::Browse),
        ("get", "/events/{slug}/sections/{code}", Class::Browse),
        ("get", "/static/{version}/{name}", Class::Browse),
    ];

    fn class(method: &str, path: &str) -> Class {
        Class::of(&method.to_uppercase().parse().unwrap(), path)
    }

    #[test]
    fn every_documented_route_is_of_the_class_it_should_be() {
        let document = crate::http::openapi::document().to_json().unwrap();
        let document: serde_json::Value = serde_json::from_str(&document).unwrap();
        let mut seen = 0;
        for (path, item) in document["paths"].as_object().unwrap() {
            for method in item.as_object().unwrap().keys() {
                let listed =
                    EXPECTED.iter().find(|(m, p, _)| (m, p) == (&method.as_str(), &path.as_str()));
                let waits = path.contains("/waiting-room") || path.contains("/pass");
                let expected = match listed {
                    Some((_, _, class)) => *class,
                    None if path.starts_with("/v1/organizer/") => Class::Organize,
                    None if waits => Class::Wait,
                    // What changes something must be listed.
                    None => {
                        assert_eq!(method, "get", "{path} has no class in the table");
                        Class::Browse
                    }
                };
                assert_eq!(class(method, path), expected, "{method} {path}");
                seen += usize::from(listed.is_some());
            }
        }
        assert_eq!(seen, EXPECTED.len(), "a listed route is not documented any more");
    }

    #[test]
    fn pages_are_of_the_class_of_what_they_do() {
        for (method, path, expected) in PAGES {
            assert_eq!(class(method, path), *expected, "{method} {path}");
        }
        // Every form of the pages is in the table.
        let source = include_str!("../../web/mod.rs");
        for line in source.lines().filter(|line| line.contains("post(")) {
            let path = line.split('"').nth(1).unwrap();
            assert!(PAGES.iter().any(|(m, p, _)| (*m, *p) == ("post", path)), "{path}");
        }
    }

    #[test]
    fn only_operators_and_settlement_are_without_limits() {
        for class in Class::ALL {
            let free = matches!(class, Class::Operate | Class::Settle);
            assert_eq!(class.limits().0.is_none(), free, "{class:?}");
        }
    }
}
