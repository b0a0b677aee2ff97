"""Any Python function as a source: `(endpoint, deployments, first, last)`, and back what each deployment did in each minute.

It returns a mapping by deployment of mappings by minute (since the epoch) of `Arm`, or of a mapping with the names of Arm's fields. A
minute that is not there, or None, is a gap. What it returns is checked, because whatever a judge is fed decides what goes live.
May import `domain`, `errors` and `gateways.functions`.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from aml_canary.domain.judge.minutes import Arm
from aml_canary.errors import AmlCanaryError, Permanent, Transient
from aml_canary.gateways.functions import load

_FIELDS = ("answers", "percentiles", "durations", "quality")


class Function:
    """The source of this dotted name. Raises Permanent where there is no such function, or it may not be called."""

    lag_minutes = 1

    def __init__(self, name: str) -> None:
        self.name, self._function = name, load(name)

    def minutes(self, endpoint: str, deployments: Sequence[str], first: int, last: int) -> dict[str, dict[int, Arm | None]]:
        """A function that could not reach something (OSError, which includes timeouts) fails Transient, any other failure is Permanent."""
        try:
            told = self._function(endpoint, tuple(deployments), first, last)
        except AmlCanaryError:
            raise
        except OSError as error:
            raise Transient(f"{self.name} could not tell the metrics of {endpoint} ({type(error).__name__}: {error}).") from error
        except Exception as error:
            raise Permanent(f"{self.name} failed to tell the metrics of {endpoint} ({type(error).__name__}: {error}).") from error
        try:
            by_name = {name: _minutes(told, name) for name in deployments}
            return {name: {at: _arm(told.get(at)) for at in range(first, last + 1)} for name, told in by_name.items()}
        except (TypeError, ValueError) as error:
            raise Permanent(f"{self.name} returned something else than minutes of {endpoint}: {error}") from error


def _minutes(told: Any, name: str) -> Mapping[int, Any]:
    if not isinstance(told, Mapping):
        raise TypeError(f"a mapping by deployment is wanted, not {type(told).__name__}.")
    minutes = told.get(name, {})
    if not isinstance(minutes, Mapping):
        raise TypeError(f"for {name}, a mapping by minute is wanted, not {type(minutes).__name__}.")
    return minutes


def _arm(told: Any) -> Arm | None:
    if told is None:
        return None
    fields = {field: getattr(told, field) for field in _FIELDS} if isinstance(told, Arm) else told
    if not isinstance(fields, Mapping) or set(fields) - set(_FIELDS):
        raise TypeError(f"a minute is an Arm, None, or a mapping with some of {', '.join(_FIELDS)}, not {told!r:.200}.")
    answers = {_whole(status): _whole(count) for status, count in dict(fields.get("answers", {})).items()}
    if any(status > 599 for status in answers):
        raise ValueError(f"an HTTP status is below 600, not {max(answers)}.")
    percentiles = {_whole(percent): _number(value) for percent, value in dict(fields.get("percentiles", {})).items()}
    if any(not 0 < percent < 100 for percent in percentiles) or any(value < 0 for value in percentiles.values()):
        raise ValueError(f"percentiles are milliseconds by percent, such as {{50: 12.5, 95: 40.0}}, not {percentiles!r:.200}.")
    durations = tuple(_number(value) for value in fields.get("durations", ()))
    if any(value < 0 for value in durations):
        raise ValueError(f"no duration is {min(durations)} ms.")
    return Arm(answers, percentiles, durations, tuple(_number(value) for value in fields.get("quality", ())))


def _whole(value: Any) -> int:
    number = _number(value)
    if number < 0 or number != int(number):
        raise ValueError(f"a status, a percent and a count are whole numbers from 0, not {value!r:.50}.")
    return int(number)


def _number(value: Any) -> float:
    # Not bool, which is an int; NumPy's numbers have __float__.
    if isinstance(value, (bool, str)) or not math.isfinite(float(value)):
        raise ValueError(f"a finite number is wanted, not {value!r:.50}.")
    return float(value)
