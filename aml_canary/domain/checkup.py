"""What `doctor` finds out about an installation: one check each, with the remedy where it is not fine.

The facts are brought by `gateways.checkup`; here is what they amount to. May import the standard library only.
"""

import fnmatch
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Result = Literal["ok", "warning", "failed"]

# What a rollout does to endpoints and deployments, as Azure calls it.
NEEDED_ACTIONS = tuple(
    f"Microsoft.MachineLearningServices/workspaces/{what}"
    for what in (
        "read",
        "onlineEndpoints/read",
        "onlineEndpoints/write",
        "onlineEndpoints/delete",
        "onlineEndpoints/deployments/read",
        "onlineEndpoints/deployments/write",
        "onlineEndpoints/deployments/delete",
    )
)
# Below this, whoever knows one delivery can try all secrets out.
_LEAST_SECRET = 16
_SKEW_NOTICED, _SKEW_BAD = 5.0, 60.0


@dataclass(frozen=True)
class Check:
    """One line: what was looked at, how it is, what was seen, and what to do where it is not fine."""

    about: str
    result: Result
    told: str
    remedy: str = ""


def python_check(version: tuple[int, int]) -> Check:
    """Whether this Python is one that is supported."""
    told = f"{version[0]}.{version[1]}"
    fine = (3, 11) <= version < (3, 14)
    return Check("python", "ok" if fine else "failed", told, "" if fine else "Install into Python 3.11, 3.12 or 3.13.")


def versions_check(wrong: Sequence[str], counted: int) -> Check:
    """Whether every package is of a version that is supported; `wrong` has a line for each that is not."""
    if not wrong:
        return Check("packages", "ok", f"{counted} are of supported versions")
    remedy = "Install from the lock: pip install --require-hashes --requirement requirements.lock --constraint requirements.lock."
    return Check("packages", "failed", "; ".join(wrong), remedy)


def same_version_check(server: str, client: str) -> Check:
    """Whether Prefect's server is of the client's version."""
    if server == client:
        return Check("prefect", "ok", f"the server answers, version {server}")
    told = f"the server is {server}, the client here {client}"
    if server.split(".")[:2] == client.split(".")[:2]:
        return Check("prefect", "warning", told, "Bring both to one version when you can.")
    return Check("prefect", "failed", told, "Install the server's version here, or bring the server to this one.")


def heartbeat_check(frequency: float | None, silence: float) -> Check:
    """Whether a lost machine can be told from a busy one."""
    if frequency is None:
        return Check(
            "heartbeats", "warning", "they are off: a lost machine is never noticed", "Set PREFECT_FLOWS_HEARTBEAT_FREQUENCY, such as 180."
        )
    told = f"one in {frequency:g} s, dead after {silence:g} s of silence"
    fine = silence > 3 * frequency
    return Check("heartbeats", "ok" if fine else "failed", told, "" if fine else f"Set AML_CANARY_SILENCE_SECONDS above {3 * frequency:g}.")


def secrets_check(lengths: Sequence[int]) -> Check:
    """Whether the webhook's secrets are there, and long enough not to be guessed."""
    if not lengths:
        return Check(
            "webhook secrets",
            "warning",
            "none is set here: the door would not open, and pushes are found by the schedule only",
            "On the machine of the door set AML_CANARY_WEBHOOK_SECRETS to a JSON list with the secret that the git host signs with.",
        )
    if min(lengths) < _LEAST_SECRET:
        told = f"the shortest has {min(lengths)} characters"
        return Check("webhook secrets", "failed", told, f"Take a random word of {_LEAST_SECRET} or more, here and on the git host.")
    return Check("webhook secrets", "ok", f"{len(lengths)} set, the shortest has {min(lengths)} characters")


def clock_check(other: str, seconds: float) -> Check:
    """Whether this clock goes with that of another machine; `seconds` is how much it is ahead."""
    about = f"clock against {other}"
    if abs(seconds) <= _SKEW_NOTICED:
        return Check(about, "ok", f"within {_SKEW_NOTICED:.0f} s")
    told = f"this clock is {abs(seconds):.0f} s {'ahead' if seconds > 0 else 'behind'}"
    return Check(about, "failed" if abs(seconds) > _SKEW_BAD else "warning", told, "Switch on time synchronisation (NTP) on both machines.")


@dataclass(frozen=True)
class Permission:
    """What one role grants, as Azure lists it: actions with `*`, and those taken out again."""

    actions: tuple[str, ...]
    not_actions: tuple[str, ...] = ()

    def grants(self, action: str) -> bool:
        """Whether the role grants the action."""
        return _any(self.actions, action) and not _any(self.not_actions, action)


def permissions_check(granted: Iterable[Permission]) -> Check:
    """Whether the roles let this identity do what a rollout does."""
    roles = tuple(granted)
    missing = [action for action in NEEDED_ACTIONS if not any(role.grants(action) for role in roles)]
    if not missing:
        return Check("azure permissions", "ok", "endpoints and deployments may be read, written and deleted")
    short = ", ".join(action.partition("workspaces/")[2] for action in missing)
    return Check(
        "azure permissions", "failed", f"not granted: {short}", "Give this identity the role AzureML Data Scientist on the workspace."
    )


def _any(patterns: Iterable[str], action: str) -> bool:
    # Azure compares actions without regard to case, and its star goes over slashes.
    return any(fnmatch.fnmatchcase(action.lower(), pattern.lower()) for pattern in patterns)
