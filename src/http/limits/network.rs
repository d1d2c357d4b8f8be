//! Who a client is, by address: what its peer says is believed only of trusted proxies.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap};
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::rehearsals::tag::Played;

/// Addresses that agree in their leading bits: `10.0.0.0/8`, or a single address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Whether `address` lies in it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.address.is_ipv4() && prefix(address, self.bits) == self.address
    }
}

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self { address, bits: if address.is_ipv4() { 32 } else { 128 } }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text}: neither an address nor a network such as 10.0.0.0/8");
        let Some((address, bits)) = text.split_once('/') else {
            return text.parse::<IpAddr>().map(Self::from).map_err(|_| wrong());
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let bits: u8 = bits.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        if bits > most || prefix(address, bits) != address {
            return Err(format!("{text}: at most {most} bits, and none set after them"));
        }
        Ok(Self { address, bits })
    }
}

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

/// The address with only its first `bits` bits.
#[must_use]
pub fn prefix(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits.min(32))).unwrap_or(0);
            Ipv4Addr::from_bits(v4.to_bits() & mask).into()
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits.min(128))).unwrap_or(0);
            Ipv6Addr::from_bits(v6.to_bits() & mask).into()
        }
    }
}

/// The network of an address: whoever has one address of it can easily have all of them.
#[must_use]
pub fn network(address: IpAddr) -> IpAddr {
    let address = address.to_canonical();
    prefix(address, if address.is_ipv4() { 24 } else { 48 })
}

/// The client's address: the peer's, or the last hop's before a trusted proxy.
///
/// Only `X-Forwarded-For` is read, because proxies that append to it leave what clients send in
/// other headers as it is.
#[must_use]
pub fn client_address(trusted: &[Network], peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    let is_trusted = |address| trusted.iter().any(|network| network.contains(address));
    let mut address = peer.to_canonical();
    if trusted.is_empty() || !is_trusted(address) {
        return address;
    }
    let values = headers.get_all("x-forwarded-for").iter().rev();
    let hops = values.flat_map(|value| value.to_str().unwrap_or_default().rsplit(','));
    // From the right: each trusted hop vouches for the one before it, nobody else does.
    for hop in hops {
        let Some(hop) = read_hop(hop.trim()) else { break };
        address = hop;
        if !is_trusted(address) {
            break;
        }
    }
    address
}

/// Some proxies add the port.
fn read_hop(text: &str) -> Option<IpAddr> {
    let address = text.parse::<IpAddr>().ok();
    let address = address.or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()));
    address.map(|address| address.to_canonical())
}

/// Whose request it is, as far as limits per address are concerned: a prefix of the client's
/// address, as configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Client(pub IpAddr);

impl Client {
    /// The client of a request; none without a connection, as in tests of a bare router.
    #[must_use]
    pub fn of(app: &App, extensions: &Extensions, headers: &HeaderMap) -> Option<Self> {
        if let Some(played) = extensions.get::<Played>() {
            return Some(Self(played.address));
        }
        let peer = extensions.get::<ConnectInfo<SocketAddr>>()?.0.ip();
        let address = client_address(&app.config.http.trusted_proxies, peer, headers);
        let limits = &app.config.limits;
        let bits = if address.is_ipv4() { limits.ipv4_prefix } else { limits.ipv6_prefix };
        Some(Self(prefix(address, bits)))
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromRequestParts<Arc<App>> for Client {
    type Rejection = std::convert::Infallible;

    /// Requests without a connection share one client.
    async fn from_request_parts(
        parts: &mut Parts,
        app: &Arc<App>,
    ) -> Result<Self, Self::Rejection> {
        let client = Self::of(app, &parts.extensions, &parts.headers);
        Ok(client.unwrap_or(Self(Ipv4Addr::UNSPECIFIED.into())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn headers(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", value.parse().unwrap());
        headers
    }

    #[test]
    fn only_trusted_proxies_are_believed_and_from_the_right() {
        let (proxy, trusted) = (ip("10.0.0.1"), [Network::from(ip("10.0.0.1"))]);
        let forged = headers("1.1.1.1, 2.2.2.2");
        assert_eq!(client_address(&[], proxy, &forged), proxy);
        assert_eq!(client_address(&trusted, ip("10.0.0.2"), &forged), ip("10.0.0.2"));
        assert_eq!(client_address(&trusted, proxy, &forged), ip("2.2.2.2"));
        let two = headers("1.1.1.1, 2.2.2.2, 10.0.0.1");
        assert_eq!(client_address(&trusted, proxy, &two), ip("2.2.2.2"));
        assert_eq!(client_address(&trusted, proxy, &headers("nonsense")), proxy);
        assert_eq!(client_address(&trusted, proxy, &headers("9.9.9.9:81")), ip("9.9.9.9"));
        assert_eq!(
            client_address(&trusted, proxy, &headers("[2001:db8::1]:81")),
            ip("2001:db8::1")
        );
        let mut several = headers("1.1.1.1");
        several.append("x-forwarded-for", "3.3.3.3".parse().unwrap());
        assert_eq!(client_address(&trusted, proxy, &several), ip("3.3.3.3"));
    }

    #[test]
    fn networks_of_proxies_are_trusted() {
        let trusted: Vec<Network> =
            ["10.0.0.0/8", "fd00::/8", "192.0.2.7"].map(|text| text.parse().unwrap()).into();
        let chain = headers("8.8.8.8, 203.0.113.9, 10.250.1.1, fd12::3");
        for peer in ["10.1.2.3", "fd00::9", "192.0.2.7", "::ffff:10.1.2.3"] {
            assert_eq!(client_address(&trusted, ip(peer), &chain), ip("203.0.113.9"), "{peer}");
        }
        assert_eq!(client_address(&trusted, ip("192.0.2.8"), &chain), ip("192.0.2.8"));
        for text in ["10.0.0.0/33", "10.0.0.1/8", "10.0.0.0/-1", "10.0.0.0/", "x", "", "fd00::/129"]
        {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
        let all: Network = "0.0.0.0/0".parse().unwrap();
        assert!(all.contains(ip("1.2.3.4")) && !all.contains(ip("::1")));
        assert_eq!("fd00::/8".parse::<Network>().unwrap().to_string(), "fd00::/8");
    }

    #[test]
    fn an_ipv6_client_is_its_network() {
        assert_eq!(prefix(ip("2001:db8:1:2:3:4:5:6"), 64), ip("2001:db8:1:2::"));
        assert_eq!(prefix(ip("192.0.2.77"), 24), ip("192.0.2.0"));
        assert_eq!(prefix(ip("192.0.2.77"), 32), ip("192.0.2.77"));
        assert_eq!(network(ip("::ffff:192.0.2.77")), ip("192.0.2.0"));
        assert_eq!(network(ip("2001:db8:1:2::1")), ip("2001:db8:1::"));
        assert_eq!(prefix(ip("2001:db8::1"), 0), ip("::"));
        // An IPv4 client of a socket for both is no part of one large IPv6 network.
        assert_eq!(client_address(&[], ip("::ffff:192.0.2.1"), &HeaderMap::new()), ip("192.0.2.1"));
    }
}
