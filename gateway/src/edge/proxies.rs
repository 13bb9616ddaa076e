//! Whose request it is where a proxy of ours stands in front.

use http::HeaderMap;
use ipnet::IpNet;
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

/// Each proxy appends the address that it was asked from (the de facto standard beside RFC 7239).
const HEADER: &str = "x-forwarded-for";

/// Proxies whose word is taken about whom they speak for.
#[derive(Clone, Debug, Default)]
pub struct Proxies(Arc<[IpNet]>);

impl Proxies {
    pub fn new(networks: &[IpNet]) -> Self {
        Self(networks.into())
    }

    /// The peer, or where that is one of the proxies the last address in the header that is none
    /// of them: what stands before it may be written by anyone.
    pub fn asker(&self, peer: SocketAddr, headers: &HeaderMap) -> SocketAddr {
        let mut asker = peer;
        if !self.holds(asker.ip()) {
            return asker;
        }
        let lines = headers.get_all(HEADER).iter().rev();
        let named = lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(','));
        for text in named {
            // A proxy of ours writes addresses: what is none is not of its making.
            let Some(address) = address(text.trim()) else { return asker };
            asker = SocketAddr::new(address, 0);
            if !self.holds(address) {
                return asker;
            }
        }
        asker
    }

    fn holds(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// An address, with or without a port.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let with_port = || text.parse::<SocketAddr>().ok().map(|it| it.ip());
    bare.parse().ok().or_else(with_port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asker(peer: &str, lines: &[&str]) -> String {
        let networks = ["10.0.0.0/8", "2001:db8:1::/48"].map(|it| it.parse().unwrap());
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(HEADER, line.parse().unwrap());
        }
        let peer = SocketAddr::new(peer.parse().unwrap(), 1234);
        Proxies::new(&networks).asker(peer, &headers).ip().to_string()
    }

    #[test]
    fn only_a_proxy_of_ours_says_whose_request_it_is() {
        assert_eq!(asker("203.0.113.9", &["198.51.100.1"]), "203.0.113.9");
        assert_eq!(asker("10.1.1.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(asker("::ffff:10.1.1.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(asker("2001:db8:1::7", &["[2001:db8:2::1]:443"]), "2001:db8:2::1");
    }

    #[test]
    fn what_a_caller_wrote_before_the_proxies_is_not_believed() {
        assert_eq!(asker("10.1.1.1", &["127.0.0.1, 198.51.100.1"]), "198.51.100.1");
        assert_eq!(asker("10.1.1.1", &["127.0.0.1", "198.51.100.1, 10.2.2.2"]), "198.51.100.1");
        assert_eq!(asker("10.1.1.1", &["127.0.0.1, unknown"]), "10.1.1.1");
        assert_eq!(asker("10.1.1.1", &["127.0.0.1, unknown, 10.2.2.2"]), "10.2.2.2");
        assert_eq!(asker("10.1.1.1", &[]), "10.1.1.1");
    }
}
