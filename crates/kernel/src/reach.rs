//! Which addresses a stranger's word may lead to: those that the whole world can reach. Everything behind our own walls (this
//! machine, its network, the cloud's metadata) would otherwise be asked by us in a stranger's name: by the server for
//! webhooks, by a worker for container images.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Networks that are not the world's, as the registries of special addresses list them; each with its length.
const CLOSED_V4: [([u8; 4], u32); 17] = [
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    // Shared by a carrier's customers; one cloud has its metadata there.
    ([100, 64, 0, 0], 10),
    ([127, 0, 0, 0], 8),
    // Azure's own services for its machines.
    ([168, 63, 129, 16], 32),
    // Link-local, and most clouds' metadata.
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),
    ([192, 88, 99, 0], 24),
    ([192, 168, 0, 0], 16),
    ([198, 18, 0, 0], 15),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    // Multicast, then what is kept for later and the broadcast.
    ([224, 0, 0, 0], 4),
    ([240, 0, 0, 0], 5),
    ([248, 0, 0, 0], 5),
];

/// Within 2000::/3, which is all that is given out to the world, those that hold other addresses or nobody's.
const CLOSED_V6: [([u16; 2], u32); 4] = [
    // Protocols' own, Teredo among them.
    ([0x2001, 0], 23),
    // For documents.
    ([0x2001, 0x0db8], 32),
    // An IPv4 address inside.
    ([0x2002, 0], 16),
    ([0x3fff, 0], 20),
];

const fn starts_with(address: u32, network: u32, length: u32) -> bool {
    (address ^ network).leading_zeros() >= length
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let closed = |(network, length): &([u8; 4], u32)| {
        starts_with(ip.to_bits(), u32::from_be_bytes(*network), *length)
    };
    !CLOSED_V4.iter().any(closed)
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let [a, b, ..] = ip.segments();
    let head = |a: u16, b: u16| u32::from(a) << 16 | u32::from(b);
    let closed =
        |([c, d], length): &([u16; 2], u32)| starts_with(head(a, b), head(*c, *d), *length);
    // What is mapped, translated, private, link-local or multicast is all outside of it.
    a >> 13 == 1 && !CLOSED_V6.iter().any(closed)
}

/// Whether the whole world can reach it.
pub fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

/// Whether a webhook may be posted to it; `local`: this machine too, where somebody tries things out on their own.
pub fn is_reachable(ip: IpAddr, local: bool) -> bool {
    is_public(ip) || local && ip.is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn public(text: &str) -> bool {
        is_public(text.parse().unwrap())
    }

    #[test]
    fn only_what_the_world_can_reach_is_public() {
        for open in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "168.63.129.15",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700:4700::1111",
            "2001:200::1",
            "2001:db7:ffff::1",
            "2001:db9::1",
            "2003::1",
            "3ffe::1",
        ] {
            assert!(public(open), "{open}");
        }
    }

    #[test]
    fn each_closed_network_is_refused_from_its_first_address_to_its_last() {
        for (what, closed) in [
            ("this network", ["0.0.0.0", "0.255.255.255"]),
            ("private", ["10.0.0.0", "10.255.255.255"]),
            ("private", ["172.16.0.0", "172.31.255.255"]),
            ("private", ["192.168.0.0", "192.168.255.255"]),
            ("of carriers", ["100.64.0.0", "100.127.255.255"]),
            ("loopback", ["127.0.0.1", "127.255.255.255"]),
            ("link-local", ["169.254.0.0", "169.254.255.255"]),
            ("metadata", ["169.254.169.254", "100.100.100.200"]),
            ("metadata", ["168.63.129.16", "192.0.0.192"]),
            ("protocols", ["192.0.0.0", "192.0.0.255"]),
            ("documents", ["192.0.2.1", "203.0.113.1"]),
            ("relays", ["192.88.99.0", "192.88.99.255"]),
            ("benchmarks", ["198.18.0.0", "198.19.255.255"]),
            ("multicast", ["224.0.0.0", "239.255.255.255"]),
            ("for later", ["240.0.0.0", "247.255.255.255"]),
            ("broadcast", ["248.0.0.0", "255.255.255.255"]),
            ("nobody and loopback", ["::", "::1"]),
            ("mapped", ["::ffff:127.0.0.1", "::ffff:1.1.1.1"]),
            ("compatible", ["::127.0.0.1", "::1.1.1.1"]),
            ("translated", ["64:ff9b::7f00:1", "64:ff9b:1::1"]),
            ("Teredo", ["2001::1", "2001:0:ffff::1"]),
            ("6to4", ["2002:7f00:1::", "2002:ffff::1"]),
            ("unique local", ["fc00::1", "fdff::1"]),
            ("metadata", ["fd00:ec2::254", "fe80::a9fe:a9fe"]),
            ("link-local", ["fe80::1", "febf::1"]),
            ("site-local", ["fec0::1", "feff::1"]),
            ("multicast", ["ff00::1", "ff0e::1"]),
            ("documents", ["2001:db8::1", "3fff:fff::1"]),
            ("not given out", ["1fff::1", "4000::1"]),
        ] {
            for ip in closed {
                assert!(!public(ip), "{what}: {ip}");
            }
        }
    }

    #[test]
    fn on_ones_own_machine_it_may_lead_home_and_nowhere_else() {
        let local = |text: &str| is_reachable(text.parse().unwrap(), true);
        assert!(local("127.0.0.1") && local("::1") && local("1.1.1.1"));
        for closed in ["10.0.0.1", "169.254.169.254", "::ffff:127.0.0.1", "0.0.0.0"] {
            assert!(!local(closed), "{closed}");
        }
        assert!(!is_reachable([127, 0, 0, 1].into(), false));
    }
}
