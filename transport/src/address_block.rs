//! Which addresses are taken for one origin when newcomers are counted.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// Bits of an IPv6 address that one customer of a network gets at least (RFC 6177): whoever has one
/// address of a /64 has all of them.
const IPV6_PREFIX_BITS: u32 = 64;

/// The addresses that count as one: an IPv4 address, or an IPv6 /64. Limits for each address are for
/// each block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AddressBlock(IpAddr);

impl AddressBlock {
    /// The block of an address. An IPv4 address that is written as IPv6 (RFC 4291 §2.5.5.2) is that
    /// IPv4 address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(address) => {
                let mask = u128::MAX << (128 - IPV6_PREFIX_BITS);
                Self(Ipv6Addr::from_bits(address.to_bits() & mask).into())
            }
            address @ IpAddr::V4(_) => Self(address),
        }
    }
}

impl fmt::Display for AddressBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(address) => write!(f, "{address}"),
            IpAddr::V6(address) => write!(f, "{address}/{IPV6_PREFIX_BITS}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(address: &str, block: &str) {
        let address: IpAddr = address.parse().expect("an address");
        assert_eq!(AddressBlock::of(address).to_string(), block);
    }

    #[test]
    fn an_ipv4_address_is_one_and_an_ipv6_network_is_one() {
        check("192.0.2.7", "192.0.2.7");
        check("::ffff:192.0.2.7", "192.0.2.7");
        check("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64");
        check("2001:db8:1:2:ffff::", "2001:db8:1:2::/64");
        check("2001:db8:1:3::", "2001:db8:1:3::/64");
        check("::1", "::/64");
    }
}
