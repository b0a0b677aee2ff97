"""Who is told how Azure gets on while it is waited for. Apart from the waiting, so that to listen takes none of Azure's SDK.

May import the standard library only.
"""

from collections.abc import Callable
from contextvars import ContextVar


def _nobody(state: str, seconds: float, limit: float) -> None: ...


# Told each time Azure is found still at work: Azure's word for it, for how many seconds, and after how many it is given up.
heard: ContextVar[Callable[[str, float, float], None]] = ContextVar("heard", default=_nobody)
