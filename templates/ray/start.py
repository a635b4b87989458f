"""A Ray cluster over the job's machines: the head on the first, workers on the others. Runs SCRIPT on it; without one, sums squares
over all cores and goes on serving.
"""

import os
import runpy
import subprocess
import sys
import time

# Only who may use the job is led to its ports, so Ray asks for no token of its own. Read when Ray is loaded.
os.environ.setdefault("RAY_AUTH_MODE", "disabled")

import ray  # noqa: E402

SCRIPT = os.environ.get("SCRIPT", "")
MEMBER, MEMBERS = int(os.environ.get("IOG_MEMBER", "0")), int(os.environ.get("IOG_MEMBERS", "1"))
OWN = os.environ.get("IOG_ADDRESS", "127.0.0.1")
HEAD = os.environ.get("IOG_ADDRESSES", "127.0.0.1").split(",")[0] + ":6379"
TOGETHER_SECONDS = 300
# `ray` itself may lie elsewhere than it was installed.
START = [sys.executable, "-c", "from ray.scripts.scripts import main; main()", "start", "--node-ip-address", OWN,
         "--num-cpus", os.environ.get("IOG_CPUS", "1"), "--object-store-memory", str(200 * 1024 * 1024), "--disable-usage-stats", "--log-color", "false"]


@ray.remote(scheduling_strategy="SPREAD")
def squares(first, last):
    # How long it takes on any machine matters less than that all take part.
    time.sleep(0.2)
    return sum(n * n for n in range(first, last)), ray.util.get_node_ip_address()


def work_for_the_head():
    """A worker that loses its head looks for it again: the machine in its place has the same address."""
    while True:
        code = subprocess.run([*START, "--address", HEAD, "--block"]).returncode
        print(f"the head is not there ({code}); looking again", flush=True)
        time.sleep(2)


def main():
    if MEMBER > 0:
        return work_for_the_head()
    head = [*START, "--head", "--port", "6379", "--dashboard-host", "127.0.0.1", "--dashboard-port", "8265", "--include-dashboard", "true",
            "--temp-dir", "/tmp/ray"]
    if code := subprocess.run(head).returncode:
        raise SystemExit(f"the head did not start ({code})")
    ray.init(address=HEAD)
    until = time.monotonic() + TOGETHER_SECONDS
    while (there := sum(node["Alive"] for node in ray.nodes())) < MEMBERS:
        if time.monotonic() > until:
            raise SystemExit(f"only {there} of {MEMBERS} machines came")
        time.sleep(0.5)
    print(f"Ray {ray.__version__} on {MEMBERS} machine(s) with {ray.cluster_resources()}", flush=True)
    if SCRIPT:
        runpy.run_path(SCRIPT, run_name="__main__")
        return
    begun = time.monotonic()
    parts = ray.get([squares.remote(n * 100_000, (n + 1) * 100_000) for n in range(16)])
    total, places = sum(part for part, _ in parts), sorted({place for _, place in parts})
    print(f"the squares below 1,600,000 make {total}, computed on {', '.join(places)} in {time.monotonic() - begun:.1f} s; serving until stopped", flush=True)
    while True:
        time.sleep(60)


if __name__ == "__main__":
    main()
