"""Rules with fixed thresholds, as other tools' documents set them. May import aml_canary.domain.judge.minutes.

Each looks at the canary alone. `failed` is the minute (from 1) in which it gives the canary up, or None. Written anew from:

- Flagger: fluxcd/flagger (commit 15bd6ad), `docs/gitbook/usage/metrics.md` and the canary of its tutorials: request-success-rate at least 99,
  request-duration (p99) at most 500 ms, interval 1m, threshold 5; `pkg/controller/scheduler.go`, `scheduler_metrics.go`: a check that finds no
  value is a failed check; `pkg/metrics/providers/prometheus.go`: not a number is no value.
- Argo Rollouts: argoproj/argo-rollouts (commit 9f8d111), `docs/features/analysis.md`: success condition >= 0.95, failureLimit 3, here every
  minute; `analysis/analysis.go`: it fails when more measurements than the limit failed. With its documented query a minute without requests
  fails too; here it counts as a success (the document's `isNaN(result) ||`), which is kinder to it.
- CloudWatch: an alarm on the share of errors > 1 % over periods of five minutes, 1 of 1, missing data not breaching, as AWS's documents for
  rolling back deployments (CodeDeploy, SageMaker guardrails) have it.
"""

from collections.abc import Sequence

from aml_canary.domain.judge.minutes import Arm, Minute


def flagger_check(arm: Arm | None) -> bool:
    """Is this minute's check passed?"""
    if arm is None or not arm.requests:
        return False
    success = 100 * (arm.requests - arm.errors) / arm.requests
    return success >= 99 and int(arm.percentiles.get(99, 0)) <= 500


def flagger(minutes: Sequence[Minute], threshold: int = 5) -> int | None:
    return _when_too_many([not flagger_check(minute.canary) for minute in minutes], threshold)


def argo_measurement(arm: Arm | None) -> bool:
    """Is this minute's measurement successful?"""
    return arm is None or not arm.requests or (arm.requests - arm.errors) / arm.requests >= 0.95


def argo(minutes: Sequence[Minute], limit: int = 3) -> int | None:
    return _when_too_many([not argo_measurement(minute.canary) for minute in minutes], limit + 1)


def cloudwatch(minutes: Sequence[Minute], period: int = 5, percent: float = 1.0) -> int | None:
    for end in range(period, len(minutes) + 1, period):
        arms = [minute.canary for minute in minutes[end - period : end] if minute.canary is not None]
        requests = sum(arm.requests for arm in arms)
        if requests and 100 * sum(arm.errors for arm in arms) / requests > percent:
            return end
    return None


def _when_too_many(failed: Sequence[bool], limit: int) -> int | None:
    """The minute in which the `limit`th check failed."""
    counted = 0
    for minute, wrong in enumerate(failed, start=1):
        counted += wrong
        if counted >= limit:
            return minute
    return None
