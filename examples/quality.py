"""How good an answer of the example models is: a quality function, as `rollout.judge.quality.function` names it.

A worker calls it only where AML_CANARY_FUNCTIONS allows this module. May import the standard library only.
"""

import itertools
from typing import Any


def follows_the_rows(request: dict[str, Any], response: list[float]) -> float:
    """1 where a row with larger values is answered with a larger number, and 0 where it is not; higher is better."""
    rows = sorted(zip(map(sum, request["data"]), response, strict=True))
    answers = [answer for _, answer in rows]
    return float(all(low < high for low, high in itertools.pairwise(answers)))
