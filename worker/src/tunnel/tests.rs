//! Tunnels against an exchange and a job that are only sockets.

use std::os::unix::net::{UnixDatagram, UnixStream};

use protocol::mesh::address;

use super::*;

const WITHIN: Duration = Duration::from_secs(5);

/// A worker's end, and the exchange's.
async fn line() -> (Socket, WebSocketStream<TcpStream>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("bind");
    let server = format!("http://{}", listener.local_addr().expect("address"));
    let accept = async {
        let (stream, _) = listener.accept().await.expect("accept");
        tokio_tungstenite::accept_async(stream)
            .await
            .expect("handshake")
    };
    let (ours, theirs) = tokio::join!(dial(&server, "ticket"), accept);
    (ours.expect("dialled"), theirs)
}

/// Sends so much to a job that reads nothing, then a word; answers how far the window opened.
async fn opened_behind(pieces: usize, word: Option<ToJob>, wanted: usize) -> usize {
    let (ours, mut theirs) = line().await;
    let (_job, input) = UnixStream::pair().expect("pair");
    let input = Ends::new(vec![input.into()]).expect("ends").input;
    let (sink, stream) = ours.split();
    let (sink, window) = (Mutex::new(sink), Semaphore::new(0));
    let sends = async {
        let mut frame = vec![b'x'; 50_001];
        frame[0] = MAIN;
        for _ in 0..pieces {
            theirs
                .send(Message::binary(frame.clone()))
                .await
                .expect("sent");
        }
        if let Some(word) = word {
            let text = serde_json::to_string(&word).expect("json");
            theirs.send(Message::text(text)).await.expect("sent");
        }
        std::future::pending::<()>().await;
    };
    let opens = async {
        while window.available_permits() < wanted {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let all = async {
        tokio::select! {
            _ = take(stream, input, Some(&window), &sink) => panic!("it goes on"),
            () = sends => {}
            () = opens => {}
        }
    };
    _ = timeout(WITHIN, all).await;
    window.available_permits()
}

#[tokio::test]
async fn what_a_reader_took_is_heard_behind_input_that_nobody_reads() {
    let word = ToJob::Ack { bytes: 1_000 };
    assert_eq!(opened_behind(5, Some(word), 1_000).await, 1_000);
}

#[tokio::test]
async fn a_program_that_waits_for_its_reader_goes_on_when_too_much_is_typed_ahead() {
    assert_eq!(opened_behind(40, None, SHELL_WINDOW).await, SHELL_WINDOW);
}

#[tokio::test]
async fn packets_that_the_exchange_would_drop_are_not_sent() {
    let (ours, mut theirs) = line().await;
    let (job, network) = UnixDatagram::pair().expect("pair");
    let network = Ends::new(vec![network.into()]).expect("ends").output;
    let (sink, stream) = ours.split();
    let mesh = Mesh {
        member: 0,
        members: 2,
    };
    let packet = |from, to| {
        let mut packet = vec![0; 28];
        packet[0] = 0x45;
        packet[12..16].copy_from_slice(&address(from).octets());
        packet[16..20].copy_from_slice(&address(to).octets());
        packet
    };
    for (from, to) in [(1, 0), (0, 7), (0, 1)] {
        job.send(&packet(from, to)).expect("sent");
    }
    let first = tokio::select! {
        _ = packets(sink, stream, &network, mesh) => panic!("it goes on"),
        heard = timeout(WITHIN, theirs.next()) => heard.expect("in time"),
    };
    let frame = first.expect("open").expect("a frame").into_data();
    assert_eq!(frame.get(1..), Some(packet(0, 1).as_slice()));
}

#[tokio::test]
async fn the_end_of_the_input_reaches_a_terminal_as_its_character() {
    use rustix::pty::OpenptFlags;

    for (typed, shown) in [("hi\n", "hi\n"), ("hi", "hi")] {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
        let master = rustix::pty::openpt(flags).expect("a terminal");
        rustix::pty::grantpt(&master).expect("granted");
        rustix::pty::unlockpt(&master).expect("unlocked");
        let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags).expect("its other side");
        let (ours, mut theirs) = line().await;
        // Output is the same descriptor: while it is held the terminal is not hung up.
        let Ends { input, output, .. } = Ends::new(vec![master]).expect("ends");
        let (sink, stream) = ours.split();
        let sink = Mutex::new(sink);
        let sends = async {
            let frame = [&[MAIN], typed.as_bytes()].concat();
            theirs.send(Message::binary(frame)).await.expect("sent");
            let text = serde_json::to_string(&ToJob::Eof {}).expect("json");
            theirs.send(Message::text(text)).await.expect("sent");
            std::future::pending::<()>().await;
        };
        let reads = tokio::task::spawn_blocking(move || {
            let mut all = String::new();
            std::io::Read::read_to_string(&mut std::fs::File::from(slave), &mut all).map(|_| all)
        });
        let read = tokio::select! {
            _ = take(stream, input, None, &sink) => panic!("it goes on"),
            () = sends => panic!("it goes on"),
            read = timeout(WITHIN, reads) => read.expect("it ends").expect("read"),
        };
        assert_eq!(read.expect("text"), shown);
        drop(output);
    }
}
