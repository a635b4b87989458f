#!/usr/bin/env python3
"""Launch a template against a running server, watch it to its end, and say what came of it. For those that CI cannot carry.

    IOG_URL=http://127.0.0.1:3000 IOG_API_KEY=… scripts/try-template.py pytorch epochs=3
    scripts/try-template.py llm replicas=1 ask="What is a receipt?"

The node must have what the template's page names: python3-torch; /opt/bpy or /opt/iog-llm lent with --lend.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request

URL = os.environ.get("IOG_URL", "http://127.0.0.1:3000").rstrip("/")
KEY = os.environ.get("IOG_API_KEY") or sys.exit("IOG_API_KEY: a key with the scopes read and jobs")
PATIENCE_SECONDS = 900


def call(method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(URL + path, data, method=method)
    request.add_header("authorization", f"Bearer {KEY}")
    request.add_header("content-type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=180) as answer:
            return answer.read()
    except urllib.error.HTTPError as error:
        sys.exit(f"{method} {path}: {error.code} {error.read().decode(errors='replace')}")


def serve(job, question):
    """Waits until a replica answers, asks it, and tells the figures."""
    own = f"/api/v1/endpoints/{job}"
    until = time.monotonic() + PATIENCE_SECONDS
    while not any(one["well"] for one in json.loads(call("GET", own))["replicas"]):
        if time.monotonic() > until:
            sys.exit("no replica answers")
        time.sleep(1)
    asked = {"messages": [{"role": "user", "content": question}], "max_tokens": 48}
    said = json.loads(call("POST", f"{own}/v1/chat/completions", asked))
    print(f"asked: {question}\nsaid: {said['choices'][0]['message']['content']}")
    print(json.dumps(json.loads(call("GET", own)), indent=1))
    call("DELETE", f"/api/v1/jobs/{job}")


def main():
    template, *pairs = sys.argv[1:] or sys.exit(__doc__)
    inputs = dict(pair.split("=", 1) for pair in pairs)
    question = inputs.pop("ask", None)
    way = inputs.pop("way", None)
    body = {"inputs": inputs} | ({"way": way} if way else {})
    job = json.loads(call("POST", f"/api/v1/templates/{template}/launch", body))["id"]
    print(f"{URL}/jobs/{job}")
    if question:
        serve(job, question)
    state, until = "", time.monotonic() + PATIENCE_SECONDS
    while state not in ("finished", "failed", "stopped") and time.monotonic() < until:
        view = json.loads(call("GET", f"/api/v1/jobs/{job}"))
        if view["state"] != state:
            state = view["state"]
            print(f"{time.strftime('%H:%M:%S')} {state}")
        time.sleep(1)
    log = json.loads(call("GET", f"/api/v1/jobs/{job}/logs?limit=2000"))
    print("".join(line["text"] for line in log["lines"])[-3000:])
    for file in view["artefacts"]:
        print(f"{file['size_bytes']:>12} {file['member']}/{file['path']}")
    sys.exit(0 if state == "finished" or question else f"it is {state}")


if __name__ == "__main__":
    main()
