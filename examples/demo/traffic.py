"""Steady live traffic, as users of the endpoint send it, and a count of what came back from whom, and when.

May import the standard library only.
"""

import http.client
import threading
import time
from array import array
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class Tally:
    """Requests sent, answers with status 200 by deployment, and everything else that became of one, by what it was.

    What is neither answered nor lost is still on its way.
    """

    sent: int = 0
    answered: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        """Requests that something became of."""
        return self.answered.total() + self.lost.total()


class SteadyTraffic:
    """Sends one body `rate` times a second, from a few threads, until stopped. A late sender catches up."""

    def __init__(self, uri: str, access: str, body: bytes, rate: float, senders: int = 5) -> None:
        self._uri, self._access, self._body = urlsplit(uri), access, body
        self._interval = senders / rate
        self._stop = threading.Event()
        self._lock = threading.Lock()
        # Seconds since 1970, in order, of each answer of a deployment, and of each loss of a kind.
        self._answered: dict[str, array[float]] = {}
        self._lost: dict[str, array[float]] = {}
        self._sent: array[float] = array("d")
        self._threads = [threading.Thread(target=self._send, args=(n / rate,), daemon=True) for n in range(senders)]

    def start(self) -> "SteadyTraffic":
        for thread in self._threads:
            thread.start()
        return self

    def stop(self) -> Tally:
        """Stop, wait for the answers that are still due, and return the tally: now every request sent is either answered or lost."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        return self.tally

    @property
    def tally(self) -> Tally:
        """What was counted until now."""
        return self.tally_at(float("inf"))

    def tally_at(self, moment: float) -> Tally:
        """What was counted until a moment, in seconds since 1970: exactly that, however much later it is asked."""
        with self._lock:
            answered, lost = (
                Counter({name: count for name, times in kinds.items() if (count := bisect_right(times, moment))})
                for kinds in (self._answered, self._lost)
            )
            return Tally(bisect_right(self._sent, moment), answered, lost)

    def _send(self, offset: float) -> None:
        headers = {"Authorization": f"Bearer {self._access}", "Content-Type": "application/json"}
        due = time.monotonic() + offset
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            due += self._interval
            with self._lock:
                self._sent.append(time.time())
            who, problem = self._once(headers)
            with self._lock:
                kinds, kind = (self._lost, problem) if problem else (self._answered, who)
                kinds.setdefault(kind, array("d")).append(time.time())

    def _once(self, headers: dict[str, str]) -> tuple[str, str]:
        connection = http.client.HTTPConnection(self._uri.hostname or "", self._uri.port, timeout=30)
        try:
            connection.request("POST", self._uri.path, self._body, headers)
            response = connection.getresponse()
            response.read()
        except Exception as error:
            # Whatever it was, it was no answer, and the sender goes on.
            return "", type(error).__name__
        finally:
            connection.close()
        return response.headers.get("azureml-model-deployment", "?"), "" if response.status == 200 else f"HTTP {response.status}"
