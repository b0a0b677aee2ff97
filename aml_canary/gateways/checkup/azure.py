"""Azure as `doctor` sees it: the credential, the workspace, what may be done there, the clock, the metrics.

May import `domain`, `settings`, `errors` and its gateway neighbours.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

from aml_canary.domain.checkup import Check, clock_check, permissions_check
from aml_canary.errors import AmlCanaryError
from aml_canary.gateways import azureml
from aml_canary.gateways.checkup.prefect_server import clock_ahead
from aml_canary.gateways.metrics import newest_whole_minute, source
from aml_canary.settings import settings

_MINUTES = 5


def workspace() -> Iterator[Check]:
    """Whether this identity gets in, and may do what a rollout does."""
    region = azureml.read_workspace()
    yield Check("azure", "ok", f"workspace {settings().workspace} in {region} can be read")
    yield Check("azure endpoints", "ok", f"{len(azureml.endpoint_names())} can be listed")
    granted, date = azureml.read_permissions()
    if granted:
        yield permissions_check(granted)
    else:
        told = "Azure does not tell this identity what it may do"
        yield Check("azure permissions", "warning", told, "Its role has to be AzureML Data Scientist on the workspace, or as much as that.")
    if date:
        yield clock_check("azure", clock_ahead(date))


def metrics() -> Iterator[Check]:
    """Whether the judge's minutes can be read, of the first endpoint that has deployments."""
    kind = settings().metrics
    live = next((seen for name in azureml.endpoint_names() if (seen := azureml.observe(name)).deployments), None)
    if live is None:
        yield Check("metrics", "warning", f"no endpoint has a deployment to read {kind} of", "Look again after the first release.")
        return
    newest = newest_whole_minute(datetime.now(UTC))
    try:
        found = source().minutes(live.name, sorted(live.deployments), newest - _MINUTES + 1, newest)
    except AmlCanaryError as error:
        yield Check("metrics", "failed", str(error), "docs/metrics.md says what each source needs.")
        return
    known = sum(arm is not None for arms in found.values() for arm in arms.values())
    told = f"{kind} answers for {live.name}"
    if known:
        yield Check("metrics", "ok", told)
    else:
        remedy = "If it has been asked something in these minutes, look at the source: docs/metrics.md."
        yield Check("metrics", "warning", f"{told}, and has nothing of its last {_MINUTES} minutes", remedy)
