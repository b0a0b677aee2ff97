"""Where the judge's minutes come from: one Protocol, one module per source, chosen in the settings.

Only whole minutes, and only once the source has had time to take in what happened in them. What the minutes say is not here
(`domain.judge`). May import `domain`, `settings`, `errors` and its neighbours.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol

from aml_canary.domain.judge.minutes import Arm, Minute
from aml_canary.gateways.metrics.function import Function
from aml_canary.gateways.metrics.prometheus import Prometheus
from aml_canary.settings import settings

# For each deployment what it did, by minutes since the epoch. None: the source has no data of it, which is not zero.
Arms = Mapping[str, Mapping[int, Arm | None]]


class Source(Protocol):
    """One place that knows what deployments answered."""

    lag_minutes: int
    """How many minutes after its end a minute may still change: until then it is not judged. The settings may say otherwise."""

    def minutes(self, endpoint: str, deployments: Sequence[str], first: int, last: int) -> Arms:
        """Each of `deployments` in each of the minutes `first` to `last`, both included, in minutes since the epoch.

        `Arm()`: nobody asked it anything. None: no data, a gap. Raises Transient or Permanent.
        """
        ...


def source() -> Source:
    """The source that the settings name. Raises Permanent where they name none that can be had."""
    name = settings().metrics
    if name == "prometheus":
        return Prometheus()
    if name != "azure-monitor":
        return Function(name)
    # Not at the top: Azure's SDK takes a second and 100 MiB to import, and the others do not need it.
    from aml_canary.gateways.metrics.azure_monitor import AzureMonitor

    return AzureMonitor()


def read_minutes(endpoint: str, stable: str | None, canary: str, first: int, last: int) -> tuple[Minute, ...]:
    """Both deployments in the whole minutes from `first` to `last`, oldest first; without `stable`, its arm is None throughout.

    Minutes that are not whole yet are left out, so that fewer may come than were asked for. Raises Transient or Permanent.
    """
    last = min(last, newest_whole_minute(datetime.now(UTC)))
    if last < first:
        return ()
    names = [name for name in (stable, canary) if name is not None]
    arms = source().minutes(endpoint, names, first, last)
    return tuple(
        Minute(at, None if stable is None else arms.get(stable, {}).get(at), arms.get(canary, {}).get(at)) for at in range(first, last + 1)
    )


def newest_whole_minute(now: datetime) -> int:
    """The newest minute that is over and that the source has all data of, in minutes since the epoch. `now` has a time zone."""
    configured = settings().metrics_lag_minutes
    lag = source().lag_minutes if configured is None else configured
    return int(now.timestamp() // 60) - 1 - lag
