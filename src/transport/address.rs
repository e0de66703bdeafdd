//! The addresses of the public internet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The IPv4 networks that are not public, with their prefix lengths.
const RESERVED_V4: [([u8; 4], u32); 16] = [
    ([0, 0, 0, 0], 8),        // This network.
    ([10, 0, 0, 0], 8),       // Private.
    ([172, 16, 0, 0], 12),    // Private.
    ([192, 168, 0, 0], 16),   // Private.
    ([100, 64, 0, 0], 10),    // Carrier-grade NAT.
    ([127, 0, 0, 0], 8),      // Loopback.
    ([169, 254, 0, 0], 16),   // Link-local, including the metadata services of clouds.
    ([168, 63, 129, 16], 32), // Azure's services for its virtual machines.
    ([192, 0, 0, 0], 24),     // Protocol assignments.
    ([192, 0, 2, 0], 24),     // Documentation.
    ([198, 51, 100, 0], 24),  // Documentation.
    ([203, 0, 113, 0], 24),   // Documentation.
    ([192, 88, 99, 0], 24),   // 6to4 relays.
    ([198, 18, 0, 0], 15),    // Benchmarks.
    ([224, 0, 0, 0], 4),      // Multicast.
    ([240, 0, 0, 0], 4),      // Reserved, including broadcast.
];

/// Whether `address` belongs to the public internet. Other addresses reach private networks, the machine itself or the metadata
/// services of clouds.
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let is_inside = |(network, bits): &([u8; 4], u32)| {
        let differing = u32::from(address) ^ u32::from_be_bytes(*network);
        differing.leading_zeros() >= *bits
    };
    !RESERVED_V4.iter().any(is_inside)
}

/// Only `2000::/3` is assigned to the public internet, so unspecified, loopback, IPv4-mapped, IPv4-compatible, NAT64, unique local,
/// link-local, site-local and multicast addresses need no entry.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    let is_global = first & 0xe000 == 0x2000;
    let is_special = match first {
        // Protocol assignments, including Teredo; documentation.
        0x2001 => second < 0x0200 || second == 0x0db8,
        // 6to4, which contains an IPv4 address.
        0x2002 => true,
        // Documentation.
        0x3fff => second < 0x1000,
        _ => false,
    };
    is_global && !is_special
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defect_21_only_public_addresses_are_allowed() {
        for (kind, addresses) in [
            ("this network", "0.0.0.0 0.1.2.3"),
            ("private", "10.0.0.1 10.255.255.255 172.16.0.1 172.31.255.255 192.168.0.1"),
            ("carrier-grade NAT", "100.64.0.1 100.100.100.200 100.127.255.255"),
            ("loopback", "127.0.0.1 127.255.255.254"),
            ("services of clouds", "168.63.129.16 169.254.0.1 169.254.169.254"),
            ("protocol assignments", "192.0.0.1 192.0.0.192"),
            ("documentation", "192.0.2.1 198.51.100.7 203.0.113.9"),
            ("6to4 relays", "192.88.99.1"),
            ("benchmarks", "198.18.0.1 198.19.255.255"),
            ("multicast, reserved, broadcast", "224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255"),
            ("IPv6 of this network", ":: ::1 fc00::1 fd00:ec2::254 fe80::1 febf::1 fec0::1 ff02::1 100::1 5f00::1"),
            ("IPv6 documentation", "2001:db8::1 3fff::1 3fff:fff::1"),
            ("IPv6 protocol assignments", "2001:2::1 2001:10::1 2001:20::1 2001:1ff::1"),
            ("IPv4-mapped, -compatible, -translated", "::ffff:127.0.0.1 ::ffff:8.8.8.8 ::127.0.0.1 ::ffff:0:10.0.0.1"),
            ("NAT64", "64:ff9b::10.0.0.1 64:ff9b::8.8.8.8 64:ff9b:1::10.0.0.1"),
            ("6to4, Teredo", "2002:7f00:1:: 2002:808:808:: 2001::1 2001:0:4136:e378:8000:63bf:3fff:fdd2"),
        ] {
            for text in addresses.split(' ') {
                assert!(!is_public(text.parse().unwrap()), "{kind}: {text}");
            }
        }
        for addresses in [
            "1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.1 100.63.255.255 100.128.0.1 126.1.1.1 128.0.0.1 168.63.129.17",
            "169.253.1.1 172.15.0.1 172.32.0.1 192.0.1.1 192.167.1.1 192.169.1.1 198.17.0.1 198.20.0.1 223.255.255.255",
            "2001:200::1 2001:4860:4860::8888 2606:4700:4700::1111 2a00:1450::1 3fff:1000::1",
        ] {
            for text in addresses.split(' ') {
                assert!(is_public(text.parse().unwrap()), "{text}");
            }
        }
    }
}
