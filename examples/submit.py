#!/usr/bin/env python3
"""Submit a folder with a job.toml over REST, follow it to its end, and print what it cost. Standard library only.

    export IOG_SERVER=http://127.0.0.1:3000 IOG_API_KEY=…        (portal: Me → API keys, scopes read and jobs)
    python3 examples/submit.py examples/digits
    python3 examples/submit.py --follow job_0198…

All files beside job.toml travel as one bundle; job.toml itself becomes the specification. The last lines go to standard
output; the exit code is 0 when the job finished well, 1 when it did not, 2 when it was refused.
"""

import argparse
import io
import json
import os
import sys
import tarfile
import time
import tomllib
import urllib.error
import urllib.parse
import urllib.request
import uuid
from pathlib import Path

ENDED = {"finished", "failed", "stopped"}
BASE_UNITS_PER_IO = 10**8


class Refused(Exception):
    """The server said no; the text says why, field by field."""


class Exchange:
    def __init__(self, server, key):
        self.server, self.key = server.rstrip("/"), key

    def call(self, method, path, body=None, kind="application/json", headers=None, patience_seconds=20):
        """One request. Repeated while the server is unreachable or busy, which is safe: POSTs carry an idempotency key."""
        data = json.dumps(body).encode() if kind == "application/json" and body is not None else body
        request = urllib.request.Request(self.server + path, data=data, method=method)
        request.add_header("Authorization", f"Bearer {self.key}")
        if data is not None:
            request.add_header("Content-Type", kind)
        for name, value in (headers or {}).items():
            request.add_header(name, value)
        until = time.monotonic() + patience_seconds
        while True:
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    return json.loads(answer.read() or b"null")
            except urllib.error.HTTPError as error:
                if error.code not in (429, 502, 503) or time.monotonic() > until:
                    raise Refused(words(error)) from None
                pause = float(error.headers.get("Retry-After") or 0.5)
            except OSError as error:
                if time.monotonic() > until:
                    raise Refused(f"{self.server} does not answer: {getattr(error, 'reason', error)}") from None
                pause = 0.5
            time.sleep(min(pause, 5))

    def submit(self, folder):
        spec = tomllib.loads((folder / "job.toml").read_text())
        bundle = pack(folder)
        if bundle:
            spec["bundle"] = self.call("POST", "/api/v1/bundles", bundle, "application/x-tar")["hash"]
        return self.call("POST", "/api/v1/jobs", {"spec": spec}, headers={"Idempotency-Key": str(uuid.uuid4())})["id"]

    def job(self, job):
        return self.call("GET", f"/api/v1/jobs/{job}")

    def log_page(self, job, after):
        return self.call("GET", f"/api/v1/jobs/{job}/logs?" + urllib.parse.urlencode({"after": after}))


def words(error):
    try:
        problem = json.loads(error.read())
        fields = "".join(f"\n  {field['field']}: {field['message']}" for field in problem.get("fields", []))
        return f"{problem.get('detail') or problem.get('title') or error.reason} ({error.code}){fields}"
    except (ValueError, AttributeError):
        return f"{error.code} {error.reason}"


def pack(folder):
    """The files beside job.toml as a tar that is the same each time, so that the server knows it again by its hash."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / "job.toml" and "__pycache__" not in path.parts)
    if not paths:
        return None
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path in paths:
            info = tarfile.TarInfo(path.relative_to(folder).as_posix())
            info.size = path.stat().st_size
            info.mode = 0o755 if os.access(path, os.X_OK) else 0o644
            with open(path, "rb") as file:
                tar.addfile(info, file)
    return out.getvalue()


def io_text(base_units):
    whole, rest = divmod(abs(int(base_units)), BASE_UNITS_PER_IO)
    fraction = f"{rest:08d}".rstrip("0")
    return ("-" if int(base_units) < 0 else "") + f"{whole}" + (f".{fraction}" if fraction else "") + " IO"


def follow(exchange, job, show=print):
    """Shows states and output as they come; returns the job as it ended."""
    # Each machine of a job on several writes its own lines; one that is begun waits for its end.
    state, after, begun = None, 0, {}

    def told(member, line):
        show(f"[{member}] {line}" if view.get("members", 1) > 1 else line)

    while True:
        view = exchange.job(job)
        if view["state"] != state:
            state = view["state"]
            where = f" on {view['node_name']}" if view.get("node_name") and state not in ("matching",) else ""
            show(f"[{state}{where}]")
        while True:
            page = exchange.log_page(job, after)
            # A piece ends where the job's write ended, which may be in the middle of a line.
            for piece in page["lines"]:
                member = piece.get("member", 0)
                *whole, begun[member] = (begun.get(member, "") + piece["text"]).split("\n")
                for line in whole:
                    told(member, line)
            after = page["next"]
            if not page["more"]:
                break
        if state in ENDED:
            for member, line in begun.items():
                if line:
                    told(member, line)
            return view
        time.sleep(0.5)


def ending(view):
    end = view.get("end") or {}
    details = ", ".join(f"{name} {value}" for name, value in end.items() if name != "kind" and value is not None)
    how = end.get("kind", "").replace("_", " ") + (f" ({details})" if details else "")
    where = f" on {view['node_name']} ({view['device_model']})" if view.get("node_name") else ""
    return (
        f"{view['state']}{': ' + how if how else ''} — {view['seconds']} s delivered{where}, "
        f"cost {io_text(view['spent'])}, {len(view.get('artefacts', []))} artefact(s)"
    )


def main():
    about = argparse.ArgumentParser(description="Submit a job over REST and follow it to its end.")
    about.add_argument("folder", nargs="?", type=Path, help="a folder with a job.toml")
    about.add_argument("--follow", metavar="JOB", help="follow a job that was submitted before")
    about.add_argument("--id-file", type=Path, help="write the job's id here as soon as it is known")
    about.add_argument("--server", default=os.environ.get("IOG_SERVER", "http://127.0.0.1:3000"))
    args = about.parse_args()
    key = os.environ.get("IOG_API_KEY")
    if not key:
        about.error("put an API key into the environment variable IOG_API_KEY")
    if bool(args.folder) == bool(args.follow):
        about.error("give either a folder or --follow JOB")
    exchange = Exchange(args.server, key)
    try:
        job = args.follow or exchange.submit(args.folder)
        if args.id_file:
            args.id_file.write_text(job)
        print(f"{job}  {args.server}/jobs/{job}", flush=True)
        view = follow(exchange, job, lambda text: print(text, flush=True))
    except FileNotFoundError as error:
        print(f"refused: {error.filename} is not there", file=sys.stderr)
        return 2
    except (Refused, tomllib.TOMLDecodeError) as error:
        print(f"refused: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    print(ending(view), flush=True)
    return 0 if view["state"] == "finished" else 1


if __name__ == "__main__":
    sys.exit(main())
