#!/usr/bin/env python3
"""What a worker itself costs: CPU and memory of the agent, its helper and the sandboxes' first processes, without the jobs' own.

    scripts/worker-cost.py PID [SECONDS]      PID: of `iog-worker run`; 60 seconds unless told

Linux only: reads /proc. CPU is of one core. RSS counts shared program text in each process, PSS its share of it.
"""

import os
import sys
import time
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def stat(pid):
    """(parent, ticks of CPU so far); behind the last `)`, since a name may hold anything."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[1]), int(fields[11]) + int(fields[12])


def own(root):
    """The processes below `root`, and it, that run the worker's program: {pid: ticks}."""
    program = os.stat(f"/proc/{root}/exe")
    found, parents = {}, {}
    for pid in (int(name) for name in os.listdir("/proc") if name.isdigit()):
        try:
            parents[pid], ticks = stat(pid)
            exe = os.stat(f"/proc/{pid}/exe")
        except OSError:
            continue
        if (exe.st_dev, exe.st_ino) == (program.st_dev, program.st_ino):
            found[pid] = ticks

    def below(pid):
        while pid and pid != root:
            pid = parents.get(pid, 0)
        return pid == root

    return {pid: ticks for pid, ticks in found.items() if below(pid)}


def memory(pid):
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    sizes = {line.split(":")[0]: int(line.split()[1]) for line in lines[1:] if line.endswith("kB")}
    return sizes["Rss"] / 1024, sizes["Pss"] / 1024


def main():
    root = int(sys.argv[1]) if len(sys.argv) > 1 else sys.exit(__doc__)
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 60
    # A sandbox that comes and goes meanwhile is counted for as long as it is seen.
    first, last, most, begun = {}, {}, (0, 0), time.monotonic()
    while time.monotonic() - begun < seconds:
        now = own(root)
        for pid, ticks in now.items():
            first.setdefault(pid, ticks if time.monotonic() - begun < 1 else 0)
            last[pid] = ticks
        try:
            sizes = [memory(pid) for pid in now]
        except (OSError, KeyError):
            sizes = []
        most = max(most, (sum(size[0] for size in sizes), sum(size[1] for size in sizes)))
        time.sleep(1)
    ticks = sum(last[pid] - first[pid] for pid in last)
    print(f"CPU {100 * ticks / TICKS / seconds:.2f} % of one core over {seconds:.0f} s; at most {most[0]:.1f} MB RSS, {most[1]:.1f} MB PSS in all")
    for pid in own(root):
        rss, pss = memory(pid)
        print(f"  {pid}: {rss:.1f} MB RSS, {pss:.1f} MB PSS, {100 * (last.get(pid, 0) - first.get(pid, 0)) / TICKS / seconds:.2f} %")


if __name__ == "__main__":
    main()
