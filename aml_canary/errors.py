"""Every way this project can fail, as one small tree.

* AmlCanaryError
    * Transient            try again: the same call may work in a moment
    * Permanent            trying again changes nothing; somebody has to act
        * ManifestRefused  the manifest says something that must not be carried out
        * PlanRefused      no safe way leads from what is live to what is asked
        * EndpointBusy     another rollout holds the endpoint
        * ForeignChange    somebody else changed the endpoint while this rollout was at work
        * SmokeFailed      the canary answered its smoke requests wrongly
        * JudgedBad        the canary is worse than stable under live traffic
        * RolloutRejected  a person said no
        * Superseded       a newer commit takes the rollout's place
        * Outdated         the branch wants something else by now, and nothing was done

Whether a failure is Transient or Permanent is decided where the world is touched (`gateways`); one retry
policy (`tasks.retry`) obeys. Original errors are chained as causes, so that a reader of the log finds them.
This module imports nothing.
"""


class AmlCanaryError(Exception):
    """The root. Its text says what happened, where, and what to do."""


class Transient(AmlCanaryError):
    """Worth another try.

    `retry_after` is what the server asked for, in seconds (RFC 9110 section 10.2.3), or None where it asked for nothing.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Permanent(AmlCanaryError):
    """Another try would end the same way."""


class PlanRefused(Permanent):
    """No safe way leads from the live endpoint to the manifest; the text says which rule is in the way."""


class EndpointBusy(Permanent):
    """Another rollout holds this endpoint's lock."""


class ForeignChange(Permanent):
    """The live endpoint is not as this rollout last saw it: somebody else wrote to it."""


class SmokeFailed(Permanent):
    """The canary's answer to a smoke request is wrong, late or missing."""


class JudgedBad(Permanent):
    """The canary is worse than stable, or its manifest goes back without a verdict; live traffic goes back at once."""

    state = "RolledBack"


class RolloutRejected(Permanent):
    """A person answered a gate with reject."""

    state = "Rejected"


class Superseded(Permanent):
    """A newer commit takes the place of this rollout."""

    state = "Superseded"


class Outdated(Permanent):
    """The branch wants something else of the endpoint by now; this rollout has done nothing."""

    state = "Outdated"


class ManifestRefused(Permanent):
    """The manifest breaks rules; each finding in `findings` names file, line, field, rule and remedy."""

    def __init__(self, findings: tuple[object, ...]) -> None:
        super().__init__("\n".join(str(finding) for finding in findings))
        self.findings = findings
