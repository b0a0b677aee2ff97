"""What the scoring door needs to know of each endpoint: who may come in, and which deployment takes the next request.

A snapshot per endpoint, replaced as a whole when the control plane commits, so a request never sees half a change.
May import: `identity`, `pool`, `state`.
"""

from __future__ import annotations

import hmac
import random
from bisect import bisect
from dataclasses import dataclass
from itertools import accumulate

from aml_emulator.identity import SCORING_AUDIENCE, Identity
from aml_emulator.pool import Pool
from aml_emulator.state import Endpoint


@dataclass(frozen=True, slots=True)
class Route:
    endpoint: str
    auth_mode: str
    keys: tuple[str, ...]
    pools: dict[str, Pool]
    live: tuple[Pool, ...]
    cumulative: tuple[int, ...]
    mirror: Pool | None
    mirror_percent: int


class Routing:
    def __init__(self, identity: Identity, seed: int | None = None):
        self.identity = identity
        self.routes: dict[str, Route] = {}
        self.random = random.Random(seed)

    def publish(self, endpoint: Endpoint) -> None:
        if not endpoint.ever_succeeded or endpoint.state == "Deleting":
            return
        pools = {
            key: deployment.runtime.pool
            for key, deployment in endpoint.deployments.items()
            if deployment.runtime is not None and deployment.ever_succeeded and deployment.state != "Deleting"
        }
        weights = [(pools[key], weight) for key, weight in endpoint.traffic.items() if weight and key in pools]
        mirror = next(((pools[k], v) for k, v in endpoint.mirror.items() if v and k in pools), (None, 0))
        self.routes[endpoint.name.lower()] = Route(
            endpoint.name,
            endpoint.properties["authMode"],
            tuple(endpoint.keys.values()),
            pools,
            tuple(pool for pool, _ in weights),
            tuple(accumulate(weight for _, weight in weights)),
            *mirror,
        )

    def withdraw(self, endpoint: Endpoint) -> None:
        self.routes.pop(endpoint.name.lower(), None)

    def pick(self, route: Route) -> Pool | None:
        if not route.live:
            return None
        if len(route.live) == 1:
            return route.live[0]
        return route.live[bisect(route.cumulative, self.random.random() * route.cumulative[-1])]

    def mirrors(self, route: Route) -> bool:
        return route.mirror is not None and self.random.random() * 100 < route.mirror_percent

    def token_audience(self, endpoint: str) -> str:
        return f"aml-endpoint:{endpoint.lower()}"

    def admits(self, route: Route, token: str) -> bool:
        if route.auth_mode == "Key":
            given = token.encode("utf-8", "replace")
            # All keys are compared, so that the time taken says nothing about which one was near.
            matches = [hmac.compare_digest(given, key.encode()) for key in route.keys]
            return any(matches)
        if route.auth_mode == "AMLToken":
            return self.identity.is_scoring_token(token, self.token_audience(route.endpoint))
        return self.identity.is_scoring_token(token, SCORING_AUDIENCE)
