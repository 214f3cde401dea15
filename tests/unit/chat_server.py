"""A real HTTP server that speaks OpenAI's chat format, and breaks it on request."""

import json
import threading
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@contextmanager
def endpoint(replies, **completion_fields):
    """An OpenAI-compatible endpoint, as (url, requests).

    `replies(body)` gives an answer's text, (status, JSON), (status, JSON, headers), or bytes: the body as it is.
    `completion_fields` are set in every completion (usage=…).
    """
    requests = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            requests.append(
                {"path": self.path, "key": self.headers["Authorization"], "body": body, "time": time.monotonic()}
            )
            reply = replies(body)
            status, payload, headers = 200, reply, {}
            if isinstance(reply, tuple):
                status, payload, headers = (*reply, {})[:3]
            elif isinstance(reply, str):
                payload = completion(reply, **completion_fields)
            data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
            self.send_response(status)
            headers = {"Content-Type": "application/json", "Content-Length": str(len(data)), **headers}
            for name, value in headers.items():
                self.send_header(name, value)
            with suppress(BrokenPipeError):  # the client timed out
                self.end_headers()
                self.wfile.write(data)

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", requests
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def completion(content, finish_reason="stop", **fields):
    """A chat completion with one choice."""
    message = {"role": "assistant", "content": content}
    return {
        "id": "1",
        "object": "chat.completion",
        "created": 0,
        "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": finish_reason}],
        **fields,
    }
