"""Azure's failures become ours here: Transient or Permanent, with Azure's own code and text.

The rule, by what the SDK raises: no connection, 408, 409 (an operation is in progress), 429 and 5xx are Transient; every other answer is
Permanent, and so is an operation that Azure accepted and then reported as failed (the SDK raises that with status 200).
An address that storage gives out lets in whoever has it, and libraries write it into their errors: it goes no further than this module.
May import azure and `errors`.
"""

import math
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from azure.ai.ml.exceptions import MlException
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    IncompleteReadError,
    ServiceRequestError,
    ServiceResponseError,
)
from marshmallow import ValidationError

from aml_canary.errors import AmlCanaryError, Permanent, Transient

_TRANSIENT_STATUS = {408, 409, 429, 500, 502, 503, 504}
_NOT_REACHED = (ServiceRequestError, ServiceResponseError, IncompleteReadError)
# What azure-identity leaves of a failure that was not a refusal: a text, without the response or the cause.
_IDENTITY_SERVICE_DOWN = re.compile(r"HTTP Error: (408|429|5\d\d)\b|Connection (aborted|refused|reset)|timed out|Max retries exceeded")
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
# Of an address everything behind the question mark, because what stands there may be a signature, or somebody's data.
_HIDDEN = re.compile(r"(?<=\?)[\w$%.~-]+=[^\s'\"]+|(?<=\bsig=)[^\s&'\"]+|(?<=\bAccountKey=)[^\s;'\"]+")
_LETS_IN = re.compile(r"\b(sig|AccountKey)(=|%3D)")


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Run a block of SDK calls; its failures come out as ours. `doing` completes "Azure failed to ...", such as `create deployment green`."""
    try:
        yield
    except (MlException, ValidationError, AzureError) as error:
        ours = _ours(error, doing)
        # A log shows causes as well, and theirs are texts that we cannot change.
        if _LETS_IN.search("".join(traceback.format_exception(error))):
            raise ours from None
        raise ours from error


def _ours(error: Exception, doing: str) -> AmlCanaryError:
    found = _behind(error)
    if isinstance(found, ClientAuthenticationError):
        if found.response is None and _IDENTITY_SERVICE_DOWN.search(str(found)):
            return Transient(f"No token could be had to {doing}: {_flat(str(found))}")
        return Permanent(
            f"Azure refused the credential when asked to {doing}: {describe(found)} Check the identity this process runs as, and its roles."
        )
    if isinstance(found, HttpResponseError):
        text = f"Azure failed to {doing}: {describe(found)}"
        if found.status_code in _TRANSIENT_STATUS:
            return Transient(text, retry_after=_retry_after(found))
        return Permanent(text)
    if isinstance(found, _NOT_REACHED):
        return Transient(f"Azure could not be reached to {doing}: {_flat(str(found))}")
    return Permanent(f"The Azure SDK refused to {doing}: {_flat(str(error))}")


def _behind(error: BaseException) -> BaseException:
    """The failure that the SDK wrapped in one of its own, as it does with whatever happens during an upload."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, (HttpResponseError, *_NOT_REACHED)):
            return inner
        inner = inner.__cause__ or inner.__context__
    return error


def describe(error: HttpResponseError) -> str:
    """`(Code) text`, as Azure said it, the details included, on one line."""
    body = error.error
    if body is None:
        return _flat(error.message or str(error)) or f"HTTP {error.status_code}."
    told = [f"({body.code}) {body.message}", *(f"({detail.code}) {detail.message}" for detail in body.details or ())]
    status = f"HTTP {error.status_code} " if error.status_code and error.status_code >= 400 else ""
    return status + " ".join(_flat(text) for text in told)


def _retry_after(error: HttpResponseError) -> float | None:
    headers: Any = getattr(error.response, "headers", {})
    for name, unit in (("x-ms-retry-after-ms", 0.001), ("retry-after-ms", 0.001), ("Retry-After", 1.0)):
        value = headers.get(name)
        if not value:
            continue
        try:
            seconds = float(value) * unit
        except ValueError:
            pass
        else:
            return max(0.0, seconds) if math.isfinite(seconds) else None
        try:
            return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
        except (TypeError, ValueError):
            continue
    return None


def without_secrets(text: str) -> str:
    """`text` without the queries of addresses, signatures of storage and keys of storage accounts."""
    return _HIDDEN.sub("***", text)


def _flat(text: str) -> str:
    return without_secrets(" ".join(_ANSI.sub("", text).split()))
