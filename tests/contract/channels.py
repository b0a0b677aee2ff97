"""A channel that people are told by: a real HTTP server on loopback, which Prefect's webhook block posts to."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prefect.blocks.notifications import CustomWebhookNotificationBlock

SECRET = "hook-9f3c"


class Channel:
    """What was posted, subject and text, and a door that can be held shut."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.told: list[tuple[str, str]] = []
        self.answers = threading.Event()
        self.answers.set()

    def subjects(self) -> list[str]:
        return [subject for subject, _ in self.told]

    def block(self, name: str, url: str = "") -> str:
        """Make the block that posts here, or elsewhere; its name with its type."""
        CustomWebhookNotificationBlock(
            name=name, url=(url or self.url) + f"/{SECRET}", json_data={"subject": "{{subject}}", "text": "{{body}}"}, timeout=60
        ).save(name, overwrite=True)
        return f"custom-webhook/{name}"


@contextmanager
def running_channel() -> Iterator[Channel]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            said = json.loads(self.rfile.read(int(self.headers["content-length"])))
            channel.told.append((said["subject"], said["text"]))
            channel.answers.wait(60)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    channel = Channel(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield channel
    finally:
        channel.answers.set()
        server.shutdown()
        server.server_close()
        thread.join()
