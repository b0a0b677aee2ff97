"""Whether an answer to a smoke request is right. A 200 with a wrong body is wrong.

May import jsonschema, `domain` and the standard library only.
"""

import json
import math
from typing import Any

import jsonschema

from aml_canary.domain.manifest import Expect

_REASON_HEADER_STATUS = 424


def problem_with(expect: Expect, *, status: int, answered_by: str, asked: str, body: str, milliseconds: float) -> str:
    """Why the answer is wrong, in a few words; empty where it is right.

    `answered_by` and `asked` are deployment names: an answer from somewhere else says nothing about the one that was asked.
    """
    if status == _REASON_HEADER_STATUS:
        return f"the model failed (HTTP 424): {_short(body)}"
    if status != 200:
        return f"HTTP {status}: {_short(body)}"
    if answered_by and answered_by.lower() != asked:
        return f"{answered_by} answered instead of {asked}"
    if expect.max_latency_ms is not None and milliseconds > expect.max_latency_ms:
        return f"it took {milliseconds:.0f} ms, at most {expect.max_latency_ms} ms are allowed"
    if expect.json_schema is None and expect.equals is None:
        return ""
    try:
        value = json.loads(body, parse_constant=_refused)
    except (ValueError, RecursionError):
        return f"the answer is not JSON: {_short(body)}"
    if expect.json_schema is not None:
        error = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(dict(expect.json_schema)).iter_errors(value))
        if error is not None:
            return f"the answer breaks the schema at {error.json_path}: {_short(error.message)}"
    if expect.equals is not None:
        return _difference(expect.equals, value, expect.tolerance, "$")
    return ""


def same_answer(one: str, other: str, tolerance: float) -> bool:
    """Whether two bodies are the same JSON, numbers within `tolerance`, or the same text where they are no JSON."""
    try:
        return not _difference(json.loads(one), json.loads(other), tolerance, "$")
    except (ValueError, RecursionError):
        return one == other


def _difference(wanted: Any, got: Any, tolerance: float, at: str) -> str:
    if _is_number(wanted) and _is_number(got):
        return "" if _near(wanted, got, tolerance) else f"at {at} the answer is {_short(str(got))}, expected {wanted}"
    if isinstance(wanted, (list, tuple)) and isinstance(got, list):
        if len(wanted) != len(got):
            return f"at {at} the answer has {len(got)} items, expected {len(wanted)}"
        found = (_difference(w, g, tolerance, f"{at}[{n}]") for n, (w, g) in enumerate(zip(wanted, got, strict=True)))
        return next((text for text in found if text), "")
    if isinstance(wanted, dict) and isinstance(got, dict):
        if wanted.keys() != got.keys():
            return f"at {at} the answer has the keys {sorted(got)}, expected {sorted(wanted)}"
        found = (_difference(wanted[key], got[key], tolerance, f"{at}.{key}") for key in sorted(wanted))
        return next((text for text in found if text), "")
    same = type(wanted) is type(got) and wanted == got
    return "" if same else f"at {at} the answer is {_short(json.dumps(got))}, expected {_short(json.dumps(wanted))}"


def _refused(word: str) -> None:
    """NaN and Infinity are Python's words and not JSON's: the mark of a broken model, which any schema of numbers would let pass."""
    raise ValueError(word)


def _near(wanted: float, got: float, tolerance: float) -> bool:
    try:
        return wanted == got or math.isclose(wanted, got, rel_tol=0.0, abs_tol=tolerance)
    except OverflowError:  # a whole number beyond all floats
        return False


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= 200 else flat[:197] + "..."
