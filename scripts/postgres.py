"""A Postgres of the demo's own, for `make run DB=postgres`: its cluster lies in DATA/postgres, it listens on a free port of this
machine alone and asks for a password. Nothing that already runs or is configured is touched. Tests have another one, made to
be thrown away (postgres.sh)."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
from pathlib import Path

PROGRAMS = Path("/usr/lib/postgresql")
# Postgres refuses to run as root; Debian's package brings this user for it.
USER = "postgres"
NAME = "iog"


class Missing(Exception):
    """What has to be there first; the text says what."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Cluster:
    def __init__(self, data, password, log):
        self.folder, self.password, self.log = data / "postgres", password, log
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self.port = free_port()
        self.options = {"cwd": "/", "stdin": subprocess.DEVNULL}
        self.path = self.folder
        if os.geteuid() == 0:
            try:
                user = pwd.getpwnam(USER)
            except KeyError:
                raise Missing(f"Postgres does not run as root, and there is no user {USER}; run scripts/setup.sh postgres") from None
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            # The folders above may be root's alone. Through an open descriptor their permissions do not count.
            held = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
            self.path = Path(f"/proc/self/fd/{held}")
            self.options |= {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": [], "pass_fds": [held]}
        self.programs = self.find_programs()

    def find_programs(self):
        """Of the version that made the cluster, or the newest one."""
        made_by = self.folder / "cluster" / "PG_VERSION"
        if made_by.exists():
            wanted = made_by.read_text().strip()
            found = PROGRAMS / wanted / "bin"
            if not found.is_dir():
                raise Missing(f"{self.folder} was made by Postgres {wanted}, whose programs are missing: apt-get install postgresql-{wanted}")
            return found
        versions = sorted((path for path in PROGRAMS.glob("*/bin")), key=lambda path: [int(n) for n in path.parent.name.split(".")])
        if not versions:
            raise Missing("Postgres' programs are missing; run scripts/setup.sh postgres")
        return versions[-1]

    @property
    def url(self):
        return f"postgres://{NAME}:{self.password}@127.0.0.1:{self.port}/{NAME}"

    @property
    def is_made(self):
        return (self.folder / "cluster").is_dir()

    def make(self):
        """The cluster with one empty database. It gets its name last: one that was interrupted is made anew."""
        fresh = self.folder / "cluster.new"
        shutil.rmtree(fresh, ignore_errors=True)
        note = self.folder / "password"
        note.unlink(missing_ok=True)
        with open(os.open(note, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(self.password)
            if "user" in self.options:
                os.fchown(file.fileno(), self.options["user"], self.options["group"])
        try:
            self.run("initdb", f"--pgdata={self.path / fresh.name}", f"--username={NAME}", "--auth=scram-sha-256",
                     f"--pwfile={self.path / note.name}", "--encoding=UTF8", "--locale=C")
            self.run("postgres", "--single", "-D", self.path / fresh.name, "postgres", said=f"CREATE DATABASE {NAME}\n")
        finally:
            note.unlink(missing_ok=True)
        fresh.rename(self.folder / "cluster")

    def run(self, program, *arguments, said=None):
        options = {**self.options}
        if said is not None:
            options.pop("stdin")
            options["input"] = said
        with open(self.log, "a") as log:
            done = subprocess.run([self.programs / program, *arguments], stdout=log, stderr=subprocess.STDOUT, text=True, **options)
        if done.returncode:
            raise Missing(f"Postgres' {program} failed; see {self.log}")

    def command(self):
        return [
            self.programs / "postgres", "-D", self.path / "cluster", "-p", str(self.port), "-c", "listen_addresses=127.0.0.1",
            "-c", "unix_socket_directories=",
        ]

    def is_ready(self):
        asked = [self.programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(asked, stdin=subprocess.DEVNULL).returncode == 0


# Fast: it does not wait for those who are connected, and needs no repair afterwards.
END = signal.SIGINT
# Without waiting. Unlike a kill it leaves no shared memory behind; the next start repairs from its log.
END_HARD = signal.SIGQUIT
