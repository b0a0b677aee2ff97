"""Whether a rollout that somebody starts by hand begins where they say. It says no or nothing; where it begins, the planner decides.

May import `domain` and the standard library only.
"""

from difflib import get_close_matches

from aml_canary.domain.order import Left
from aml_canary.domain.steps import SmokeInvoke, label


def refusal(start_from: str, endpoint: str, left: Left) -> str:
    """Why the rollout does not begin at the step, or in the stage, of this name; empty where it does.

    Smoke requests come before anything else in each new run, because evidence is a run's own; so a step right after them is the next one too.
    """
    labels = [label(step) for step in left.plan.steps]
    if not labels:
        return f"No step of {endpoint} is left: it is as the manifest says. Leave start_from out."
    changing = [label(step) for step in left.plan.steps if not isinstance(step, SmokeInvoke)]
    if start_from in (left.wanted.stage.name, labels[0], *changing[:1]):
        return ""
    way_out = f"Start from {(changing or labels)[0]}, or leave start_from out: a rollout finds its place by itself."
    if start_from in labels:
        between = labels[: labels.index(start_from)]
        return f"{start_from} is not the next step of {endpoint}: {', '.join(between)} is still to be done before. {way_out}"
    close = get_close_matches(start_from, labels, 1)
    meant = f" Did you mean {close[0]}?" if close else ""
    return f"{start_from} is no step that is left of {endpoint}: {', '.join(labels)}.{meant} {way_out}"
