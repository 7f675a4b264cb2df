//! Numbers, ports and addresses as parameters (options_util.c, `atoi_constrained`; options.c, `get_ipv6_addr`).

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    ops::RangeInclusive,
    time::Duration,
};

use ipnet::{Ipv4Net, Ipv6Net};

use super::Services;

/// A whole number within a range.
pub(super) fn number(text: &str, allowed: RangeInclusive<i64>) -> Result<i64, String> {
    let (least, most) = (*allowed.start(), *allowed.end());
    match text.trim_ascii_start().parse::<i64>() {
        Ok(value) if allowed.contains(&value) => Ok(value),
        _ if most == i64::from(i32::MAX) => Err(format!("`{text}` should be a whole number of at least {least}")),
        _ => Err(format!("`{text}` should be a whole number from {least} to {most}")),
    }
}

/// A whole number that is not negative.
pub(super) fn count(text: &str) -> Result<u32, String> {
    number(text, 0..=i64::from(i32::MAX)).map(|value| u32::try_from(value).expect("the range allows no other"))
}

/// A whole number that is not negative, with zero as nothing.
pub(super) fn count_or_none(text: &str) -> Result<Option<u32>, String> {
    count(text).map(|value| Some(value).filter(|&value| value > 0))
}

/// A number within a range of 16 bits.
pub(super) fn short(text: &str, allowed: RangeInclusive<u16>) -> Result<u16, String> {
    let value = number(text, i64::from(*allowed.start())..=i64::from(*allowed.end()))?;
    Ok(u16::try_from(value).expect("the range allows no other"))
}

/// Seconds that are not negative.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    count(text).map(|value| Duration::from_secs(value.into()))
}

/// A port, 1 to 65535, or the name of a service.
pub(super) fn port(text: &str, services: Services) -> Result<u16, String> {
    let named = || services(text).filter(|&port| port > 0);
    short(text, 1..=u16::MAX).ok().or_else(named).ok_or_else(|| {
        format!("`{text}` should be a port from 1 to 65535, or the name of a service that /etc/services has")
    })
}

/// An IPv4 address in four parts.
pub(super) fn ipv4(text: &str) -> Result<Ipv4Addr, String> {
    text.parse().map_err(|_| format!("`{text}` should be an IPv4 address, as 10.8.0.1"))
}

/// An IPv6 address.
pub(super) fn ipv6(text: &str) -> Result<Ipv6Addr, String> {
    text.parse().map_err(|_| format!("`{text}` should be an IPv6 address, as fd00::1"))
}

/// An IPv6 address with or without the length of its prefix, which is 64 where it is left out.
pub(super) fn ipv6_net(text: &str) -> Result<Ipv6Net, String> {
    let wrong = || format!("`{text}` should be an IPv6 address with the length of its prefix, as fd00::1/64");
    let (address, length) = text.split_once('/').unwrap_or((text, "64"));
    let address = address.parse().map_err(|_| wrong())?;
    Ipv6Net::new(address, length.parse().map_err(|_| wrong())?).map_err(|_| wrong())
}

/// A network mask in four parts, contiguous.
pub(super) fn netmask(text: &str) -> Result<Ipv4Addr, String> {
    let mask = ipv4(text).map_err(|_| format!("`{text}` should be a network mask, as 255.255.255.0"))?;
    Ipv4Net::with_netmask(Ipv4Addr::UNSPECIFIED, mask)
        .map_err(|_| format!("`{text}` is no network mask: its ones must come first"))?;
    Ok(mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_whole_and_within_their_range() {
        assert_eq!(number(" +5", 0..=9), Ok(5));
        assert_eq!(number("-1", -1..=9), Ok(-1));
        for text in ["", "5s", "0x5", "10", "99999999999999999999", "1.5"] {
            assert_eq!(number(text, 0..=9), Err(format!("`{text}` should be a whole number from 0 to 9")));
        }
        assert_eq!(count("-3"), Err("`-3` should be a whole number of at least 0".to_owned()));
    }

    #[test]
    fn a_port_is_a_number_or_the_name_of_a_service() {
        let services: Services = |name| if name == "openvpn" { Some(1194) } else { None };
        assert_eq!(["1", "65535", "openvpn"].map(|text| port(text, services)), [Ok(1), Ok(65535), Ok(1194)]);
        assert!(["0", "65536", "-1", "isakmp", ""].iter().all(|text| port(text, services).is_err()));
    }

    #[test]
    fn a_mask_has_its_ones_first() {
        assert!(netmask("255.255.240.0").is_ok() && netmask("0.0.0.0").is_ok() && netmask("255.255.255.255").is_ok());
        assert!(netmask("255.0.255.0").is_err() && netmask("24").is_err());
    }

    #[test]
    fn an_ipv6_prefix_is_64_where_it_is_left_out() {
        assert_eq!(ipv6_net("fd00::1").map(|net| net.prefix_len()), Ok(64));
        assert_eq!(ipv6_net("fd00::1/124").map(|net| net.prefix_len()), Ok(124));
        assert!(ipv6_net("fd00::1/129").is_err() && ipv6_net("10.0.0.1/8").is_err());
    }
}
