"""Waiting until Azure has done what it accepted.

Azure gives no hint how often to ask, and the SDK's own interval is fixed; so the resource itself is read, quickly at first,
then more slowly, up to a deadline. The SDK's poller is asked only for the reason of a failure. May import azure, `settings` and `errors`.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from azure.core.polling import LROPoller

from aml_canary.errors import Permanent, Transient
from aml_canary.gateways.azureml.failures import translated
from aml_canary.gateways.azureml.hearing import heard
from aml_canary.settings import settings

SETTLED = frozenset({"Succeeded", "Failed", "Canceled"})
_FIRST_SECONDS, _FACTOR, _LONGEST_SECONDS = 0.1, 1.6, 10.0
_REASON_SECONDS = 60.0
_SHOWN_WITHIN_SECONDS = 60.0

T = TypeVar("T")


def intervals() -> Iterator[float]:
    """Seconds to wait between looks: 0.1 at first, 10 at last."""
    pause = _FIRST_SECONDS
    while True:
        yield pause
        pause = min(pause * _FACTOR, _LONGEST_SECONDS)


def until_settled(state: Callable[[], str | None], doing: str) -> str | None:
    """Look until the resource's provisioning state is final, and return it; None where the resource is gone.

    Raises Permanent when `operation_timeout_seconds` are over; what Azure does with the operation then is Azure's.
    """
    began, limit = time.monotonic(), settings().operation_timeout_seconds
    for pause in intervals():
        with translated(f"tell how it gets on to {doing}"):
            now = state()
        if now is None or now in SETTLED:
            return now
        waited = time.monotonic() - began
        heard.get()(now, waited, limit)
        if waited + pause > limit:
            raise Permanent(
                f"Azure is still busy ({now}) after {limit:.0f} s to {doing}. "
                "Retry goes on waiting; AML_CANARY_OPERATION_TIMEOUT_SECONDS sets how long."
            )
        time.sleep(pause)
    raise AssertionError("intervals() does not end")


def until_shown(look: Callable[[], T | None], doing: str) -> T:
    """Look until Azure shows what it says it has done, and return that; it may show the old for a while. `look` returns None until then.

    Raises Transient when it never does.
    """
    deadline = time.monotonic() + _SHOWN_WITHIN_SECONDS
    for pause in intervals():
        found = look()
        if found is not None:
            return found
        if time.monotonic() + pause > deadline:
            raise Transient(f"Azure said it was done to {doing}, but after {_SHOWN_WITHIN_SECONDS:.0f} s still shows the old.")
        time.sleep(pause)
    raise AssertionError("intervals() does not end")


def raise_reason(poller: LROPoller[Any], doing: str) -> None:
    """Raise the failure of an operation that did not succeed, in Azure's words; nothing where the poller knows of none."""
    with translated(doing):
        poller.wait(_REASON_SECONDS)
        if poller.done():
            poller.result()
