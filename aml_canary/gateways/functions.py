"""Functions by dotted name, out of the modules that this installation allows.

A manifest comes from git, and whoever can push must not choose what code runs here; so nothing is imported that the setting `functions`
does not name. What a function is for is not here. May import `settings` and `errors`.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from aml_canary.errors import Permanent
from aml_canary.settings import settings


def load(name: str) -> Callable[..., Any]:
    """The function of this dotted name, such as `acme.quality.score`: its module, and its name there.

    Raises Permanent where its module is not allowed, cannot be imported, or has no such function of its own.
    """
    module, _, function = name.rpartition(".")
    _check(module, name)
    if function.startswith("_"):
        raise Permanent(f"{name} is private to its module. Name a function without an underscore.")
    try:
        found = getattr(import_module(module), function, None)
    except Exception as error:
        raise Permanent(
            f"{name} cannot be imported here ({type(error).__name__}: {error}). Install its package on every worker."
        ) from error
    if not callable(found):
        raise Permanent(f"{name} is not a function: {module} has {'none of that name' if found is None else f'a {type(found).__name__}'}.")
    # A module may have imported what was never meant to be called from outside, such as os.system.
    _check(str(getattr(found, "__module__", "")), name)
    checked: Callable[..., Any] = found
    return checked


def _check(module: str, name: str) -> None:
    if not any(f"{module}.".startswith(f"{allowed}.") for allowed in settings().functions):
        allowed = ", ".join(settings().functions) or "none"
        raise Permanent(
            f"{name} may not be called: it is of module {module or 'unknown'}, and AML_CANARY_FUNCTIONS allows {allowed}. "
            "Whoever installs this may add its module there."
        )
