#!/usr/bin/env python3
"""Money from end to end: a job is billed, its invoice is checked offline, a receipt is contested, an admin refunds it, and
the books still come to zero. Standard library only; each step says what it saw, and the first that is wrong ends it.

    make demo            on a server of its own, then it is gone
    python3 examples/receipts.py     against a running one: IOG_SERVER, IOG_API_KEY (scopes read and jobs), IOG_ADMIN_EMAIL,
                                     IOG_ADMIN_PASSWORD, and IOG_CLI, the program `iog`
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
import uuid
from pathlib import Path

from submit import ENDED, Exchange, Refused, io_text

CLI = os.environ.get("IOG_CLI", "iog")
RUNS_SECONDS = 5
# So many single digits of the invoice are changed, one at a time; each must be found.
FORGERIES = 60


class Wrong(Exception):
    """Something is not as it must be."""


def expect(holds, words):
    if not holds:
        raise Wrong(words)


class Admin:
    """A signed-in person: what admins do is not done with a key."""

    def __init__(self, server, email, password):
        self.server = server
        form = urllib.parse.urlencode({"email": email, "password": password, "next": "/"}).encode()
        answer = urllib.request.urlopen(self.request("POST", "/fn/sign-in", form, "application/x-www-form-urlencoded"), timeout=30)
        self.cookie = answer.headers["Set-Cookie"].split(";")[0]

    def request(self, method, path, data=None, kind="application/json"):
        request = urllib.request.Request(self.server + path, data=data, method=method)
        request.add_header("Origin", self.server)
        request.add_header("Accept", "application/json")
        if data is not None:
            request.add_header("Content-Type", kind)
        return request

    def call(self, method, path, body=None):
        data = json.dumps(body).encode() if body is not None else None
        request = self.request(method, path, data)
        request.add_header("Cookie", self.cookie)
        request.add_header("Idempotency-Key", str(uuid.uuid4()))
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())


def verify(path):
    done = subprocess.run([CLI, "verify-invoice", str(path)], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


def billed(exchange):
    spec = {"name": "to be contested", "command": ["sleep", str(RUNS_SECONDS)], "limits": {"duration_seconds": 60}}
    job = exchange.call("POST", "/api/v1/jobs", {"spec": spec}, headers={"Idempotency-Key": str(uuid.uuid4())})
    job = job["id"]
    until = time.monotonic() + 90
    while True:
        summary = exchange.job(job)
        if summary["state"] in ENDED:
            break
        expect(time.monotonic() < until, f"{job} is still {summary['state']}")
        time.sleep(0.3)
    expect(summary["state"] == "finished", f"{job} {summary['state']}")
    spent = int(summary["spent"])
    expect(spent > 0, "nothing was charged")
    print(f"1. {job} ran {summary['seconds']} s and cost {io_text(spent)}")
    return job, spent


def checked(exchange, job, spent, folder):
    invoice = exchange.call("GET", f"/api/v1/jobs/{job}/invoice")
    path = folder / "invoice.json"
    path.write_text(json.dumps(invoice, indent=1))
    code, words = verify(path)
    print("2. iog verify-invoice, without a network:")
    print("   " + words.strip().replace("\n", "\n   "))
    expect(code == 0, f"a true invoice is refused (exit code {code})")
    # Any digit of it: a price, a second, a sum, a hash, a signature.
    text = path.read_text()
    digits = [at for at, letter in enumerate(text) if letter.isdigit()]
    forged = folder / "forged.json"
    for at in random.Random(7).sample(digits, min(FORGERIES, len(digits))):
        other = str((int(text[at]) + 1) % 10)
        forged.write_text(text[:at] + other + text[at + 1:])
        code, words = verify(forged)
        expect(code != 0, f"a forged digit passes: …{text[max(0, at - 40):at + 20]}… with {other}")
    print(f"   {min(FORGERIES, len(digits))} forgeries of one digit each: all found")


def available(exchange):
    return int(exchange.call("GET", "/api/v1/balance")["available"])


def contested(exchange, admin, job):
    receipt = exchange.call("GET", f"/api/v1/jobs/{job}/receipts")[-1]
    before = available(exchange)
    body = {"lease": receipt["receipt"]["lease"], "seq": receipt["receipt"]["seq"], "reason": "The machine did nothing."}
    key = {"Idempotency-Key": str(uuid.uuid4())}
    dispute = exchange.call("POST", "/api/v1/disputes", body, headers=key)
    again = exchange.call("POST", "/api/v1/disputes", body, headers=key)
    expect(again["id"] == dispute["id"], "a repeated request opened a second dispute")
    claimed = int(dispute["claimed"])
    print(f"3. {dispute['id']} contests {io_text(claimed)}; the records say:")
    said = exchange.call("GET", f"/api/v1/disputes/{dispute['id']}")["evidence"]
    print("   " + said[-1]["text"])
    ruled = admin.call("POST", f"/api/v1/admin/disputes/{dispute['id']}/ruling",
                       {"refund": dispute["claimed"], "ruling": "Its log shows nothing."})
    expect(ruled["state"] == "refunded", f"the dispute is {ruled['state']}")
    after = available(exchange)
    expect(after - before == claimed, f"{io_text(after - before)} came back of {io_text(claimed)}")
    print(f"4. an admin refunded {io_text(after - before)}, to the last base unit")
    try:
        exchange.call("POST", "/api/v1/disputes", body, headers={"Idempotency-Key": str(uuid.uuid4())})
        raise Wrong("a receipt was contested twice")
    except Refused as refused:
        print(f"   contesting it again: {refused}")


def main():
    exchange = Exchange(os.environ["IOG_SERVER"], os.environ["IOG_API_KEY"])
    admin = Admin(exchange.server, os.environ["IOG_ADMIN_EMAIL"], os.environ["IOG_ADMIN_PASSWORD"])
    with tempfile.TemporaryDirectory() as folder:
        job, spent = billed(exchange)
        checked(exchange, job, spent, Path(folder))
        contested(exchange, admin, job)
    admin.call("POST", "/api/v1/admin/ledger/reconcile")
    incidents = admin.call("GET", "/api/v1/admin/incidents?open=true")["items"]
    proof = exchange.call("GET", "/api/v1/ledger/proof")
    expect(not incidents, f"incidents: {incidents}")
    expect(int(proof["sum"]) == 0, f"the books come to {proof['sum']}")
    print(f"5. {proof['seq']} transfers, {proof['books']} books, sum {proof['sum']}; no incident")


if __name__ == "__main__":
    try:
        main()
    except (Wrong, Refused, KeyError) as error:
        sys.exit(f"error: {error!r}" if isinstance(error, KeyError) else f"error: {error}")
