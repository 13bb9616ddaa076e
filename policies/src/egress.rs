//! Where the gateway may connect to.
//!
//! Base URLs are set by the platform's operator, so private and loopback addresses are theirs to
//! use (a model server next door). Link-local addresses never are: they lead to the metadata
//! services of clouds, which hand out credentials.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Metadata services outside of the link-local ranges: AWS over IPv6, Alibaba Cloud.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
const METADATA_V4: Ipv4Addr = Ipv4Addr::new(100, 100, 100, 200);

/// True for addresses to which no connection is ever made: link-local (RFC 3927, RFC 4291),
/// metadata services, multicast, unspecified and broadcast, also when mapped into IPv6.
pub fn is_forbidden(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            address.is_link_local()
                || address.is_multicast()
                || address.is_unspecified()
                || address.is_broadcast()
                || address == METADATA_V4
        }
        IpAddr::V6(address) => {
            address.is_unicast_link_local()
                || address.is_multicast()
                || address.is_unspecified()
                || address == METADATA_V6
        }
    }
}

/// Checks a provider's base URL: scheme, no user, query or fragment, and no forbidden address.
/// What a name resolves to is checked again at each connect.
pub fn check_base_url(url: &str) -> Result<(), String> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let Some(rest) = rest else { return Err("must begin with http:// or https://".to_owned()) };
    if url.contains(['?', '#', '@', '\\']) || url.chars().any(|it| it.is_whitespace()) {
        return Err("must have no user, query, fragment, backslash or white space".to_owned());
    }
    let authority = rest.split('/').next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    if host.is_empty() {
        return Err("names no host".to_owned());
    }
    match host.parse::<IpAddr>() {
        Ok(address) if is_forbidden(address) => {
            Err(format!("`{address}` is link-local or reserved, and never connected to"))
        }
        Ok(_) => Ok(()),
        Err(_) if host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') => {
            Err(format!("`{host}` is not an address"))
        }
        Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_services_are_out_of_reach_in_every_spelling() {
        for url in [
            "http://169.254.169.254/latest",
            "http://[::ffff:169.254.169.254]/",
            "http://[fe80::1]/v1",
            "http://[fd00:ec2::254]/",
            "http://100.100.100.200",
            "http://0.0.0.0:80/",
            "http://2852039166/",
            "ftp://example.com",
            "http://user@example.com",
            "http://",
        ] {
            assert!(check_base_url(url).is_err(), "{url}");
        }
    }

    #[test]
    fn the_operator_may_use_private_addresses() {
        for url in ["http://127.0.0.1:9/v1", "http://10.0.0.1", "https://api.example.com/v1"] {
            assert_eq!(check_base_url(url), Ok(()), "{url}");
        }
    }
}
