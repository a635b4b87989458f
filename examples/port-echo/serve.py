# Serves HTTP on a port of the job's own loopback: tells what it was asked, and echoes on a WebSocket at /socket.
# Jupyter, a model's server or anything else that listens takes its place. Python's standard library only.
import base64
import hashlib
import http.server
import json
import sys
import time

PORT = int(sys.argv[1]) if len(sys.argv) > 1 else 8100
PAGE = b"""<!DOCTYPE html><meta charset="utf-8"><title>Echo</title><h1>Served from inside the job</h1>
<p id="said">Connecting</p><script>
const socket = new WebSocket(location.href.replace(/^http/, "ws").replace(/[^/]*$/, "socket"));
socket.onopen = () => socket.send("and back over a WebSocket");
socket.onmessage = ({ data }) => (document.getElementById("said").textContent = data);
</script>"""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, body, kind="application/json", more=()):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in more:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.headers.get("Upgrade", "").lower() == "websocket":
            return self.echo()
        if self.path == "/slow":
            return self.slow()
        if self.path == "/" and "text/html" in self.headers.get("Accept", ""):
            return self.answer(PAGE, "text/html")
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = json.dumps({"path": self.path, "headers": headers}).encode()
        more = [("Set-Cookie", "own=1; Path=/")] if self.path == "/cookie" else ()
        return self.answer(body, more=more)

    def do_POST(self):
        self.answer(self.rfile.read(int(self.headers.get("Content-Length", 0))), "application/octet-stream")

    def slow(self):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number in range(5):
            piece = f"piece {number}\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            time.sleep(0.2)
        self.wfile.write(b"0\r\n\r\n")

    def echo(self):
        key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode())
        self.end_headers()
        self.close_connection = True
        while True:
            head = self.rfile.read(2)
            if len(head) < 2 or head[0] & 15 == 8:
                return
            size = head[1] & 127
            if size == 126:
                size = int.from_bytes(self.rfile.read(2), "big")
            mask = self.rfile.read(4)
            data = bytes(byte ^ mask[i % 4] for i, byte in enumerate(self.rfile.read(size)))
            length = bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2, "big")
            self.wfile.write(bytes([128 | head[0] & 15]) + length + data)


print(f"listening on port {PORT}", flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
