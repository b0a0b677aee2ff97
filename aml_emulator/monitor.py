"""Azure Monitor's metrics of endpoints and deployments: the ARM GET and `metrics:getBatch`, out of the door's own counts.

Names, dimensions and filters as Microsoft documents them; how series are cut is in `series`. Metrics that Azure has and we do
not count answer 501. Not here: counting (`stats`). May import: `context`, `errors`, `rules`, `series`, `state`, `stats`, `wire`.
"""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote

from aml_emulator import errors, rules, series
from aml_emulator.context import Context
from aml_emulator.errors import AzureError
from aml_emulator.series import Metric
from aml_emulator.stats import Kind, Stats
from aml_emulator.wire import Json, Reply, Request

KIND = "Microsoft.MachineLearningServices/workspaces/onlineEndpoints"
LATENCY = {"RequestLatency": None, **{f"RequestLatency_P{share}": share / 100 for share in (50, 90, 95, 99)}}
STATUS = ("deployment", "statusCode", "statusCodeClass", "modelStatusCode")
ENDPOINT = {
    "RequestsPerMinute": Metric("RequestsPerMinute", "Count", STATUS),
    **{name: Metric(name, "MilliSeconds", ("deployment",), share) for name, share in LATENCY.items()},
    "NetworkBytes": Metric("NetworkBytes", "BytesPerSecond", ()),
}
DEPLOYMENT = {
    "RequestsPerMinute": Metric("RequestsPerMinute", "Count", ("envoy_response_code",)),
    **{name: Metric(name, "MilliSeconds", (), share) for name, share in LATENCY.items() if share},
}
NOT_COUNTED = {
    "ConnectionsActive", "NewConnectionsPerSecond", "DataCollectionEventsPerMinute", "DataCollectionErrorsPerMinute",
    "CpuUtilizationPercentage", "CpuMemoryUtilizationPercentage", "DiskUtilization", "DeploymentCapacity", "GpuEnergyJoules",
    "GpuUtilizationPercentage", "GpuMemoryUtilizationPercentage",
}  # fmt: skip
AGGREGATIONS = {name.lower(): name.lower() for name in ("Average", "Total", "Minimum", "Maximum", "Count")}
INTERVALS = {"PT1M": 1, "PT5M": 5, "PT15M": 15, "PT30M": 30, "PT1H": 60, "PT6H": 360, "PT12H": 720, "P1D": 1440}
NOT_OFFERED = ("rollupby", "orderby", "resulttype")
MAX_RESOURCES = 50
# Azure's bound, and one of our own on what one request may make us work out: points of all metrics of all resources.
MAX_METRICS = 20
MAX_POINTS = 500_000
RESOURCE = re.compile(r"(?i)(?P<workspace>.+)/onlineEndpoints/(?P<endpoint>[^/]+)(?:/deployments/(?P<deployment>[^/]+))?/?")


class Monitor:
    def __init__(self, context: Context, stats: Stats):
        self.context, self.stats = context, stats

    async def get(self, request: Request) -> Reply:
        query = {key.lower().lstrip("$"): value for key, value in request.query.items()}
        # `az monitor metrics list` escapes it twice, which Azure takes.
        start, _, end = unquote(query.get("timespan", "")).partition("/")
        resource = request.path[: request.path.lower().index("/providers/microsoft.insights/")]
        span = _span(start, end)
        _bound(query, *span, 1)
        answer = self._answer(request, resource, query, *span)
        answer["timespan"] = f"{answer.pop('starttime')}/{answer.pop('endtime')}"
        del answer["resourceid"]
        return Reply(200, answer)

    async def batch(self, request: Request) -> Reply:
        query = {key.lower().lstrip("$"): value for key, value in request.query.items()}
        resources = request.json().get("resourceids")
        if not isinstance(resources, list) or not resources or len(resources) > MAX_RESOURCES:
            raise _bad(f"resourceids must be a list of 1 to {MAX_RESOURCES} resource ids")
        span = _span(query.get("starttime", ""), query.get("endtime", ""))
        _bound(query, *span, len(resources))
        return Reply(200, {"values": [self._answer(request, str(resource), query, *span) for resource in resources]})

    def _answer(self, request: Request, resource: str, query: dict[str, str], start: datetime, end: datetime) -> Json:
        endpoint, deployment, known, kind = self._find(resource)
        if query.get("metricnamespace", kind).lower() != kind.lower():
            raise _bad(f"Invalid metric namespace: {query['metricnamespace']}. Valid for this resource: {kind}")
        for name in NOT_OFFERED:
            if query.get(name) and query[name].lower() != "data":
                raise errors.not_implemented(request.method, f"metrics with {name}")
        interval = query.get("interval", "PT1M")
        if interval.upper() not in INTERVALS:
            raise _bad(f"Invalid time grain: {interval}. Valid time grains: {', '.join(INTERVALS)}")
        wanted = [text.strip().lower() for text in (query.get("aggregation") or "Average").split(",")]
        for text in wanted:
            if text not in AGGREGATIONS:
                raise _bad(f"Invalid aggregation: {text}. Valid aggregations: Average, Total, Minimum, Maximum, Count")
        minutes = [
            (minute, [(kind_, tally) for kind_, tally in kinds.items() if _matches(kind_, endpoint, deployment)])
            for minute, kinds in sorted(self.stats.minutes.items())
            # Freshly counted minutes come late on Azure; how late, a test may say.
            if minute * 60 + self.stats.metrics_lag <= time.time()
        ]
        names = query.get("metricnames") or "RequestsPerMinute"
        value: list[Json] = []
        for name in names.split(","):
            metric = _metric(request, name.strip(), known, kind)
            filters = series.parse(query.get("filter", ""), metric, _bad)
            top = query.get("top") or "10"
            if not top.isascii() or not top.isdigit():
                raise _bad(f"top must be a whole number, not {top}")
            limit = int(top[:9])
            found = series.cut(metric, minutes, filters, (start, end), INTERVALS[interval.upper()], wanted)
            value.append(_value(resource, metric, found[:limit] if filters else found))
        return {
            "cost": 0,
            "starttime": series.stamp(start),
            "endtime": series.stamp(end),
            "interval": interval,
            "namespace": kind,
            "resourceregion": self.context.settings.location,
            "resourceid": resource,
            "value": value,
        }

    def _find(self, resource: str) -> tuple[str, str | None, dict[str, Metric], str]:
        match = RESOURCE.fullmatch(resource)
        settings = self.context.settings
        if match is None or match["workspace"].lower() != settings.workspace_id.lower():
            raise _bad(f"Metrics are kept for online endpoints and deployments, not for {resource}")
        endpoint = self.context.store.endpoint(match["endpoint"])
        if endpoint is None:
            raise errors.not_found(f"workspaces/{settings.workspace}/onlineEndpoints", match["endpoint"], settings.resource_group)
        if match["deployment"] is None:
            return endpoint.name.lower(), None, ENDPOINT, KIND
        if match["deployment"].lower() not in endpoint.deployments:
            place = f"workspaces/{settings.workspace}/onlineEndpoints/{endpoint.name}/deployments"
            raise errors.not_found(place, match["deployment"], settings.resource_group)
        return endpoint.name.lower(), match["deployment"].lower(), DEPLOYMENT, f"{KIND}/deployments"


def _matches(kind: Kind, endpoint: str, deployment: str | None) -> bool:
    return kind.endpoint.lower() == endpoint and deployment in (None, kind.deployment.lower())


def _metric(request: Request, name: str, known: dict[str, Metric], kind: str) -> Metric:
    metric = next((metric for key, metric in known.items() if key.lower() == name.lower()), None)
    if metric is not None:
        return metric
    if name.lower() in {one.lower() for one in NOT_COUNTED}:
        raise errors.not_implemented(request.method, f"metric {name}")
    provider, _, resource = kind.partition("/")
    text = f"Failed to find metric configuration for provider: {provider}, resource Type: {resource}, metric: {name}"
    raise _bad(f"{text}, Valid metrics: {','.join(known)}")


def _value(resource: str, metric: Metric, timeseries: list[Json]) -> Json:
    return {
        "id": f"{resource}/providers/Microsoft.Insights/metrics/{metric.name}",
        "type": "Microsoft.Insights/metrics",
        "name": {"value": metric.name, "localizedValue": metric.name},
        "displayDescription": metric.name,
        "unit": metric.unit,
        "timeseries": timeseries,
        "errorCode": "Success",
    }


def _bound(query: dict[str, str], start: datetime, end: datetime, resources: int) -> None:
    names = (query.get("metricnames") or "one").count(",") + 1
    if names > MAX_METRICS:
        raise _bad(f"At most {MAX_METRICS} metrics may be asked for at once")
    grain = INTERVALS.get(query.get("interval", "PT1M").upper(), 1)
    # A series of its own for each value of a dimension, of which there are a few.
    if resources * names * ((end - start).total_seconds() / 60 / grain + 1) > MAX_POINTS:
        raise _bad("The query would return too many data points; ask for less time or a larger interval")


def _span(start: str, end: str) -> tuple[datetime, datetime]:
    """ISO 8601 start and end; a duration may stand for either start or, alone, for the time until now."""
    until = _moment(end) if end else datetime.now(UTC)
    try:
        if start.upper().startswith("P"):
            # A bound that cannot overflow a duration; what is longer than 30 days is refused below.
            since = until - timedelta(seconds=min(rules.seconds(start.upper(), "timespan"), 1e8))
        else:
            since = _moment(start) if start else until - timedelta(hours=1)
    except OverflowError:
        raise _bad(f"Invalid timespan: {start}/{end}") from None
    if since >= until:
        raise _bad("Start time must be before end time")
    if until - since > timedelta(days=30):
        raise _bad("The timespan must not be longer than 30 days")
    return since, until


def _moment(text: str) -> datetime:
    try:
        # A plus sign that was not escaped arrives as a space.
        moment = datetime.fromisoformat(text.strip().replace(" ", "+"))
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise _bad(f"Invalid time: {text}") from None


def _bad(text: str) -> AzureError:
    return AzureError(400, "BadRequest", text)
