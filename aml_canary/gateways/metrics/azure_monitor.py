"""Azure Monitor: the metrics that Azure keeps of every online endpoint, without anything to install.

Requests by deployment and status, and the latency percentiles of each minute; single requests are not there. What Azure says of a minute,
and what it leaves out: Azure Monitor keeps a value where something happened and nothing where nothing did, so that a series is absent, or
has no value in a minute, for a deployment that was not asked anything. It also has nothing where telemetry itself was late or lost. So:

* A minute in which any deployment of the endpoint has a value is known, and whoever has none in it was not asked anything.
* A minute without any value is a gap where the endpoint is so busy that this cannot be chance, and without a request otherwise.
* A time without any value at all is a gap: nothing shows that there is telemetry.

May import `domain`, `errors` and the Azure room.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from aml_canary.domain.judge.minutes import Arm
from aml_canary.gateways.azureml import Series, read_series

_REQUESTS = "RequestsPerMinute"
_PERCENTILES = {f"RequestLatency_P{percent}": percent for percent in (50, 90, 95, 99)}
# Requests a minute, on average over the minutes that have any, from which a minute without one is no chance: e to the -7th is one in a thousand.
_BUSY = 7.0


class AzureMonitor:
    """The source `azure-monitor`. Platform metrics are there within three minutes, as Azure documents them."""

    lag_minutes = 3

    def minutes(self, endpoint: str, deployments: Sequence[str], first: int, last: int) -> dict[str, dict[int, Arm | None]]:
        # All deployments, for what one of them answered shows that the minute is known.
        requests = read_series(endpoint, (_REQUESTS,), "deployment eq '*' and statusCode eq '*'", first, last)
        known = known_minutes(requests, first, last)
        if not known:
            return {name: dict.fromkeys(range(first, last + 1)) for name in deployments}
        these = " or ".join(f"deployment eq '{name}'" for name in deployments)
        latencies = read_series(endpoint, tuple(_PERCENTILES), these, first, last)
        return {name: _arms(name, requests, latencies, known, first, last) for name in deployments}


def known_minutes(requests: Iterable[Series], first: int, last: int) -> set[int]:
    """The minutes that are told of, those in which nobody asked anything included. The others are gaps."""
    total: Counter[int] = Counter()
    for series in requests:
        for minute, value in series.values.items():
            total[minute] += round(value)
    if not total or sum(total.values()) / len(total) >= _BUSY:
        return set(total)
    return set(range(first, last + 1))


def _arms(
    name: str, requests: Iterable[Series], latencies: Iterable[Series], known: set[int], first: int, last: int
) -> dict[int, Arm | None]:
    answers: defaultdict[int, Counter[int]] = defaultdict(Counter)
    for series in _of(name, requests):
        status = series.dimensions.get("statuscode", "")
        for minute, value in series.values.items():
            if round(value) > 0:
                # A request whose status Azure does not know ("N/A") is one all the same.
                answers[minute][int(status) if status.isdecimal() else 0] += round(value)
    percentiles: defaultdict[int, dict[int, float]] = defaultdict(dict)
    for series in _of(name, latencies):
        for minute, value in series.values.items():
            percentiles[minute][_PERCENTILES[series.metric]] = value
    return {
        minute: Arm(dict(answers[minute]), percentiles[minute] if answers[minute] else {}) if minute in known else None
        for minute in range(first, last + 1)
    }


def _of(name: str, series: Iterable[Series]) -> list[Series]:
    return [one for one in series if one.dimensions.get("deployment", "").lower() == name.lower()]
