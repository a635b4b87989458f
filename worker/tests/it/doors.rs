//! Ways into a running job: they have its rights and its limits, and end with it.

use std::os::fd::OwnedFd;
use std::time::Duration;

use protocol::tunnel::{Closed, Door, FileAnswer, FileWish, Shell, Size};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use worker::sandbox::{FromHelper, Running, StartJob, StopReason, ToHelper};

use super::common::{instance, place, python, shell};

struct Job {
    running: Running,
    _dir: tempfile::TempDir,
}

type Ended = (Option<i32>, Option<i32>);

impl Job {
    /// One that runs until it is stopped.
    async fn start(script: &str) -> Self {
        let dir = tempfile::tempdir().expect("tempdir");
        let job = shell(dir.path(), script);
        Self::start_in(dir, job).await
    }

    async fn start_in(dir: tempfile::TempDir, job: StartJob) -> Self {
        let prepared = place(&instance(), &job).await;
        let mut running = prepared.start(job).await.expect("the job is taken");
        loop {
            match running.events.next().await {
                Some(FromHelper::Started { .. }) => break,
                Some(FromHelper::Ended(report)) => panic!("{report:?}"),
                Some(_) => {}
                None => panic!("the helper died"),
            }
        }
        Self { running, _dir: dir }
    }

    /// Until it says something.
    async fn ready(&mut self) {
        let said = self.running.stdout.read(&mut [0; 16]).await;
        assert!(said.expect("read") > 0, "it ended");
    }

    async fn open(&mut self, id: u32, door: Door) -> Result<Vec<OwnedFd>, (Closed, String)> {
        let order = ToHelper::Open { id, door };
        self.running.control.send(&order).await.expect("sent");
        loop {
            match self.running.events.next().await.expect("the helper lives") {
                FromHelper::DoorOpened { id: of, fds } if of == id => {
                    return Ok(self.running.events.take_fds(fds));
                }
                FromHelper::DoorShut {
                    id: of,
                    reason,
                    why,
                } if of == id => return Err((reason, why)),
                _ => {}
            }
        }
    }

    async fn closed(&mut self, id: u32) -> Ended {
        loop {
            match self.running.events.next().await.expect("the helper lives") {
                FromHelper::DoorClosed {
                    id: of,
                    code,
                    signal,
                } if of == id => return (code, signal),
                _ => {}
            }
        }
    }

    async fn stop(mut self) {
        let stop = ToHelper::Stop {
            reason: StopReason::Requested,
            grace_ms: 0,
        };
        self.running.control.send(&stop).await.expect("sent");
        while !matches!(
            self.running.events.next().await,
            Some(FromHelper::Ended(_)) | None
        ) {}
        self.running.events.gone().await;
    }
}

fn terminal(fd: OwnedFd) -> tokio::fs::File {
    let flags = rustix::fs::fcntl_getfl(&fd).expect("flags");
    let blocking = flags - rustix::fs::OFlags::NONBLOCK;
    rustix::fs::fcntl_setfl(&fd, blocking).expect("flags");
    tokio::fs::File::from_std(std::fs::File::from(fd))
}

/// Reads until `mark` stands in what came.
async fn until(file: &mut tokio::fs::File, mark: &str) -> String {
    let (mut all, mut piece) = (String::new(), [0; 4_096]);
    let read = async {
        while !all.contains(mark) {
            let count = file.read(&mut piece).await.unwrap_or(0);
            assert!(count > 0, "it ended before {mark:?}: {all}");
            all.push_str(&String::from_utf8_lossy(&piece[..count]));
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(10), read).await;
    assert!(in_time.is_ok(), "{mark:?} did not come: {all}");
    all
}

#[tokio::test]
async fn a_shell_has_a_terminal_the_jobs_rights_and_its_files_and_ends_with_it() {
    let mut job = Job::start("echo 1 > here; sleep 600").await;
    let size = Some(Size { cols: 77, rows: 22 });
    let command = Vec::new();
    let fds = job
        .open(1, Door::Shell(Shell { command, size }))
        .await
        .expect("a shell");
    let mut shell = terminal(fds.into_iter().next().expect("one"));
    shell
        .write_all(
            b"stty size; tty; id -u; cat here /proc/self/cgroup /proc/1/cgroup | sort -u | wc -l; \
              grep -e CapEff -e NoNewPrivs -e Seccomp: /proc/self/status | tr -d '\\n'; echo ' do''ne'\n",
        )
        .await
        .expect("typed");
    let said = until(&mut shell, " done").await;
    for expected in [
        "22 77",
        "/dev/pts/",
        "1000",
        "CapEff:\t0000000000000000NoNewPrivs:\t1Seccomp:\t2",
    ] {
        assert!(said.contains(expected), "{expected} is missing in {said}");
    }
    // Its cgroups are those of process 1: not a line more than the job's own file and these.
    let groups = std::fs::read_to_string("/proc/self/cgroup").expect("cgroups");
    let lines = (groups.lines().count() + 1).to_string();
    assert!(
        said.lines().any(|line| line.trim() == lines),
        "{lines}: {said}"
    );
    // What is typed to it is not what another may type: TIOCSTI stays shut.
    shell
        .write_all(b"python3 -c 'import fcntl,termios;fcntl.ioctl(0,termios.TIOCSTI,b\"x\")' 2>&1 | tail -1; exit 3\n")
        .await
        .expect("typed");
    until(&mut shell, "not permitted").await;
    assert_eq!(job.closed(1).await, (Some(3), None));
    job.stop().await;
}

#[tokio::test]
async fn a_command_has_input_output_errors_and_a_code_of_its_own() {
    let mut job = Job::start("sleep 600").await;
    let words = ["/bin/sh", "-c", "cat; echo bad >&2; exit 4"];
    let command = words.map(str::to_owned).to_vec();
    let size = None;
    let fds = job
        .open(7, Door::Shell(Shell { command, size }))
        .await
        .expect("a command");
    let mut fds = fds.into_iter().map(terminal);
    let [mut input, mut output, mut errors] =
        [(); 3].map(|()| fds.next().expect("three descriptors"));
    input.write_all(b"\x00\xffraw").await.expect("written");
    input.flush().await.expect("written");
    drop(input);
    let (mut out, mut err) = (Vec::new(), String::new());
    output.read_to_end(&mut out).await.expect("read");
    errors.read_to_string(&mut err).await.expect("read");
    assert_eq!(
        (out.as_slice(), err.as_str()),
        (&b"\x00\xffraw"[..], "bad\n")
    );
    assert_eq!(job.closed(7).await, (Some(4), None));
    let command = vec!["no-such-program".to_owned()];
    let size = None;
    let shut = job.open(8, Door::Shell(Shell { command, size })).await;
    let (reason, why) = shut.expect_err("there is none");
    assert!(
        reason == Closed::Failed && why.contains("no-such-program"),
        "{why}"
    );
    job.stop().await;
}

#[tokio::test]
async fn a_port_is_the_jobs_own_loopback_and_files_are_its_own() {
    let serve = "import socket\nfor family, host, port in ((socket.AF_INET, '127.0.0.1', 8100), (socket.AF_INET6, '::1', 8101)):\n  s = socket.socket(family); s.bind((host, port)); s.listen(); globals()[f's{port}'] = s\nopen('ready', 'w').write('yes')\nfor s in (s8100, s8101):\n  c, _ = s.accept(); c.sendall(b'hello ' + c.recv(10)); c.close()\nimport time; time.sleep(600)";
    let mut job = Job::start(&format!("python3 -c \"{serve}\"")).await;
    let mut id = 10;
    let mut ask = |wish| {
        id += 1;
        (id, Door::Files(wish))
    };
    loop {
        let (id, door) = ask(FileWish::Get {
            path: "ready".into(),
        });
        let fds = job.open(id, door).await.expect("files");
        let stream = std::os::unix::net::UnixStream::from(fds.into_iter().next().expect("one"));
        let mut text = String::new();
        std::io::Read::read_to_string(&mut &stream, &mut text).expect("read");
        let (line, rest) = text.split_once('\n').expect("a line");
        match serde_json::from_str(line).expect("an answer") {
            FileAnswer::File { size: 3 } => {
                assert_eq!(rest, "yes");
                break;
            }
            FileAnswer::Missing | FileAnswer::File { size: 0 } => {}
            other => panic!("{other:?}"),
        }
    }
    for (id, port) in [(1, 8_100), (2, 8_101)] {
        let fds = job.open(id, Door::Port { port }).await.expect("a listener");
        let stream = std::net::TcpStream::from(fds.into_iter().next().expect("one"));
        stream.set_nonblocking(false).expect("set");
        std::io::Write::write_all(&mut &stream, b"you").expect("sent");
        let mut text = String::new();
        std::io::Read::read_to_string(&mut &stream, &mut text).expect("read");
        assert_eq!(text, "hello you");
    }
    let shut = job.open(3, Door::Port { port: 8_102 }).await;
    assert_eq!(shut.expect_err("nobody").0, Closed::NothingListens);
    job.stop().await;
}

fn no_terminal(command: &str) -> Door {
    let command = vec![command.to_owned()];
    Door::Shell(Shell {
        command,
        size: None,
    })
}

/// A job that stops every process before its program runs.
#[tokio::test]
async fn a_job_that_holds_up_its_shells_neither_stays_nor_keeps_others_out() {
    let script = "import os, signal
seen = os.getpid()
print('ready', flush=True)
while True:
    for pid in range(seen + 1, seen + 4):
        try: os.kill(pid, signal.SIGSTOP)
        except ProcessLookupError: continue
        seen = pid
        # Who can be looked into runs its program already.
        try: os.readlink(f'/proc/{pid}/exe'); os.kill(pid, signal.SIGKILL)
        except OSError: pass";
    let dir = tempfile::tempdir().expect("tempdir");
    let job = python(dir.path(), script);
    let mut job = Job::start_in(dir, job).await;
    job.ready().await;
    let (mut held_up, mut id) = (false, 0);
    let since = tokio::time::Instant::now();
    while !held_up && since.elapsed() < Duration::from_secs(30) {
        id += 1;
        let opened = job.open(id, no_terminal("/bin/true"));
        let opened = tokio::time::timeout(Duration::from_secs(8), opened).await;
        if let Err((reason, why)) = opened.expect("process 1 goes on") {
            assert!(reason == Closed::Failed && why.contains("held up"), "{why}");
            held_up = true;
        }
    }
    assert!(held_up, "none was stopped in time");
    let stopped = tokio::time::timeout(Duration::from_secs(8), job.stop()).await;
    stopped.expect("the job ends");
}

/// Before its program runs, a shell's process is a copy of process 1, and the job may look into it.
#[tokio::test]
async fn escape_by_what_a_shell_holds_before_its_program_runs_finds_nothing() {
    let script = "import os
last = os.getpid()
def look(pid):
    at, seen = f'/proc/{pid}/fd', False
    while os.path.exists(f'/proc/{pid}/stat'):
        seen = True
        try: fds = os.listdir(at)
        except OSError: continue
        for fd in fds:
            try: link = os.readlink(f'{at}/{fd}')
            except OSError: continue
            if link.startswith(('socket:', '/dev/net')): os._exit(9)
    return seen
print('ready', flush=True)
while True:
    for pid in range(last + 1, last + 4):
        if look(pid): last = pid; break";
    let dir = tempfile::tempdir().expect("tempdir");
    let job = python(dir.path(), script);
    let mut job = Job::start_in(dir, job).await;
    job.ready().await;
    for id in 1..40 {
        // Had the job found something, it would have ended.
        job.open(id, no_terminal("/bin/true"))
            .await
            .expect("opened");
        assert_eq!(job.closed(id).await, (Some(0), None));
    }
    job.stop().await;
}
