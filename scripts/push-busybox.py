#!/usr/bin/env python3
"""Make an image of Debian's static busybox and push it to a registry: push-busybox.py HOST:PORT. Prints its name by digest.

The OCI image format and the distribution protocol, as far as one layer needs them.
"""

import gzip
import hashlib
import io
import json
import platform
import sys
import tarfile
import time
import urllib.error
import urllib.request

NAME = "iog/busybox"
LINKS = ("sh", "uname", "date", "cat", "ls", "id", "sleep", "echo", "httpd", "mkdir")
PATIENCE_SECONDS = 20


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def layer():
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as files:
        for folder in ("bin", "etc", "www"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            files.addfile(entry)
        with open("/bin/busybox", "rb") as program:
            data = program.read()
        entry = tarfile.TarInfo("bin/busybox")
        entry.size, entry.mode = len(data), 0o755
        files.addfile(entry, io.BytesIO(data))
        for name in LINKS:
            entry = tarfile.TarInfo(f"bin/{name}")
            entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
            files.addfile(entry)
    return tar.getvalue()


def call(method, url, data=None, kind=None):
    request = urllib.request.Request(url, data, method=method, headers={"content-type": kind} if kind else {})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.headers


def push(base, data):
    place = call("POST", f"{base}/blobs/uploads/", b"")["location"]
    place += ("&" if "?" in place else "?") + "digest=" + digest(data)
    call("PUT", place, data, "application/octet-stream")
    return {"digest": digest(data), "size": len(data)}


def main():
    host = sys.argv[1] if len(sys.argv) == 2 else sys.exit(__doc__)
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            call("GET", f"http://{host}/v2/")
            break
        except (urllib.error.URLError, OSError) as error:
            if time.monotonic() > until:
                sys.exit(f"the registry at {host} does not answer: {error}")
            time.sleep(0.1)
    base = f"http://{host}/v2/{NAME}"
    plain = layer()
    packed = gzip.compress(plain, mtime=0)
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    config = json.dumps({
        "architecture": architecture, "os": "linux", "config": {"Env": ["PATH=/bin"], "WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": [digest(plain)]},
    }).encode()
    manifest = json.dumps({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **push(base, config)},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", **push(base, packed)}],
    }).encode()
    call("PUT", f"{base}/manifests/latest", manifest, "application/vnd.oci.image.manifest.v1+json")
    print(f"{host}/{NAME}@{digest(manifest)}")


if __name__ == "__main__":
    main()
