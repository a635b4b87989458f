//! The job's interface to the network of its machines. Made by the sandbox's first process while it still may, inside of the job's
//! own network namespace; its packets come out as a descriptor, and the worker carries them. The job can neither open it nor change it.

use std::os::fd::OwnedFd;

use protocol::mesh::{INTERFACE, MTU, Mesh, NETMASK};
use rustix::fs::{Mode, OFlags};

use super::rootfs::{Setup, step};
use super::sys;

/// Opens the machine's door to such interfaces: as the user who made the sandbox, since the job's may not.
pub fn open(_: Mesh) -> Setup<OwnedFd> {
    step(
        "open /dev/net/tun, which a job whose machines reach each other needs",
        rustix::fs::open(
            "/dev/net/tun",
            OFlags::RDWR | OFlags::CLOEXEC | OFlags::NONBLOCK,
            Mode::empty(),
        ),
    )
}

/// Makes the interface and gives it its address.
pub fn join(mesh: Mesh, packets: &OwnedFd) -> Setup<()> {
    step(
        "make the job's network interface",
        sys::tunnel_interface(packets, INTERFACE, mesh.address(), NETMASK, MTU),
    )
}
