"""Scoring requests, straight to one deployment or to the endpoint as its users reach it.

Plain HTTP and not the SDK's `invoke`, which keeps the routing header of one call for the next and hides response headers.
Whether an answer is right is not decided here (`domain.smoke`). May import requests and `errors`.
"""

import time
from dataclasses import dataclass

import requests

from aml_canary.errors import Transient

_RETRIED_STATUS = {429, 502, 503}


@dataclass(frozen=True)
class Answer:
    """One answer: HTTP status, the deployment that gave it ("" where the service does not say), the body, and how long it took."""

    status: int
    deployment: str
    body: str
    milliseconds: float


def score(uri: str, access: str, body: bytes, *, deployment: str = "", timeout_seconds: float = 180.0) -> Answer:
    """POST a JSON body to the scoring URI; `deployment` sends it past the weights to that deployment.

    Raises Transient where nothing answered, or the service itself was too busy (429, 502, 503); any other answer is an answer.
    """
    headers = {"Authorization": f"Bearer {access}", "Content-Type": "application/json"}
    if deployment:
        headers["azureml-model-deployment"] = deployment
    started = time.perf_counter()
    try:
        response = requests.post(uri, data=body, headers=headers, timeout=timeout_seconds)
    except requests.RequestException as error:
        raise Transient(f"The endpoint did not answer at {uri} ({type(error).__name__}).") from error
    took = (time.perf_counter() - started) * 1000
    if response.status_code in _RETRIED_STATUS:
        wait = response.headers.get("Retry-After", "")
        raise Transient(f"The endpoint answered {response.status_code} at {uri}.", retry_after=float(wait) if wait.isdecimal() else None)
    # JSON is UTF-8 (RFC 8259 section 8.1); without a charset in the header, requests would guess.
    return Answer(
        response.status_code, response.headers.get("azureml-model-deployment", ""), response.content.decode(errors="replace"), took
    )
