"""Prometheus as a source: whatever has counted the requests of each deployment, asked with two expressions from the settings.

One for requests by `deployment` and `code`, one for latencies by `deployment` and either `le` (buckets of a histogram) or `quantile`. Each
gives what happened in the minute before it is looked at. A counter stays at zero where nobody asks, so unlike on Azure:

* A minute in which a deployment has a value is known.
* A deployment that had values before and has none now is not scraped any more: a gap.
* One that never had any, while another has, was not asked anything yet.

May import `domain`, `settings`, `errors` and `prometheus_api`.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from aml_canary.domain.judge.minutes import Arm
from aml_canary.errors import Permanent
from aml_canary.gateways.metrics.prometheus_api import Sampled, query_minutes
from aml_canary.settings import settings

PERCENTS = (50, 90, 95, 99)
_REQUESTS, _LATENCY = "prometheus_requests", "prometheus_latency"


class Prometheus:
    """The source `prometheus`. Raises Permanent where the settings do not say where it is."""

    lag_minutes = 1

    def __init__(self) -> None:
        if not settings().prometheus_url:
            raise Permanent("No Prometheus is configured: set AML_CANARY_PROMETHEUS_URL.")

    def minutes(self, endpoint: str, deployments: Sequence[str], first: int, last: int) -> dict[str, dict[int, Arm | None]]:
        installed = settings()
        requests = _by_deployment(
            query_minutes(filled(installed.prometheus_requests, endpoint, deployments), _REQUESTS, first, last), _REQUESTS
        )
        latencies: Mapping[str, list[Sampled]] = {}
        if installed.prometheus_latency:
            found = query_minutes(filled(installed.prometheus_latency, endpoint, deployments), _LATENCY, first, last)
            latencies = _by_deployment(found, _LATENCY)
        unit = 1000.0 if installed.prometheus_latency_unit == "seconds" else 1.0
        anybody = {at for series in requests.values() for one in series for at in one.values}
        arms: dict[str, dict[int, Arm | None]] = {}
        for name in deployments:
            answers = _answers(requests.get(name.lower(), ()))
            percentiles = _percentiles(latencies.get(name.lower(), ()), unit)
            begun = min(answers, default=last + 1)
            arms[name] = {}
            for at in range(first, last + 1):
                counts = answers.get(at)
                if counts is None:
                    arms[name][at] = Arm() if at < begun and at in anybody else None
                else:
                    arms[name][at] = Arm(counts, percentiles.get(at, {}) if counts else {})
        return arms


def filled(template: str, endpoint: str, deployments: Iterable[str]) -> str:
    """The expression for these deployments. Raises Permanent for a name that could end the string it is put in."""
    names = list(deployments)
    for name in (endpoint, *names):
        if not re.fullmatch(r"[A-Za-z0-9-]+", name):
            raise Permanent(f"{name!r} is no name of an endpoint or a deployment.")
    # Not string.Template: a dollar sign is also the end of a line in PromQL's regular expressions.
    return template.replace("$endpoint", endpoint).replace("$deployments", "|".join(names))


def _by_deployment(found: Iterable[Sampled], setting: str) -> dict[str, list[Sampled]]:
    series: defaultdict[str, list[Sampled]] = defaultdict(list)
    for one in found:
        series[_label(one, "deployment", setting).lower()].append(one)
    return dict(series)


def _label(series: Sampled, name: str, setting: str) -> str:
    value = series.labels.get(name)
    if value is None:
        raise Permanent(
            f"What AML_CANARY_{setting.upper()} gives has no label `{name}`, but {', '.join(sorted(series.labels)) or 'none'}: "
            f"put it under `by (...)`, or make it with label_replace."
        )
    return value


def _answers(series: Iterable[Sampled]) -> dict[int, dict[int, int]]:
    """By minute, requests by status; a minute in which all counters stood still is there, and empty."""
    found: defaultdict[int, Counter[int]] = defaultdict(Counter)
    for one in series:
        status = _status(_label(one, "code", _REQUESTS))
        for at, value in one.values.items():
            # `increase` is not exactly whole.
            found[at][status] += max(0, round(value))
    return {at: {status: count for status, count in counts.items() if count} for at, counts in found.items()}


def _status(code: str) -> int:
    """`200`, or a class of them, `2xx`."""
    if re.fullmatch(r"[1-5]([0-9]{2}|[xX]{2})", code):
        return int(code.lower().replace("x", "0"))
    raise Permanent(
        f"The label `code` of AML_CANARY_PROMETHEUS_REQUESTS is {code!r:.50}, and has to be an HTTP status, such as 200 or 5xx."
    )


def _percentiles(series: Iterable[Sampled], unit: float) -> dict[int, dict[int, float]]:
    """By minute, milliseconds by percent."""
    buckets: defaultdict[int, dict[float, float]] = defaultdict(dict)
    found: defaultdict[int, dict[int, float]] = defaultdict(dict)
    for one in series:
        if "quantile" in one.labels:
            percent = round(_number(one, "quantile") * 100)
            for at, value in one.values.items():
                if percent in PERCENTS and value >= 0:
                    found[at][percent] = value * unit
        else:
            _label(one, "le", _LATENCY)
            for at, value in one.values.items():
                buckets[at][_number(one, "le") * unit] = value
    for at, counts in buckets.items():
        found[at].update(percentiles_of(counts))
    return dict(found)


def _number(series: Sampled, label: str) -> float:
    try:
        return float(series.labels[label])
    except ValueError:
        raise Permanent(f"The label `{label}` of AML_CANARY_PROMETHEUS_LATENCY is {series.labels[label]!r:.50}, not a number.") from None


def percentiles_of(buckets: Mapping[float, float]) -> dict[int, float]:
    """Percentiles out of how many were at most so long; none where there was no request, or it is not known how many.

    Within a bucket as if all lengths in it were equally frequent, and above the highest bound that bound: as `histogram_quantile` has it.
    """
    bounds = sorted(bound for bound in buckets if bound < math.inf)
    total = buckets.get(math.inf, 0.0)
    if not bounds or total <= 0:
        return {}
    found = {}
    for percent in PERCENTS:
        wanted, below, start = total * percent / 100, 0.0, min(0.0, bounds[0])
        found[percent] = bounds[-1]
        for bound in bounds:
            # Rounding in `increase` may leave a bucket a little below a smaller one.
            upto = max(below, buckets[bound])
            if upto >= wanted:
                found[percent] = start + (bound - start) * ((wanted - below) / (upto - below))
                break
            below, start = upto, bound
    return found
