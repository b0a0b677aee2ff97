"""What is installed and set on this machine. May import `domain`, `settings`, its gateway neighbours and the standard library."""

import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement
from prefect.settings import get_current_settings

from aml_canary.domain.checkup import Check, heartbeat_check, python_check, secrets_check, versions_check
from aml_canary.settings import settings


def versions() -> Iterator[Check]:
    """Python, and every package that ours names."""
    yield python_check(sys.version_info[:2])
    wanted = [Requirement(line) for line in requires("aml-canary") or ()]
    wanted = [one for one in wanted if one.marker is None or one.marker.evaluate({"extra": ""})]
    wrong = [line for one in wanted if (line := _wrong(one))]
    yield versions_check(wrong, len(wanted))


def _wrong(wanted: Requirement) -> str:
    try:
        found = version(wanted.name)
    except PackageNotFoundError:
        return f"{wanted.name} is not installed"
    return "" if wanted.specifier.contains(found, prereleases=True) else f"{wanted.name} is {found}, supported is {wanted.specifier}"


def set_here() -> Iterator[Check]:
    """Heartbeats, and the secrets of the webhook."""
    yield heartbeat_check(get_current_settings().flows.heartbeat_frequency, settings().silence_seconds)
    yield secrets_check([len(secret.get_secret_value().strip()) for secret in settings().webhook_secrets])


def functions() -> Iterator[Check]:
    """Whether the modules that settings and manifests may name can be imported here."""
    wrong = []
    for module in settings().functions:
        try:
            import_module(module)
        except Exception as error:
            wrong.append(f"{module} ({type(error).__name__}: {error})")
    if wrong:
        yield Check("functions", "failed", f"cannot be imported here: {'; '.join(wrong)}", "Install their package on every worker.")
    elif settings().functions:
        yield Check("functions", "ok", f"{', '.join(settings().functions)} can be imported here")
