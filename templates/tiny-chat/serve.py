"""A text model of word chains behind the OpenAI format, with Python's standard library alone.

It counts which word follows which up to ORDER words in text.txt and walks those chains; a question only chooses where the
walk begins. GET /health answers as soon as it can serve. Prints what it did about each second that it did something.
"""

import json
import os
import random
import re
import threading
import time
from collections import Counter, defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PORT = int(os.environ.get("PORT", "8000"))
ORDER = int(os.environ.get("ORDER", "3"))
PAUSE = float(os.environ.get("PAUSE", "0.02"))
NAME = "iog-word-chains"
MOST_TOKENS = 512
BODY_MAX = 256 * 1024


def split(text):
    return re.findall(r"[\w'’-]+|[.,;:!?]", text)


class Model:
    def __init__(self, text):
        self.words = split(text)
        self.next = defaultdict(Counter)
        for at, word in enumerate(self.words):
            for back in range(min(ORDER, at) + 1):
                self.next[tuple(self.words[at - back : at])][word] += 1
        self.starts = [0] + [at + 1 for at, word in enumerate(self.words[:-1]) if word in ".!?"]

    def begin(self, prompt):
        """The sentence that shares most with the prompt; rare words count more."""
        asked = {word.lower() for word in split(prompt)}
        count = self.next[()]

        def share(start):
            end = next((at for at in range(start, len(self.words)) if self.words[at] in ".!?"), len(self.words))
            return sum(1 / count[word] for word in set(self.words[start:end]) if word.lower() in asked)

        best = max(map(share, self.starts))
        return random.choice([start for start in self.starts if share(start) == best]) if best else random.choice(self.starts)

    def walk(self, prompt, temperature):
        start = self.begin(prompt)
        said = []
        while True:
            if len(said) < ORDER:
                word = self.words[(start + len(said)) % len(self.words)]
            else:
                known = next(self.next[tuple(said[-back:] if back else ())] for back in range(ORDER, -1, -1) if tuple(said[-back:] if back else ()) in self.next)
                words, counts = zip(*known.items())
                word = random.choices(words, [c ** (1 / max(temperature, 0.05)) for c in counts])[0]
            said.append(word)
            yield word if word in ".,;:!?" or len(said) == 1 else " " + word


class Figures:
    """What was done since it was last told."""

    def __init__(self):
        self.lock, self.requests, self.tokens, self.seconds = threading.Lock(), 0, 0, 0.0

    def add(self, tokens, seconds):
        with self.lock:
            self.requests, self.tokens, self.seconds = self.requests + 1, self.tokens + tokens, self.seconds + seconds

    def tell(self):
        told = 0
        while True:
            time.sleep(1)
            with self.lock:
                requests, tokens, seconds = self.requests, self.tokens, self.seconds
                self.tokens, self.seconds = 0, 0.0
            if requests != told:
                told = requests
                print(f"requests={requests} tokens_per_second={tokens / max(seconds, 1e-3):.1f}", flush=True)


class Refusal(Exception):
    pass


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    model = figures = None

    def log_message(self, *_):
        pass

    def answer(self, status, body):
        body = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == "/health":
            self.answer(200, {"status": "ok"})
        elif self.path == "/v1/models":
            self.answer(200, {"object": "list", "data": [{"id": NAME, "object": "model", "created": 0, "owned_by": "iog"}]})
        else:
            self.answer(404, {"error": {"message": f"there is no {self.path}", "type": "invalid_request_error"}})

    def do_POST(self):
        try:
            size = int(self.headers.get("content-length", "0"))
            if size > BODY_MAX:
                raise Refusal("the body is too large")
            asked = json.loads(self.rfile.read(size) or b"{}")
            chat = self.path == "/v1/chat/completions"
            if not chat and self.path != "/v1/completions":
                return self.answer(404, {"error": {"message": f"there is no {self.path}", "type": "invalid_request_error"}})
            prompt = " ".join(str(m.get("content", "")) for m in asked["messages"][-1:]) if chat else str(asked["prompt"])
            most = max(1, min(MOST_TOKENS, int(asked.get("max_tokens") or 48)))
            self.complete(chat, prompt, most, float(asked.get("temperature", 0.7)), bool(asked.get("stream")))
        except (Refusal, ValueError, KeyError, TypeError, AttributeError) as error:
            self.close_connection = True
            self.answer(400, {"error": {"message": f"cannot be read: {error}", "type": "invalid_request_error"}})
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def complete(self, chat, prompt, most, temperature, stream):
        kind = ("chat.completion.chunk" if stream else "chat.completion") if chat else "text_completion"
        head = {"id": f"cmpl-{random.getrandbits(64):016x}", "object": kind, "created": int(time.time()), "model": NAME}
        begun, said, reason = time.monotonic(), [], "length"
        if stream:
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
        for word in self.model.walk(prompt, temperature):
            time.sleep(PAUSE)
            said.append(word)
            if stream:
                part = {"delta": {"content": word}} if chat else {"text": word}
                self.event({**head, "choices": [{"index": 0, **part, "finish_reason": None}]})
            if word in ".!?" and len(said) > most // 2:
                reason = "stop"
                break
            if len(said) >= most:
                break
        self.figures.add(len(said), time.monotonic() - begun)
        asked = len(split(prompt))
        usage = {"prompt_tokens": asked, "completion_tokens": len(said), "total_tokens": asked + len(said)}
        if not stream:
            text = "".join(said)
            part = {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
            return self.answer(200, {**head, "choices": [{"index": 0, **part, "finish_reason": reason}], "usage": usage})
        part = {"delta": {}} if chat else {"text": ""}
        self.event({**head, "choices": [{"index": 0, **part, "finish_reason": reason}], "usage": usage})
        self.piece(b"data: [DONE]\n\n")
        self.wfile.write(b"0\r\n\r\n")

    def event(self, body):
        self.piece(b"data: " + json.dumps(body).encode() + b"\n\n")

    def piece(self, data):
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()


def main():
    model = Model(Path("text.txt").read_text())
    Handler.model, Handler.figures = model, Figures()
    threading.Thread(target=Handler.figures.tell, daemon=True).start()
    server = ThreadingHTTPServer(("127.0.0.1", PORT), Handler)
    print(f"serving on port {PORT}, chains of up to {ORDER + 1} words: words={len(model.words)}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
