//! The host's network, its neighbours, its sockets.

use std::net::TcpListener;

use super::super::common::python;
use super::output;

#[tokio::test]
async fn escape_network_reaches_nothing_but_its_own_loopback() {
    // A real listener of the host: the job must not reach it, at any of the host's addresses.
    let host = TcpListener::bind("0.0.0.0:0").expect("listen");
    let port = host.local_addr().expect("address").port();
    let script = format!(
        "import socket, os
for family, address in [(2, '127.0.0.1'), (2, '10.0.0.1'), (2, '169.254.169.254'), (2, '1.1.1.1'), (10, '::1')]:
    s = socket.socket(family, socket.SOCK_STREAM); s.settimeout(2)
    try:
        s.connect((address, {port})); print('REACHED', address)
    except OSError as e: pass
print(sorted(os.listdir('/sys')) if os.path.exists('/sys') else 'no /sys', open('/proc/net/route').read().count('\\n'))
mine = socket.socket(); mine.bind(('127.0.0.1', 0)); mine.listen()
socket.create_connection(mine.getsockname(), 2); print('own loopback works')
print([l.split(':')[0].strip() for l in open('/proc/net/dev').readlines()[2:]])"
    );
    let out = output(|dir| python(dir, &script)).await;
    assert_eq!(out, "no /sys 1\nown loopback works\n['lo']\n");
}

#[tokio::test]
async fn escape_other_socket_families_are_refused() {
    // vsock, packet, alg, key, bluetooth, xdp: some reach the host whatever network namespace they are made in.
    let script = "import socket
for family in [40, 17, 38, 15, 31, 44]:
    for kind in [1, 2, 3, 5]:
        try: socket.socket(family, kind); print('MADE', family)
        except OSError: pass
print('done')";
    assert_eq!(output(|dir| python(dir, script)).await, "done\n");
}

#[tokio::test]
async fn escape_abstract_sockets_of_the_host_are_not_reached() {
    use std::os::linux::net::SocketAddrExt;
    let name = format!("iog-test-{}", std::process::id());
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).expect("address");
    let host = std::os::unix::net::UnixListener::bind_addr(&address).expect("listen");
    let script = format!(
        "import socket
for path in ['\\0{name}', '\\0/tmp/.X11-unix/X0', '/var/run/docker.sock', '/run/docker.sock', '/run/containerd/containerd.sock', '/run/dbus/system_bus_socket', '/run/systemd/private']:
    for kind in [socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET]:
        s = socket.socket(socket.AF_UNIX, kind)
        try: s.connect(path); print('REACHED', path)
        except OSError: pass
print('done')"
    );
    assert_eq!(output(|dir| python(dir, &script)).await, "done\n");
    host.set_nonblocking(true).expect("nonblocking");
    assert!(host.accept().is_err(), "nobody came");
}

#[tokio::test]
async fn escape_raw_sockets_and_own_interfaces_are_refused() {
    let script = "import socket, struct, os
for family, kind, protocol in [(2, 3, 1), (2, 3, 255), (10, 3, 58), (17, 3, 0x300), (17, 2, 0x300)]:
    try: socket.socket(family, kind, protocol); print('MADE', family, kind, protocol)
    except OSError: pass
# Netlink: a dummy interface, an address, a route, an own firewall.
for protocol, kind in [(0, 16), (0, 20), (0, 24), (12, 0x0a00)]:
    try:
        s = socket.socket(16, 3, protocol); s.settimeout(2)
        s.bind((0, 0))
        s.send(struct.pack('=IHHII', 32, kind, 0x0605, 1, 0) + struct.pack('=BxHiII', 0, 0, 0, 0, 0))
        answer = s.recv(4096)
        error = struct.unpack('=i', answer[16:20])[0]
        if error == 0: print('DID', protocol, kind)
    except OSError: pass
# A tunnel.
try: os.open('/dev/net/tun', os.O_RDWR); print('TUN')
except OSError: pass
s = socket.socket(2, 2)
for level, option, value in [(1, 36, 1), (1, 12, 7), (0, 19, 1)]:
    try: s.setsockopt(level, option, value); print('SET', option)
    except OSError: pass
print(socket.if_nameindex())";
    assert_eq!(output(|dir| python(dir, script)).await, "[(1, 'lo')]\n");
}

#[tokio::test]
async fn escape_the_lan_and_the_clouds_metadata_have_no_route() {
    let script = "import socket
addresses = ['169.254.169.254', '169.254.170.2', '100.100.100.200', '10.0.0.1', '172.17.0.1', '192.168.0.1', '192.168.1.1', '224.0.0.251', '255.255.255.255']
for address in addresses:
    for kind in [socket.SOCK_STREAM, socket.SOCK_DGRAM]:
        s = socket.socket(socket.AF_INET, kind); s.settimeout(1)
        if kind == socket.SOCK_DGRAM: s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        try:
            s.connect((address, 80)); s.send(b'x'); print('SENT', address, kind)
        except OSError: pass
for address in ['fe80::1', 'fd00:ec2::254', 'ff02::fb']:
    s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    try: s.connect((address, 80)); s.send(b'x'); print('SENT', address)
    except OSError: pass
try: socket.getaddrinfo('metadata.google.internal', 80); print('RESOLVED')
except OSError: pass
print('done')";
    assert_eq!(output(|dir| python(dir, script)).await, "done\n");
}
