//! Where the gateway may connect to.
//!
//! Base URLs are set by the platform's operator, so private and loopback addresses are theirs to
//! use (a model server next door). Link-local addresses never are: they lead to the metadata
//! services of clouds, which hand out credentials.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Metadata services outside of the link-local ranges: Alibaba Cloud; Azure's host agent, which
/// answers every virtual machine (Azure, "What is IP address 168.63.129.16?"); Oracle Cloud.
const METADATA_V4: [Ipv4Addr; 3] = [
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(192, 0, 0, 192),
];
/// The first two groups of AWS's local services over IPv6, metadata and credentials among them.
const AWS_LOCAL: [u16; 2] = [0xfd00, 0xec2];
/// Google Cloud over IPv6.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254);

/// True for addresses to which no connection is ever made: link-local (RFC 3927, RFC 4291),
/// metadata services, multicast, unspecified and broadcast, also when carried in an IPv6 address
/// in any of the ways that [`carried`] knows.
pub fn is_forbidden(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_forbidden_v4(address),
        IpAddr::V6(address) => {
            let [first, second, ..] = address.segments();
            address.is_unicast_link_local()
                || address.is_multicast()
                || address.is_unspecified()
                || [first, second] == AWS_LOCAL
                || address == METADATA_V6
                || carried(address).into_iter().flatten().any(is_forbidden_v4)
        }
    }
}

fn is_forbidden_v4(address: Ipv4Addr) -> bool {
    address.is_link_local()
        || address.is_multicast()
        || address.is_unspecified()
        || address.is_broadcast()
        || METADATA_V4.contains(&address)
}

/// True for addresses that are not of the public internet: loopback, private (RFC 1918, RFC 4193),
/// shared (RFC 6598), and others of special use (RFC 6890), also when carried in an IPv6 address;
/// and all of those that lead through a relay or translator of somebody's network.
pub fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_private_v4(address),
        IpAddr::V6(address) => {
            let [first, ..] = address.segments();
            address.is_loopback()
                || address.is_unique_local()
                || first & 0xffc0 == 0xfec0
                || is_relayed(address)
                || carried(address).into_iter().flatten().any(is_private_v4)
        }
    }
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    let [first, second, third, _] = address.octets();
    address.is_loopback()
        || address.is_private()
        || first == 0
        || 240 <= first
        || (first == 100 && second & 0xc0 == 64)
        || (first == 198 && second & 0xfe == 18)
        || (first, second, third) == (192, 0, 0)
}

/// Where packets end is up to a translator or relay that is nobody's on the public internet:
/// SIIT (RFC 7915), local NAT64 (RFC 8215), Teredo (RFC 4380), 6to4 (RFC 3056, RFC 7526), ISATAP
/// (RFC 5214).
fn is_relayed(address: Ipv6Addr) -> bool {
    matches!(
        address.segments(),
        [0, 0, 0, 0, 0xffff, 0, _, _]
            | [0x64, 0xff9b, 1, ..]
            | [0x2001, 0, ..]
            | [0x2002, ..]
            | [_, _, _, _, 0 | 0x200, 0x5efe, _, _]
    )
}

/// The IPv4 addresses to which packets for this one may go in the end: mapped or compatible (RFC
/// 4291, 2.5.5), NAT64 in each of its forms (RFC 6052, section 2.2), and the ways of
/// [`is_relayed`].
fn carried(address: Ipv6Addr) -> [Option<Ipv4Addr>; 4] {
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Some(Ipv4Addr::new(a, b, c, d))
    };
    let one = |high, low| [v4(high, low), None, None, None];
    // The 16 bits that begin in the middle of one group and end in the next one's.
    let across = |left: u16, right: u16| left << 8 | right >> 8;
    match address.segments() {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..]
        | [_, _, _, _, 0 | 0x200, 0x5efe, high, low] => one(high, low),
        [0x64, 0xff9b, 1, d, e, f, high, low] => {
            let (wide, middle) = (v4(d, across(e, f)), v4(d << 8 | e & 0xff, f));
            [wide, middle, v4(across(e, f), across(f, high)), v4(high, low)]
        }
        [0x2001, 0, high, low, .., far, end] => [v4(high, low), v4(!far, !end), None, None],
        _ => [None; 4],
    }
}

/// Whether the host of a base URL is an address that is written out and private. What a name
/// resolves to is looked at when it is connected to.
pub fn is_private_url(url: &str) -> bool {
    let host = host(url);
    host == "localhost" || host.parse().is_ok_and(is_private)
}

/// Whether the host of a base URL is this machine, by a name or address that says so.
pub fn is_loopback_url(url: &str) -> bool {
    let host = host(url);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The host of a URL, an IPv6 address without its brackets.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((literal, _)) => literal,
        None => authority.split(':').next().unwrap_or_default(),
    }
}

/// Checks a provider's base URL: scheme, no user, query or fragment, a host as in [`check_host`],
/// and a port that can be. What a name resolves to is checked again at each connect.
pub fn check_base_url(url: &str) -> Result<(), String> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let Some(rest) = rest else { return Err("must begin with http:// or https://".to_owned()) };
    let wrong = |it: char| it.is_whitespace() || it.is_control();
    if url.contains(['?', '#', '@', '\\']) || url.contains(wrong) {
        return Err("must have no user, query, fragment, backslash or white space".to_owned());
    }
    let authority = rest.split('/').next().unwrap_or_default();
    let (host, port) = match authority.find(']') {
        Some(end) => authority.split_at(end + 1),
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let digits = match port.strip_prefix(':') {
        None if port.is_empty() => return check_host(host),
        digits => digits.unwrap_or_default(),
    };
    if !digits.bytes().all(|byte| byte.is_ascii_digit())
        || !matches!(digits.parse(), Ok(1..=u16::MAX))
    {
        return Err("has a port that cannot be".to_owned());
    }
    check_host(host)
}

/// Checks the host of a URL, an IPv6 address in its brackets. An address must be written out in
/// full and be none that [`is_forbidden`]: clients of a connection take it as it is and ask no
/// resolver.
pub fn check_host(host: &str) -> Result<(), String> {
    if let Some(literal) = host.strip_prefix('[') {
        let address = literal.strip_suffix(']').and_then(|it| it.parse::<Ipv6Addr>().ok());
        let address = address.ok_or_else(|| format!("`{host}` is not an address"))?;
        return check_address(IpAddr::V6(address));
    }
    if host.is_empty() {
        return Err("names no host".to_owned());
    }
    if let Ok(address) = host.parse::<Ipv4Addr>() {
        return check_address(IpAddr::V4(address));
    }
    if is_number(host) {
        return Err(format!("`{host}` is not an address in full decimal form"));
    }
    if host.bytes().any(|byte| !byte.is_ascii_alphanumeric() && !b"-_.".contains(&byte)) {
        return Err(format!("`{host}` is not the name of a host"));
    }
    Ok(())
}

fn check_address(address: IpAddr) -> Result<(), String> {
    if is_forbidden(address) {
        return Err(format!("`{address}` is link-local or reserved, and never connected to"));
    }
    Ok(())
}

/// Whether resolvers take it for an IPv4 address in one of the old spellings (decimal, octal,
/// hexadecimal, one to four parts): its last label is a number. No top-level domain is one (URL
/// Standard, "ends in a number").
fn is_number(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let last = host.rsplit('.').next().unwrap_or_default();
    let hex = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    match hex {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => last.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_services_are_out_of_reach_in_every_spelling() {
        for url in [
            "http://169.254.169.254/latest",
            "http://169.254.169.254./latest",
            "http://[::ffff:169.254.169.254]/",
            "http://[::169.254.169.254]/",
            "http://[64:ff9b::169.254.169.254]/",
            "http://[64:ff9b::a83f:8110]/",
            "http://[2002:a9fe:a9fe::1]/",
            "http://[::ffff:0:169.254.169.254]/",
            "http://[64:ff9b:1::169.254.169.254]/",
            "http://[64:ff9b:1:a9fe:a9:fe00::]/",
            "http://[64:ff9b:1:a9:fe:a9fe::]/",
            "http://[64:ff9b:1:0:a9:fea9:fe00:0]/",
            "http://[2001::5601:5601]/",
            "http://[2001:db8::5efe:169.254.169.254]/",
            "http://[2001:db8::200:5efe:169.254.169.254]/",
            "http://[fe80::1]/v1",
            "http://[fd00:ec2::254]/",
            "http://[fd00:ec2::23]/",
            "http://[fd20:ce::254]/",
            "http://[::]/",
            "http://100.100.100.200",
            "http://168.63.129.16/metadata",
            "http://192.0.0.192",
            "http://0.0.0.0:80/",
        ] {
            assert!(check_base_url(url).is_err(), "{url}");
        }
    }

    #[test]
    fn an_address_has_one_spelling() {
        for host in [
            "2852039166",
            "2130706433",
            "0x7f.1",
            "0x7f000001",
            "0X7F.0.0.0x1",
            "127.1",
            "0177.0.0.1",
            "127.0.0.01",
            "127.0.0.1.",
            "example.0x",
            "1.2.3.4.5",
            ".",
        ] {
            assert!(check_host(host).is_err(), "{host}");
            assert!(check_base_url(&format!("http://{host}:80/v1")).is_err(), "{host}");
        }
    }

    #[test]
    fn what_is_no_base_url_is_refused() {
        for url in [
            "ftp://example.com",
            "http://user@example.com",
            "http://",
            "http:///v1",
            "http://[::1/v1",
            "http://[::1]x/v1",
            "http://[fe80::1%25eth0]/",
            "http://::1/v1",
            "http://example.com:0/",
            "http://example.com:/",
            "http://example.com:65536/",
            "http://example.com:+80/",
            "http://exa%6dple.com/",
            "http://ex\u{7f}ample.com/",
            "http://\u{ff11}27.0.0.1/",
        ] {
            assert!(check_base_url(url).is_err(), "{url}");
        }
    }

    #[test]
    fn private_addresses_are_told_from_public_ones() {
        for url in [
            "http://127.0.0.1:9/v1",
            "https://10.0.0.1",
            "http://[::1]:9/v1",
            "http://[::ffff:192.168.0.1]",
            "http://localhost:8000",
            "http://100.64.0.1/",
            "http://[64:ff9b:1::8.8.8.8]/",
            "http://[::ffff:0:8.8.8.8]/",
            "http://[2001:0:102:304::]/",
            "http://[2002:808:808::1]/",
            "http://[2001:db8::5efe:8.8.8.8]/",
        ] {
            assert!(is_private_url(url), "{url}");
        }
        for url in ["https://api.example.com/v1", "https://8.8.8.8", "https://[2606:4700::1]/"] {
            assert!(!is_private_url(url), "{url}");
        }
    }

    #[test]
    fn this_machine_is_told_from_what_only_begins_like_it() {
        for url in
            ["http://localhost:9/x", "http://127.0.0.1", "http://127.9.9.9/", "http://[::1]:9"]
        {
            assert!(is_loopback_url(url), "{url}");
        }
        for url in [
            "http://localhost.example.com",
            "http://localhostile",
            "http://127.0.0.1.example.com/",
            "http://10.0.0.1",
            "http://[::2]",
        ] {
            assert!(!is_loopback_url(url), "{url}");
        }
    }

    #[test]
    fn the_operator_may_use_private_addresses() {
        for url in [
            "http://127.0.0.1:9/v1",
            "http://10.0.0.1",
            "http://[::1]:9/v1",
            "http://[fd12:3456::1]",
            "http://[64:ff9b::10.0.0.1]/",
            "http://model_server:8000",
            "http://gpu-1.x4/v1",
            "https://api.example.com./v1",
        ] {
            assert_eq!(check_base_url(url), Ok(()), "{url}");
        }
    }
}
