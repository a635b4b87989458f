"""Start a Ray head on this machine and run SCRIPT on it; without one, sum squares over all cores and go on serving.

One node alone: workers on other nodes would have to reach this one by network, and a job has only its own loopback.
"""

import os
import runpy
import time

# Only who may use the job is led to its ports, so Ray asks for no token of its own. Read when Ray is loaded.
os.environ.setdefault("RAY_AUTH_MODE", "disabled")

import ray  # noqa: E402

SCRIPT = os.environ.get("SCRIPT", "")


@ray.remote
def squares(first, last):
    return sum(n * n for n in range(first, last))


def main():
    ray.init(
        num_cpus=int(os.environ.get("IOG_CPUS", "1")),
        include_dashboard=True,
        dashboard_host="127.0.0.1",
        dashboard_port=8265,
        _temp_dir="/tmp/ray",
        object_store_memory=200 * 1024 * 1024,
    )
    print(f"Ray {ray.__version__} with {ray.cluster_resources()}", flush=True)
    if SCRIPT:
        runpy.run_path(SCRIPT, run_name="__main__")
        return
    begun = time.monotonic()
    total = sum(ray.get([squares.remote(n * 100_000, (n + 1) * 100_000) for n in range(16)]))
    print(f"the squares below 1,600,000 make {total}, in {time.monotonic() - begun:.1f} s; serving until stopped", flush=True)
    while True:
        time.sleep(60)


if __name__ == "__main__":
    main()
