"""Prometheus' HTTP API, as far as it is needed: one expression, looked at once a minute.

What the series mean is not here (`prometheus`). The token never leaves the request's headers. May import requests, `settings` and `errors`.
"""

import json
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import requests

from aml_canary.errors import Permanent, Transient
from aml_canary.settings import settings

CONNECT_SECONDS = 5.0
READ_SECONDS = 60.0
BODY_BYTES = 64 * 1024 * 1024

_CHUNK = 256 * 1024
# As Prometheus begins what is about the expression, and not about data that could not be had.
_ABOUT_THE_EXPRESSION = "PromQL "

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sampled:
    """One series: its labels, and its values by minutes since the epoch. What is not a finite number is left out, as if it were not there."""

    labels: Mapping[str, str]
    values: Mapping[int, float]


def query_minutes(expression: str, setting: str, first: int, last: int) -> list[Sampled]:
    """The expression at the end of each of the minutes `first` to `last`; a value belongs to the minute that ends there.

    `setting` is where the expression comes from, for whom it has to be put right. Raises Transient, or Permanent.
    """
    body = {"query": expression, "start": str((first + 1) * 60), "end": str((last + 1) * 60), "step": "60"}
    answer = _decoded(_post("/api/v1/query_range", body, setting))
    # All that could be had is there; but what could not, such as a store that did not answer, would be taken for requests that never came.
    told = [str(text) for text in answer.get("warnings") or ()]
    missing = [text for text in told if not text.startswith(_ABOUT_THE_EXPRESSION)]
    if missing:
        raise Transient(f"Prometheus has only a part of the data: {'; '.join(missing)[:300]}")
    for text in told:
        logger.warning("Prometheus about AML_CANARY_%s: %s", setting.upper(), text)
    try:
        return [_sampled(series) for series in answer["data"]["result"]]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Permanent(f"Prometheus' answer is not a matrix ({error!r:.200}). Check AML_CANARY_{setting.upper()}.") from error


def _sampled(series: Mapping[str, Any]) -> Sampled:
    values = {round(float(at)) // 60 - 1: float(value) for at, value in series["values"]}
    return Sampled(dict(series["metric"]), {at: value for at, value in values.items() if math.isfinite(value)})


def _post(path: str, body: Mapping[str, str], setting: str) -> bytes:
    installed = settings()
    where, token = installed.prometheus_url, installed.prometheus_token
    try:
        with requests.Session() as session:
            # Otherwise a line of ~/.netrc for this host would take the place of the token.
            session.auth = _unchanged
            with session.post(
                where + path,
                data=body,
                headers={"Authorization": f"Bearer {token.get_secret_value()}"} if token else {},
                timeout=(CONNECT_SECONDS, READ_SECONDS),
                # Whoever is redirected to gets no token from us.
                allow_redirects=False,
                stream=True,
            ) as answer:
                said = bytearray()
                for chunk in answer.iter_content(_CHUNK):
                    said += chunk
                    if len(said) > BODY_BYTES:
                        raise Permanent(f"Prometheus' answer is larger than {BODY_BYTES} bytes. Check AML_CANARY_{setting.upper()}.")
    except requests.exceptions.SSLError as error:
        raise Permanent(f"The certificate of Prometheus at {where} is not trusted here. Check REQUESTS_CA_BUNDLE.") from error
    except requests.RequestException as error:
        raise Transient(f"Prometheus did not answer at {where} ({type(error).__name__}).") from error
    if answer.status_code == 200:
        return bytes(said)
    raise _refusal(answer, bytes(said), where, setting)


def _unchanged(prepared: requests.PreparedRequest) -> requests.PreparedRequest:
    return prepared


def _refusal(answer: requests.Response, said: bytes, where: str, setting: str) -> Transient | Permanent:
    status, wait = answer.status_code, answer.headers.get("Retry-After", "")
    told = f"Prometheus answered {status} at {where}."
    if status in (408, 429) or status >= 500:
        return Transient(told, retry_after=float(wait) if wait.isdecimal() else None)
    if status in (401, 403):
        return Permanent(f"{told} Check AML_CANARY_PROMETHEUS_TOKEN, and what it may read.")
    if status in (400, 422):
        try:
            reason = str(json.loads(said)["error"])
        except (ValueError, KeyError, TypeError):
            reason = said[:300].decode(errors="replace")
        return Permanent(f"{told} Check AML_CANARY_{setting.upper()}: {' '.join(reason.split())[:300]}")
    return Permanent(f"{told} Check AML_CANARY_PROMETHEUS_URL.")


def _decoded(said: bytes) -> Mapping[str, Any]:
    try:
        answer = json.loads(said)
    except ValueError as error:
        raise Permanent("What answered is not Prometheus: it sent no JSON. Check AML_CANARY_PROMETHEUS_URL.") from error
    if not isinstance(answer, dict) or answer.get("status") != "success":
        raise Permanent("What answered is not Prometheus: it tells of no success. Check AML_CANARY_PROMETHEUS_URL.")
    return answer
