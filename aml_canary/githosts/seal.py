"""The door's word that it has heard something from a git host, so that nobody can say so in its stead.

The door and the workers know the webhook's secrets; Prefect, and whoever may start runs there, does not. A seal says nothing of when it was
made: who uses it checks the time in what was sealed. Knows no host. May import the standard library only.
"""

import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping

# No git host signs a body that begins so.
_OURS = b"aml-canary heard\n"


def seal(said: Mapping[str, object], secret: str) -> str:
    """The seal of what was heard, which has to be JSON: 64 hex digits."""
    return hmac.digest(secret.encode(), _OURS + json.dumps(said, sort_keys=True).encode(), hashlib.sha256).hex()


def is_sealed(said: Mapping[str, object], given: str, secrets: Iterable[str]) -> bool:
    """Whether one of the secrets sealed exactly this. An empty one seals nothing."""
    return sum(hmac.compare_digest(seal(said, secret).encode(), given.encode()) for secret in secrets if secret) > 0
