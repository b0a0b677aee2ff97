"""What `doctor` asks the world: each function looks at one thing, changes nothing anywhere, and says in a few checks how it is.

What the answers amount to is `domain.checkup`. May import `domain`, `settings`, `errors`, the gateways, and prefect's client.
"""

from collections.abc import Callable, Iterable, Iterator

from aml_canary.domain.checkup import Check
from aml_canary.errors import AmlCanaryError

Look = Callable[[], Iterable[Check]]


def checks(looks: Iterable[tuple[str, Look]]) -> Iterator[Check]:
    """Each check as soon as it is known. What one look fails of is a failed check, and holds up no other."""
    for about, look in looks:
        try:
            yield from look()
        except AmlCanaryError as error:
            yield Check(about, "failed", " ".join(str(error).split()), "Do what the message says, and look again.")
        except Exception as error:
            yield Check(
                about, "failed", f"{type(error).__name__}: {' '.join(str(error).split())[:300]}", "This should not happen: report it."
            )
