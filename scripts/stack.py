"""The whole of IOG on this machine: a development chain, a server on the embedded database or a Postgres of its own, two owners'
workers, and a requester.

    stack.py [--data DIR] [--port N] [--database postgres] [--chain none] [--example DIR] [--again]   `make run`: stay until Ctrl-C
    stack.py --data DIR … -- command…                                run a command against it, then stop (`make e2e`)
    stack.py --check                                                 say whether workers could isolate jobs for this user

Everything it knows is in DATA/demo.json, so that a second start finds accounts, nodes and the job as they were. All
children get SIGTERM when this process dies, however it dies: nothing is left behind.
"""

import argparse
import ctypes
import fcntl
import json
import os
import secrets
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import postgres

ROOT = Path(__file__).resolve().parent.parent
REQUESTER = {"name": "Ada", "email": "ada@example.com"}
OWNERS = [
    {"name": "Bo", "email": "bo@example.com", "node": "bo-desktop", "country": "CH", "price": "0.9"},
    {"name": "Chi", "email": "chi@example.com", "node": "chi-studio", "country": "SG", "price": "1.2"},
]
# Two, because some decisions take two.
ADMINS = [{"name": "Dee", "email": "dee@example.com"}, {"name": "Eli", "email": "eli@example.com"}]
# What each account may take once, and what it may ask of the faucet at once. Not real money; a server of its own gives none.
CREDIT_IO, FAUCET_IO = "50", "100"
# The development chain's account (docs/devchain.md), and a second one that pays out. Neither is a secret: the chain is worth nothing.
DEVELOPMENT = "0x7d4f89603f89f6eb34576e75d937a9b85c3802d760a86572f386d19e028f58df"
SETTLERS = {
    DEVELOPMENT: b"IOG development key, not secret!".hex(),
    "0x23a64c03f01077da67b6e5e21fcdffd8ade93a2903481d2e6246cf1679adb4a2": b"IOG second settler, not secret!!".hex(),
}
CHAIN_ID = 4
# What the vault begins with, in base units: demo credit comes from nowhere, and whoever earned it is paid out of this.
VAULT = 100_000 * 10**8
# A deposit with this tag is the platform's own.
PLATFORM_TAG = "0x" + "00" * 16
WEEK_MS = 7 * 86_400_000
READY_SECONDS, DRAIN_SECONDS, STOP_SECONDS = 60, 20, 15
PR_SET_PDEATHSIG = 1
CGROUPS = Path("/sys/fs/cgroup")
# A group of the user's own systemd in which a worker may make its jobs' groups.
SCOPE = ["systemd-run", "--user", "--scope", "--quiet", "-p", "Delegate=yes", "--"]


class Trouble(Exception):
    """Something a person has to look at; the text says what."""


class Stopped(Exception):
    """Ctrl-C or SIGTERM."""


def say(text=""):
    print(text, flush=True)


def spoken_password():
    """Twelve syllables at random, about 70 bits: safe, and can be typed from the screen."""
    syllables = [c + v for c in "bdfghjklmnprstvz" for v in "aeiou"]
    return "-".join("".join(secrets.choice(syllables) for _ in range(3)) for _ in range(4))


def die_with_parent(by=signal.SIGTERM):
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, by)


def own_memory_group():
    """Where this process stands in cgroup version 1's memory hierarchy."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            return CGROUPS / "memory" / path.lstrip("/")
    return CGROUPS / "memory"


def before_worker():
    """What stands before a worker's command, so that it may make cgroups. Root needs nothing."""
    if os.geteuid() == 0:
        return []
    if (CGROUPS / "cgroup.controllers").exists():
        try:
            if subprocess.run([*SCOPE, "true"], stdin=subprocess.DEVNULL, capture_output=True, timeout=15).returncode == 0:
                return SCOPE
        except (OSError, subprocess.TimeoutExpired):
            pass
    elif os.access(own_memory_group(), os.W_OK):
        return []
    raise Trouble(
        "workers cannot isolate jobs for this user: that needs cgroups. Run it as root, or, on cgroup v2, from a session in which "
        "your own systemd answers (`systemctl --user status`; not one opened with su or sudo)."
    )


def tail(path, lines=15):
    try:
        text = path.read_text(errors="replace").splitlines()[-lines:]
    except OSError:
        return ""
    return "".join(f"    | {line}\n" for line in text)


class Child:
    """A program that is meant to run until it is told to stop. Its output goes to a file."""

    def __init__(self, name, command, log, env, end=signal.SIGTERM, end_hard=signal.SIGKILL, **options):
        self.name, self.log, self.end_signal, self.end_hard_signal = name, log, end, end_hard
        if log.exists():
            log.replace(log.with_suffix(".before.log"))
        with open(log, "wb") as out:
            # A session of its own: Ctrl-C reaches this process alone, which then stops the others in order.
            self.process = subprocess.Popen(
                command, env=env, stdout=out, stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=lambda: die_with_parent(end),
                **{"cwd": ROOT, "stdin": subprocess.DEVNULL, **options},
            )

    def running(self):
        return self.process.poll() is None

    def end(self):
        code = self.process.returncode
        return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"

    def complain(self):
        return f"{self.name} {self.end()}. Its last lines ({self.log}):\n{tail(self.log)}"


class Stack:
    def __init__(self, args):
        self.data = args.data.resolve()
        self.programs = args.programs.resolve()
        self.site = args.site.resolve()
        self.wanted_port = args.port
        self.wanted_database = args.database
        self.lend = args.lend
        self.registries = args.registry
        self.with_chain = args.chain == "dev" and not os.environ.get("IOG_CHAIN_URL")
        self.data.mkdir(parents=True, exist_ok=True)
        self.data.chmod(0o700)
        (self.data / "log").mkdir(exist_ok=True)
        self.lock = open(self.data / "lock", "w")
        self.postgres, self.chain, self.server, self.workers = None, None, None, []
        self.database_url = None
        self.state_file = self.data / "demo.json"
        self.state = {}
        self.url = ""
        self.chain_url = ""

    # ---- What is remembered ------------------------------------------------------------------------------------

    def claim(self):
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Trouble(f"another `make run` is using {self.data}; stop it first, or choose another folder with IOG_DATA=…") from None
        if self.state_file.exists():
            self.state = json.loads(self.state_file.read_text())

    def remember(self):
        fresh = self.state_file.with_suffix(".new")
        # It holds the demo's passwords and its API key.
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(self.state, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.state_file)

    # ---- Parts ---------------------------------------------------------------------------------------------------

    def choose_database(self):
        """What was asked for, or what the folder began with. Books do not change their database unasked."""
        began = self.state.get("database", "sqlite" if self.state.get("accounts") else None)
        wanted = self.wanted_database or began or "sqlite"
        if began and wanted != began:
            raise Trouble(
                f"the books of {self.data} are in {began}, not in {wanted}. Choose another folder with IOG_DATA=…, or begin anew by deleting this one."
            )
        self.state["database"] = wanted
        return wanted

    def start_postgres(self):
        log = self.data / "log" / "postgres-made.log"
        try:
            cluster = postgres.Cluster(self.data, self.state.setdefault("postgres_password", secrets.token_hex(16)), log)
            self.remember()
            if cluster.is_made:
                say(f"  Postgres {cluster.programs.parent.name} on the cluster of the last start, {cluster.folder}")
            else:
                say(f"  Postgres {cluster.programs.parent.name} makes a cluster of its own in {cluster.folder}")
                cluster.make()
        except postgres.Missing as missing:
            raise Trouble(str(missing)) from None
        self.postgres = Child("Postgres", cluster.command(), self.data / "log" / "postgres.log", self.env(), end=postgres.END,
                              end_hard=postgres.END_HARD, **cluster.options)
        self.wait_for("Postgres", self.postgres, cluster.is_ready)
        self.database_url = cluster.url
        say(f"  Postgres listens on 127.0.0.1:{cluster.port}, for this machine alone")

    def start_chain(self):
        """A chain of the folder's own, with the contracts on it, accounts that may pay out, and IO in the vault."""
        port = self.state["chain_port"] = self.free_port(self.state.get("chain_port"), 8080)
        self.chain_url = f"http://127.0.0.1:{port}"
        command = [
            self.programs / "iog-devchain", "--listen", f"127.0.0.1:{port}", "--data", self.data / "devchain", "--package", ROOT / "contracts",
            "--block-ms", "1000",
        ]
        self.chain = Child("The development chain", command, self.data / "log" / "devchain.log", dict(os.environ, NO_COLOR="1"))
        self.wait_for("The development chain", self.chain, lambda: self.ask_chain("/v1")["chain_id"] == CHAIN_ID)
        self.remember()
        for settler in SETTLERS:
            if not self.view("roles::is_settler", settler):
                self.chain_call("roles::add_settler", settler)
                self.ask_chain("/mint?" + urllib.parse.urlencode({"address": settler, "amount": 100 * 10**8, "asset": "apt"}), {})
        # The first settler publishes reports too.
        if not self.view("roles::is_reporter", DEVELOPMENT):
            self.chain_call("roles::add_reporter", DEVELOPMENT)
        if self.view("settlement::vault_balance") == "0":
            self.chain_call("settlement::deposit", PLATFORM_TAG, str(VAULT))

    def ask_chain(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.chain_url + path, data=data, headers={"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())

    def view(self, function, *arguments):
        return self.ask_chain("/v1/view", {"function": f"{DEVELOPMENT}::{function}", "type_arguments": [], "arguments": arguments})[0]

    def chain_call(self, function, *arguments):
        done = self.ask_chain("/devchain/call", {"function": function, "arguments": arguments})
        if not done.get("success"):
            raise Trouble(f"{function} failed on the development chain: {done.get('vm_status', done)}")

    def chain_env(self):
        """An address is what any other network would take too: set IOG_CHAIN_URL and its companions, and this chain is not started."""
        if not self.chain:
            return {}
        return {
            "IOG_CHAIN_URL": self.chain_url + "/v1",
            "IOG_CHAIN_ID": str(CHAIN_ID),
            "IOG_CHAIN_CONTRACT": DEVELOPMENT,
            "IOG_CHAIN_SETTLER_KEYS": " ".join(SETTLERS.values()),
            "IOG_CHAIN_FEE_PAYER_KEY": SETTLERS[DEVELOPMENT],
        }

    def free_port(self, wanted, first):
        wanted = wanted or first
        for port in [wanted, *range(first, first + 100)]:
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
            if port != wanted:
                say(f"  Port {wanted} is taken; using {port}.")
            return port
        raise Trouble(f"no port from {first} to {first + 99} is free; the server's can be chosen with PORT=…")

    def env(self, **more):
        defaults = {
            "IOG_DATA_DIR": str(self.data),
            "LEPTOS_SITE_ADDR": f"127.0.0.1:{self.state['port']}",
            "IOG_PUBLIC_URL": self.url,
            # Whoever tries webhooks out has their receiver on this machine.
            "IOG_WEBHOOKS_LOCAL": "true",
            "LEPTOS_SITE_ROOT": str(self.site),
            "LEPTOS_OUTPUT_NAME": "iog",
            "LEPTOS_HASH_FILES": "true",
            "LEPTOS_ENV": "PROD",
            # Their logs go to files.
            "NO_COLOR": "1",
        }
        return {**os.environ, **defaults, **more}

    def server_env(self, **more):
        """The server's alone: workers and clients need no way to the books."""
        demo = {
            "IOG_DEMO_CREDIT_IO": os.environ.get("IOG_DEMO_CREDIT_IO", CREDIT_IO),
            # A demo's jobs earn little.
            "IOG_PAYOUT_MIN_IO": os.environ.get("IOG_PAYOUT_MIN_IO", "0.0001"),
            "IOG_FAUCET_MAX_IO": os.environ.get("IOG_FAUCET_MAX_IO", FAUCET_IO),
        }
        database = {"IOG_DATABASE_URL": self.database_url} if self.database_url else {}
        return self.env(**database, **self.chain_env(), **demo, **more)

    def admin(self, *command, **env):
        """One of the server's own subcommands; returns its last word, which is the id, key or token."""
        done = subprocess.run(
            [self.programs / "iog-server", *command], cwd=ROOT, env=self.server_env(**env), capture_output=True, text=True, stdin=subprocess.DEVNULL,
        )
        if done.returncode:
            raise Trouble(f"`iog-server {' '.join(command)}` failed:\n{done.stderr or done.stdout}")
        words = done.stdout.split()
        if not words:
            raise Trouble(f"`iog-server {' '.join(command)}` printed nothing")
        return words[-1]

    def make_accounts(self):
        known = self.state.setdefault("accounts", {})
        people = [(REQUESTER, ["--demo-credit-io", CREDIT_IO]), *((owner, []) for owner in OWNERS), *((admin, ["--role", "admin"]) for admin in ADMINS)]
        for person, more in people:
            if person["email"] in known:
                continue
            password = spoken_password()
            self.admin(
                "account", "create", "--email", person["email"], "--name", person["name"], "--password-env", "IOG_NEW_PASSWORD", *more,
                IOG_NEW_PASSWORD=password,
            )
            known[person["email"]] = {"name": person["name"], "password": password}
            self.remember()
        if "api_key" not in self.state:
            self.state["api_key"] = self.admin("key", "create", "--email", REQUESTER["email"], "--name", "demo", "--scopes", "read,jobs")
            self.remember()

    def get(self, path):
        request = urllib.request.Request(self.url + path, headers={"Authorization": f"Bearer {self.state['api_key']}"})
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.read()

    def wait_for(self, what, child, test, seconds=READY_SECONDS):
        until = time.monotonic() + seconds
        while True:
            if child and not child.running():
                raise Trouble(child.complain())
            try:
                if test():
                    return
            except (OSError, ValueError, KeyError, urllib.error.URLError):
                pass
            if time.monotonic() > until:
                log = f" ({child.log})\n{tail(child.log)}" if child else ""
                raise Trouble(f"{what} did not come within {seconds} s{log}")
            time.sleep(0.1)

    def start_server(self):
        self.server = Child("The server", [self.programs / "iog-server", "serve"], self.data / "log" / "server.log", self.server_env())
        self.wait_for("The server", self.server, lambda: self.get("/readyz") is not None)

    def start_workers(self):
        enrolled = self.state.setdefault("enrolled", [])
        before = before_worker()
        for owner in OWNERS:
            folder = self.data / "workers" / owner["node"]
            folder.mkdir(parents=True, exist_ok=True)
            if owner["node"] not in enrolled:
                token = self.admin("join-token", "create", "--email", owner["email"])
                done = subprocess.run(
                    [
                        *before, self.programs / "iog-worker", "join", "--enroll-only", "--server", self.url, "--token", token, "--state", folder,
                        "--name", owner["node"], "--country", owner["country"], "--price-per-hour", owner["price"],
                    ],
                    cwd=ROOT, env=self.env(), capture_output=True, text=True, stdin=subprocess.DEVNULL,
                )
                if done.returncode:
                    raise Trouble(f"{owner['name']}'s worker could not join:\n{done.stderr or done.stdout}")
                enrolled.append(owner["node"])
                self.remember()
            log = self.data / "log" / f"{owner['node']}.log"
            # Ctrl-C is not kept waiting for a long job: it is stopped, paid for what it ran, and matched again at the next start.
            command = [*before, self.programs / "iog-worker", "run", "--state", folder, "--server", self.url, "--drain-timeout", "5"]
            command += [word for folder in self.lend for word in ("--lend", folder)]
            command += [word for host in self.registries for word in ("--registry", host)]
            self.workers.append(Child(f"{owner['name']}'s worker", command, log, self.env()))
        for owner, worker in zip(OWNERS, self.workers):
            self.wait_for(f"The device of {owner['node']} on the market", worker, lambda: self.is_offered(owner["node"]), seconds=30)

    def is_offered(self, node):
        return any(offer["node_name"] == node for offer in json.loads(self.get("/api/v1/offers"))["offers"])

    def run_example(self, folder, again):
        """Submits once per data folder; a start in mid-job follows the same one to its end."""
        command = [sys.executable, str(ROOT / "examples" / "submit.py"), "--server", self.url]
        note = self.data / "demo-job"
        known = note.read_text().strip() if note.exists() else ""
        if known and not again:
            view = json.loads(self.get(f"/api/v1/jobs/{known}"))
            if view["state"] in ("finished", "failed", "stopped"):
                say(f"  The example ran before: {self.url}/jobs/{known} ({view['state']}). `make run AGAIN=1` submits it once more.")
                return
            say(f"  The example is still at work: {known}")
            command += ["--follow", known]
        else:
            say(f"  {REQUESTER['name']} submits {folder.relative_to(ROOT) if folder.is_relative_to(ROOT) else folder} over REST:")
            note.unlink(missing_ok=True)
            command += [str(folder), "--id-file", str(note)]
        env = self.env(IOG_API_KEY=self.state["api_key"])
        with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, stdin=subprocess.DEVNULL,
                              start_new_session=True, preexec_fn=die_with_parent) as client:
            try:
                for line in client.stdout:
                    say(f"    {line.rstrip()}")
            except BaseException:
                client.terminate()
                raise
        if client.returncode:
            say(f"  The example did not finish well (exit code {client.returncode}); the server and the workers stay up so that you can look.")

    def age(self):
        """What the books hold so far becomes two weeks old, as if the stack had stood still since: a week that is over cannot be
        waited for. The server numbers and chains transfers anew at its start."""
        if self.state["database"] != "sqlite":
            raise Trouble("--aged knows the embedded database alone")
        self.server.process.send_signal(signal.SIGTERM)
        self.server.process.wait(STOP_SECONDS)
        books = sqlite3.connect(self.data / "iog.db", isolation_level=None)
        try:
            books.executescript(f"""
                DROP TRIGGER transfers_stay;
                UPDATE transfers SET at = at - {2 * WEEK_MS}, seq = NULL, hash = NULL, from_after = NULL, to_after = NULL;
                DELETE FROM ledger_checks;
            """)
        finally:
            books.close()
        self.start_server()
        for owner, worker in zip(OWNERS, self.workers):
            self.wait_for(f"The device of {owner['node']} on the market", worker, lambda: self.is_offered(owner["node"]), seconds=30)

    # ---- From start to end ---------------------------------------------------------------------------------------

    def start(self):
        self.claim()
        self.state["port"] = self.free_port(self.wanted_port or self.state.get("port"), 3000)
        self.url = f"http://127.0.0.1:{self.state['port']}"
        begun = time.monotonic()
        if self.choose_database() == "postgres":
            self.start_postgres()
        if self.with_chain:
            self.start_chain()
            say(f"  Development chain at {self.chain_url}, with the contracts at {DEVELOPMENT[:10]}… ({time.monotonic() - begun:.1f} s)")
        self.make_accounts()
        self.start_server()
        say(f"  Server ready at {self.url} ({time.monotonic() - begun:.1f} s)")
        self.remember()
        self.start_workers()
        say(f"  {len(self.workers)} workers joined and on the market ({time.monotonic() - begun:.1f} s)")

    def sign_ins(self):
        say()
        say(f"  Portal      {self.url}")
        if self.chain:
            say(f"  Chain       {self.chain_url} (not Aptos: worth nothing)")
        for email, account in self.state["accounts"].items():
            role = "requester" if email == REQUESTER["email"] else "admin" if email in [admin["email"] for admin in ADMINS] else "owner"
            say(f"  {role:<10}  {email:<18} {account['password']}")
        say(f"  API key     {self.state['api_key']}")
        credit = self.server_env()["IOG_DEMO_CREDIT_IO"]
        if credit not in ("", "0"):
            say(f"  A new account takes {credit} IO of demo credit at {self.url}/billing and can rent at once. It is not real money.")
        say(f"  Data, logs  {self.data}")

    def watch(self):
        gone = set()
        while True:
            for needed in self.needed():
                if not needed.running():
                    raise Trouble(needed.complain())
            for worker in self.workers:
                if worker not in gone and not worker.running():
                    gone.add(worker)
                    say(f"  {worker.complain()}  The others go on; Ctrl-C stops them.")
            time.sleep(0.5)

    def needed(self):
        """Without these nothing goes on."""
        return [child for child in (self.server, self.chain, self.postgres) if child]

    def stop(self, hard=False):
        """Workers first, so that they can still tell the server how their work ended; chain and database last."""
        if hard:
            for child in [*self.workers, *self.needed()]:
                if child.running():
                    child.process.send_signal(child.end_hard_signal)
                    child.process.wait()
            return
        for group, seconds in [(self.workers, DRAIN_SECONDS), *(([child], STOP_SECONDS) for child in self.needed())]:
            for child in group:
                if child.running():
                    child.process.send_signal(child.end_signal)
            until = time.monotonic() + seconds
            for child in group:
                try:
                    child.process.wait(max(0.1, until - time.monotonic()))
                except subprocess.TimeoutExpired:
                    say(f"  {child.name} did not stop within {seconds} s and was killed ({child.log})")
                    child.process.send_signal(child.end_hard_signal)
                    child.process.wait()


def on_signal(number, _frame):
    raise Stopped(signal.Signals(number).name)


def arguments():
    about = argparse.ArgumentParser(description="Run all of IOG on this machine.")
    about.add_argument("--data", type=Path, default=ROOT / "data")
    about.add_argument("--port", type=int, help="default: the one used last time, then 3000")
    about.add_argument("--programs", type=Path, default=ROOT / "target" / "debug")
    about.add_argument("--site", type=Path, default=ROOT / "target" / "site")
    about.add_argument("--database", choices=["sqlite", "postgres"], help="default: what the data folder began with, then sqlite")
    about.add_argument("--chain", choices=["dev", "none"], default="dev", help="none: payouts and deposits by hand; IOG_CHAIN_URL in the environment: that one")
    about.add_argument("--lend", action="append", default=[], metavar="DIR[:PLACE]", help="a folder that jobs on both workers may read; may be given again")
    about.add_argument("--registry", action="append", default=[], metavar="HOST", help="a registry on this machine that jobs may pull from; may be given again")
    about.add_argument("--example", type=Path, help="a folder with a job.toml, submitted once")
    about.add_argument("--again", action="store_true", help="submit the example even if it ran before")
    about.add_argument("--aged", action="store_true", help="for tests: the example was two weeks ago, so that there is a week that is over")
    about.add_argument("--check", action="store_true", help="only say whether workers could isolate jobs for this user")
    about.add_argument("command", nargs=argparse.REMAINDER, help="-- command to run instead of waiting for Ctrl-C")
    args = about.parse_args()
    if args.command[:1] == ["--"]:
        args.command = args.command[1:]
    return args


def run_command(stack, command):
    """The command finds the stack by these names; see end2end/playwright.config.ts."""
    accounts = stack.state["accounts"]
    env = stack.env(
        BASE_URL=stack.url, IOG_DEVCHAIN_URL=stack.chain_url, IOG_API_KEY=stack.state["api_key"], IOG_SERVER=stack.url,
        IOG_REQUESTER_EMAIL=REQUESTER["email"], IOG_REQUESTER_PASSWORD=accounts[REQUESTER["email"]]["password"],
        IOG_OWNER_EMAIL=OWNERS[0]["email"], IOG_OWNER_PASSWORD=accounts[OWNERS[0]["email"]]["password"],
        IOG_ADMIN_EMAIL=ADMINS[0]["email"], IOG_ADMIN_PASSWORD=accounts[ADMINS[0]["email"]]["password"],
        IOG_ADMIN2_EMAIL=ADMINS[1]["email"], IOG_ADMIN2_PASSWORD=accounts[ADMINS[1]["email"]]["password"],
    )
    code = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, preexec_fn=die_with_parent).returncode
    for child in [*stack.needed(), *stack.workers]:
        if not child.running():
            say(f"  {child.complain()}")
            code = code or 1
    return code


def main():
    args = arguments()
    if args.check:
        try:
            before_worker()
        except Trouble as trouble:
            say(f"error: {trouble}")
            return 1
        return 0
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, on_signal)
    stack, code = Stack(args), 0
    try:
        stack.start()
        if args.example:
            stack.run_example(args.example.resolve(), args.again)
        if args.aged:
            stack.age()
        if args.command:
            code = run_command(stack, args.command)
        else:
            stack.sign_ins()
            say("\n  Ctrl-C stops everything; `make run` finds it again as it is.")
            stack.watch()
    except Stopped:
        say("\n  Stopping; a second Ctrl-C does not wait.")
    except Trouble as trouble:
        say(f"\nerror: {trouble}")
        code = 1
    try:
        stack.stop()
    except Stopped:
        stack.stop(hard=True)
        code = 130
    if not args.command:
        say("  Stopped.")
    return code


if __name__ == "__main__":
    sys.exit(main())
