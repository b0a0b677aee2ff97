"""Is a delivery by somebody who knows one of our secrets? Compared in constant time, over the raw bytes.

Knows no host. May import `githosts.delivery` and the standard library.
"""

import hashlib
import hmac
from collections.abc import Iterable
from itertools import product

from aml_canary.githosts.delivery import Forged


def check_hmac(given: str, body: bytes, secrets: Iterable[str]) -> None:
    """Returns where `given` is the hex HMAC-SHA256 of `body` by one of `secrets`; raises Forged otherwise. An empty secret is none."""
    check([raw(given)], (hmac.digest(secret.encode(), body, hashlib.sha256).hex().encode() for secret in secrets if secret))


def check_sha256(given: str, body: bytes, secrets: Iterable[str]) -> None:
    """The same for a header that names its algorithm. Others than `sha256=` are not accepted."""
    algorithm, _, digest = given.partition("=")
    if algorithm != "sha256":
        raise Forged("The delivery's signature does not begin with 'sha256='; no other is accepted.")
    check_hmac(digest, body, secrets)


def check_secret(given: bytes, secrets: Iterable[str]) -> None:
    """Returns where `given` is one of `secrets` itself; raises Forged otherwise. An empty secret is none."""
    check([given], (secret.encode() for secret in secrets if secret))


def check(given: Iterable[bytes], right: Iterable[bytes]) -> None:
    """Returns where one of `given` is one of `right`; raises Forged otherwise."""
    # Every one is compared, so that the time taken does not tell which of them it was.
    if sum(hmac.compare_digest(one, other) for one, other in product(right, given)) == 0:
        raise Forged("The delivery is by none of the configured secrets. Is the one on the git host among AML_CANARY_WEBHOOK_SECRETS?")


def raw(header: str) -> bytes:
    """A header's bytes: servers hand them on as Latin-1."""
    try:
        return header.encode("latin-1")
    except UnicodeEncodeError:
        return header.encode(errors="surrogatepass")
