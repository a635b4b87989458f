//! The network of a job's machines: real workers, real packets, and a server that goes away in between.

use std::net::TcpListener;
use std::time::Duration;

use protocol::spec::InlineFile;
use protocol::state::JobState;
use test_support::{Database, TestApp, shell, wait_until};

use crate::{QUICK, SOON};

const PROGRAM: &str = r#"
import hashlib, os, socket, time
own, everybody = os.environ["IOG_ADDRESS"], os.environ["IOG_ADDRESSES"].split(",")
member, port = int(os.environ["IOG_MEMBER"]), 7000

def whole(link, size):
    data = b""
    while len(data) < size:
        piece = link.recv(size - len(data))
        if not piece: raise SystemExit("it hung up")
        data += piece
    return data

print("I am", socket.gethostname(), own, everybody, flush=True)
if member == 0:
    door = socket.create_server((own, port))
    link, who = door.accept()
    print("a call from", who[0], flush=True)
    big = whole(link, 8 << 20)
    link.sendall(hashlib.sha256(big).digest())
    while True:
        piece = whole(link, 1 << 16)
        link.sendall(piece)
        if piece[0] == 1: break
    # Until the other has read it.
    link.recv(1)
else:
    # Nobody but the other: not the host, not a third member, not the owner's network, not the world.
    for address in ["127.0.0.1", "10.77.0.3", "10.77.0.254", "10.77.1.1", "10.0.0.1", "169.254.169.254", "1.1.1.1", os.environ["HOST"]]:
        s = socket.socket(); s.settimeout(0.3)
        try:
            s.connect((address, int(os.environ["LISTENER"]))); print("REACHED", address, flush=True)
        except OSError: pass
    for family, kind in [(socket.AF_INET, socket.SOCK_RAW), (socket.AF_PACKET, socket.SOCK_RAW)]:
        try: socket.socket(family, kind, 1); print("MADE a raw socket", flush=True)
        except OSError: pass
    until = time.time() + 20
    while True:
        try:
            link = socket.create_connection(("member-0", port), 2); break
        except OSError:
            if time.time() > until: raise
            time.sleep(0.1)
    link.settimeout(40)
    big = os.urandom(8 << 20)
    begun = time.time()
    link.sendall(big)
    assert whole(link, 32) == hashlib.sha256(big).digest()
    print("8 MiB are there, as they were sent; MiB/s:", round(8 / (time.time() - begun)), flush=True)
    for n in range(25):
        piece = bytes([1 if n == 24 else 0]) + os.urandom((1 << 16) - 1)
        link.sendall(piece)
        assert whole(link, 1 << 16) == piece
        print("echo", n, flush=True)
        time.sleep(0.15)
    print("all echoes came", flush=True)
"#;

/// An address of this machine that is not loopback, where it has one.
fn own_address() -> String {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").expect("a socket");
    let found = socket
        .connect("192.0.2.1:9")
        .and_then(|()| socket.local_addr());
    found.map_or_else(|_| "127.0.0.1".to_owned(), |own| own.ip().to_string())
}

#[tokio::test]
async fn escape_machines_of_a_job_reach_each_other_and_nobody_else_over_a_restart_too() {
    let door = std::fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/net/tun");
    if let Err(error) = door {
        // A job with such a network fails to start here, and says so; there is nothing to see.
        println!("skipped: /dev/net/tun: {error}");
        return;
    }
    let mut app = TestApp::start_with(Database::Sqlite, &QUICK).await;
    let (ada, bo) = (app.account("ada", Some("20")), app.account("bo", None));
    let _nodes = [
        app.node(&bo, "one", "0.36").await,
        app.node(&bo, "two", "0.36").await,
    ];
    let host = TcpListener::bind("0.0.0.0:0").expect("listen");
    let mut spec = shell("gang", "exec python3 net.py");
    spec.files = vec![InlineFile {
        path: "net.py".into(),
        content: PROGRAM.into(),
    }];
    spec.placement.nodes = 2;
    spec.placement.network = true;
    let listener = host.local_addr().expect("an address").port();
    spec.env.insert("LISTENER".into(), listener.to_string());
    spec.env.insert("HOST".into(), own_address());
    let id = ada.submit(&spec).await.summary.id;
    let said = async |words: &str| {
        wait_until(words, Duration::from_secs(40), || async {
            let log = ada.log(id).await;
            assert!(!log.contains("Traceback"), "{log}");
            log.contains(words).then_some(())
        })
        .await;
    };
    said("echo 3").await;
    // The tunnels break with the server; what the machines had begun to say goes on.
    app.kill_server();
    app.start_server().await;
    said("all echoes came").await;
    ada.wait_for(id, JobState::Finished, SOON).await;
    let log = ada.log(id).await;
    assert!(!log.contains("REACHED") && !log.contains("MADE"), "{log}");
    for words in [
        "I am member-0 10.77.0.1 ['10.77.0.1', '10.77.0.2']",
        "I am member-1 10.77.0.2 ['10.77.0.1', '10.77.0.2']",
        "a call from 10.77.0.2",
        "8 MiB are there",
    ] {
        assert!(log.contains(words), "{words}: {log}");
    }
    host.set_nonblocking(true).expect("nonblocking");
    assert!(host.accept().is_err(), "nobody came to the host");
    println!("{log}");
}
