#!/usr/bin/env python3
"""Launch a template against a running server, watch it to its end, and say what came of it and when. For those that CI cannot carry.

    IOG_URL=http://127.0.0.1:3000 IOG_API_KEY=… scripts/try-template.py pytorch epochs=3
    scripts/try-template.py llm replicas=1 ask="What is a receipt?"     asks it as an endpoint, then stops it
    scripts/try-template.py jupyter open=8888/api/status                asks one of its ports, then stops it
    scripts/try-template.py blender frames=4 save=/tmp/frames           keeps its pictures

The node must have what the template's page names: python3-torch; /opt/bpy or /opt/iog-llm lent with --lend.
The last line is a row of docs/benchmarks.md: milliseconds by the server's clock up to `running`, from then on as seen from here.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request
from datetime import datetime
from pathlib import Path

URL = os.environ.get("IOG_URL", "http://127.0.0.1:3000").rstrip("/")
KEY = os.environ.get("IOG_API_KEY") or sys.exit("IOG_API_KEY: a key with the scopes read and jobs")
PATIENCE_SECONDS = 900
LOOK_SECONDS = 0.1
OVER = ("finished", "failed", "stopped")


def call(method, path, body=None, may_fail=False):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(URL + path, data, method=method)
    request.add_header("authorization", f"Bearer {KEY}")
    # A port of a job takes this one: what stands in `authorization` is the job's own.
    request.add_header("x-iog-token", KEY)
    request.add_header("content-type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=180) as answer:
            return answer.read()
    except urllib.error.HTTPError as error:
        if may_fail:
            return None
        sys.exit(f"{method} {path}: {error.code} {error.read().decode(errors='replace')}")


class Watch:
    """What was seen of a job, and when."""

    def __init__(self, job):
        self.job, self.seen, self.view, self.well = job, {}, {}, False

    def first(self, what):
        self.seen.setdefault(what, time.time())

    def look(self):
        self.view = json.loads(call("GET", f"/api/v1/jobs/{self.job}"))
        if "output" not in self.seen and self.view["log_bytes"]:
            self.first("output")
        if self.view["artefacts"]:
            self.first("file")
        return self.view["state"] in OVER

    def until(self, test):
        until = time.monotonic() + PATIENCE_SECONDS
        while not test():
            if time.monotonic() > until:
                sys.exit("it takes too long")
            if self.look() and not test():
                return False
            time.sleep(LOOK_SECONDS)
        return True

    def event(self, kind):
        at = [event["at"] for event in self.view["events"] if event["kind"] == kind]
        return datetime.fromisoformat(at[-1].replace("Z", "+00:00")).timestamp() if at else None

    def row(self, name):
        """Where the time went: each step lasts until the next one begins."""
        marks = [(kind, self.event(kind)) for kind in ("submitted", "leased", "fetching", "pulling", "isolating", "running")]
        marks = [(kind, at) for kind, at in marks if at]
        steps = {kind: after - at for (kind, at), (_, after) in zip(marks, marks[1:])}
        running, uploading, ended = (self.event(kind) for kind in ("running", "uploading", "ended"))
        since = lambda at: at - running if at and running else None
        steps |= {"output": since(self.seen.get("output")), "file": since(self.seen.get("file")), "answer": since(self.seen.get("answer"))}
        steps |= {"end": since(uploading or ended), "packing": ended - uploading if uploading and ended else None}
        order = ("submitted", "leased", "fetching", "pulling", "isolating", "output", "file", "answer", "end", "packing")
        cells = ["–" if steps.get(step) is None else f"{1000 * steps[step]:.0f}" for step in order]
        return f"| {name} | " + " | ".join(cells) + " |"


def serve(watch, question):
    """Waits until a replica answers, asks it, and tells the figures."""
    own = f"/api/v1/endpoints/{watch.job}"
    if not watch.until(lambda: any(one["well"] for one in json.loads(call("GET", own))["replicas"])):
        return
    asked = {"messages": [{"role": "user", "content": question}], "max_tokens": 48}
    said = json.loads(call("POST", f"{own}/v1/chat/completions", asked))
    watch.first("answer")
    print(f"asked: {question}\nsaid: {said['choices'][0]['message']['content']}")
    print(json.dumps(json.loads(call("GET", own))))


def visit(watch, place):
    """Waits until one of its ports answers."""
    answers = []

    def answered():
        answers.append(call("GET", f"/j/{watch.job}/{place}", may_fail=True))
        return answers[-1] is not None

    if watch.until(answered):
        watch.first("answer")
        print(f"{place}: {answers[-1][:600].decode(errors='replace')}")


def save(watch, folder):
    folder.mkdir(parents=True, exist_ok=True)
    for file in watch.view["artefacts"]:
        if file["path"].endswith(".png"):
            picture = call("GET", f"/api/v1/jobs/{watch.job}/pictures/{file['id']}")
            (folder / f"{file['member']}-{Path(file['path']).name}").write_bytes(picture)


def main():
    template, *pairs = sys.argv[1:] or sys.exit(__doc__)
    inputs = dict(pair.split("=", 1) for pair in pairs)
    question, place, way, folder = (inputs.pop(name, None) for name in ("ask", "open", "way", "save"))
    body = {"inputs": inputs} | ({"way": way} if way else {})
    watch = Watch(json.loads(call("POST", f"/api/v1/templates/{template}/launch", body))["id"])
    print(f"{URL}/jobs/{watch.job}")
    if question:
        serve(watch, question)
    if place:
        visit(watch, place)
    if question or place:
        call("DELETE", f"/api/v1/jobs/{watch.job}", may_fail=True)
    watch.until(watch.look)
    state = watch.view["state"]
    log = json.loads(call("GET", f"/api/v1/jobs/{watch.job}/logs?limit=2000"))
    print("".join(line["text"] for line in log["lines"])[-3000:])
    for file in watch.view["artefacts"]:
        print(f"{file['size_bytes']:>12} {file['member']}/{file['path']}")
    if folder:
        save(watch, Path(folder))
    print(f"{state}: {json.dumps(watch.view['end'])}, {watch.view['seconds']} s paid")
    print(watch.row(" ".join([template, *pairs])))
    served = state == "stopped" and "answer" in watch.seen
    sys.exit(0 if state == "finished" or served else f"it is {state}")


if __name__ == "__main__":
    main()
