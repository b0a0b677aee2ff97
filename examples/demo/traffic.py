"""Steady live traffic, as users of the endpoint send it, and a count of what came back from whom.

May import the standard library only.
"""

import http.client
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class Tally:
    """Answers by deployment, and everything that was not a 200, by what it was."""

    answered: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        return self.answered.total() + self.lost.total()


class SteadyTraffic:
    """Sends one body `rate` times a second, from a few threads, until stopped."""

    def __init__(self, uri: str, access: str, body: bytes, rate: float = 50.0, senders: int = 5) -> None:
        self._uri, self._access, self._body = urlsplit(uri), access, body
        self._interval = senders / rate
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self.tally = Tally()
        self._threads = [threading.Thread(target=self._send, args=(n / rate,), daemon=True) for n in range(senders)]

    def start(self) -> "SteadyTraffic":
        for thread in self._threads:
            thread.start()
        return self

    def stop(self) -> Tally:
        """Stop, wait for the answers that are still due, and return the tally."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        return self.tally

    def _send(self, offset: float) -> None:
        headers = {"Authorization": f"Bearer {self._access}", "Content-Type": "application/json"}
        due = time.monotonic() + offset
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            due += self._interval
            who, problem = self._once(headers)
            with self._lock:
                if problem:
                    self.tally.lost[problem] += 1
                else:
                    self.tally.answered[who] += 1

    def _once(self, headers: dict[str, str]) -> tuple[str, str]:
        connection = http.client.HTTPConnection(self._uri.hostname or "", self._uri.port, timeout=30)
        try:
            connection.request("POST", self._uri.path, self._body, headers)
            response = connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException) as error:
            return "", type(error).__name__
        finally:
            connection.close()
        return response.headers.get("azureml-model-deployment", "?"), "" if response.status == 200 else f"HTTP {response.status}"
