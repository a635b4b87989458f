//! The network of one job's machines: each has an address, reaches the others, and nothing and nobody else.
//!
//! Packets (IPv4, whole) go through a tunnel of each machine ([`Door::Mesh`](crate::tunnel::Door::Mesh)), one a binary frame, to the
//! exchange, which hands each on to the machine it is for. Who may send what to whom is decided here, without any I/O.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

/// The name of the job's network interface.
pub const INTERFACE: &str = "mesh0";
/// Packets ride in frames of a connection, so they may be larger than a wire's: fewer of them cost less.
pub const MTU: u16 = 16_000;
/// All addresses are in this network of 256.
pub const NETWORK: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 0);
pub const NETMASK: Ipv4Addr = Ipv4Addr::new(255, 255, 255, 0);

const HEADER_BYTES: usize = 20;

/// One machine's place in the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mesh {
    /// From 0.
    pub member: u32,
    pub members: u32,
}

impl Mesh {
    pub fn address(self) -> Ipv4Addr {
        address(self.member)
    }

    /// Of all members, in their order.
    pub fn addresses(self) -> impl Iterator<Item = Ipv4Addr> {
        (0..self.members).map(address)
    }

    /// What a machine calls itself, and is called by the others.
    pub fn host_name(self) -> String {
        host_name(self.member)
    }

    /// Lines of /etc/hosts.
    pub fn hosts(self) -> String {
        let lines: Vec<String> = (0..self.members)
            .map(|member| format!("{} {}", address(member), host_name(member)))
            .collect();
        lines.join("\n") + "\n"
    }
}

fn host_name(member: u32) -> String {
    format!("member-{member}")
}

/// 10.77.0.1 for member 0. There are at most [`NODES_MAX`](crate::spec::NODES_MAX).
pub fn address(member: u32) -> Ipv4Addr {
    let [a, b, c, _] = NETWORK.octets();
    let last = u8::try_from(member.saturating_add(1)).unwrap_or(u8::MAX);
    Ipv4Addr::new(a, b, c, last)
}

/// For whom a packet of this member is. `None`: it is no packet of IPv4, says another's address as its own, or is for nobody here.
pub fn route(packet: &[u8], from: Mesh) -> Option<u32> {
    let header = packet.get(..HEADER_BYTES)?;
    let version = header.first()? >> 4;
    let octets = |at: usize| -> Option<Ipv4Addr> {
        let four: [u8; 4] = header.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(four.into())
    };
    let (source, target) = (octets(12)?, octets(16)?);
    if version != 4 || source != from.address() {
        return None;
    }
    (0..from.members).find(|member| *member != from.member && address(*member) == target)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::NODES_MAX;

    fn packet(source: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
        let mut packet = vec![0; 28];
        packet[0] = 0x45;
        packet[12..16].copy_from_slice(&source.octets());
        packet[16..20].copy_from_slice(&target.octets());
        packet
    }

    const SECOND: Mesh = Mesh {
        member: 1,
        members: 3,
    };

    #[test]
    fn a_packet_goes_to_the_member_it_names() {
        assert_eq!(route(&packet(address(1), address(0)), SECOND), Some(0));
        assert_eq!(route(&packet(address(1), address(2)), SECOND), Some(2));
    }

    #[test]
    fn forged_or_strange_packets_go_nowhere() {
        let forged = packet(address(0), address(2));
        assert_eq!(route(&forged, SECOND), None, "another's address");
        for target in [
            address(1),
            address(3),
            Ipv4Addr::new(10, 77, 0, 255),
            Ipv4Addr::new(10, 77, 1, 1),
            Ipv4Addr::new(169, 254, 169, 254),
            Ipv4Addr::new(192, 168, 1, 1),
            Ipv4Addr::new(224, 0, 0, 1),
            Ipv4Addr::BROADCAST,
            Ipv4Addr::LOCALHOST,
        ] {
            assert_eq!(route(&packet(address(1), target), SECOND), None, "{target}");
        }
        let good = packet(address(1), address(0));
        for length in 0..HEADER_BYTES {
            assert_eq!(route(&good[..length], SECOND), None, "{length} bytes");
        }
        let mut sixth = good;
        sixth[0] = 0x60;
        assert_eq!(route(&sixth, SECOND), None, "IPv6");
    }

    #[test]
    fn each_member_has_an_address_of_its_own() {
        let all = Mesh {
            member: 0,
            members: NODES_MAX,
        };
        let addresses: std::collections::BTreeSet<_> = all.addresses().collect();
        assert_eq!(addresses.len(), NODES_MAX as usize);
        assert_eq!(all.address(), Ipv4Addr::new(10, 77, 0, 1));
        assert!(
            all.hosts()
                .starts_with("10.77.0.1 member-0\n10.77.0.2 member-1\n")
        );
    }
}
