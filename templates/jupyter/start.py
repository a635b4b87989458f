"""Start a notebook server in $IOG_CHECKPOINT/work, whose files are kept, and end it when nobody uses it.

It listens on the job's own loopback; only who may use the job is led there, so it asks for no token of its own.
"""

import importlib.util
import os
import sys
from pathlib import Path

PORT = int(os.environ.get("PORT", "8888"))
IDLE = 60 * int(os.environ.get("MINUTES_IDLE", "60"))
WORK = Path(os.environ.get("IOG_CHECKPOINT", "output/checkpoint")) / "work"
SERVERS = ("jupyterlab", "jupyter_server", "notebook")


def main():
    WORK.mkdir(parents=True, exist_ok=True)
    found = next((name for name in SERVERS if importlib.util.find_spec(name)), None)
    if found is None:
        raise SystemExit("This node has no Jupyter: choose one with Debian's jupyter-notebook, or launch it in an image.")
    app = "NotebookApp" if found == "notebook" else "ServerApp"
    options = {
        "ip": "127.0.0.1",
        "port": PORT,
        "open_browser": False,
        "token": "",
        "password": "",
        "shutdown_no_activity_timeout": IDLE,
        "allow_remote_access": True,
        "base_url": os.environ.get("BASE_URL", "/"),
    }
    kernels = ["--MappingKernelManager.cull_idle_timeout=" + str(max(60, IDLE // 2)), "--MappingKernelManager.cull_connected=True"]
    arguments = [f"--{app}.{name}={value}" for name, value in options.items()] + kernels
    print(f"{found} on port {PORT}; ends after {IDLE // 60} idle minutes", flush=True)
    os.chdir(WORK)
    # Settings and running files of its own would otherwise be looked for where the job may not write.
    os.environ.setdefault("JUPYTER_RUNTIME_DIR", "/tmp/jupyter")
    os.environ.setdefault("JUPYTER_CONFIG_DIR", "/tmp/jupyter-config")
    os.execv(sys.executable, [sys.executable, "-m", found, *arguments])


if __name__ == "__main__":
    main()
