"""From what git wants and what is live to the steps that lead there, safely. One pure function.

It holds no progress: asked again in the middle of a rollout, it plans what is left. Invariants (each a property test): create before
shift and shift before delete; weight only to a deployment that is Succeeded and was smoke-invoked; weights total 100 at every moment once
the endpoint is live; what carries traffic is never changed in place; equal means no step. May import `domain` and `errors` only.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from aml_canary.domain.facts import LONGEST, too_long, weights_text
from aml_canary.domain.manifest import Deployment, Rollout, Stage
from aml_canary.domain.observed import Observed, ObservedDeployment, Weights, nonzero
from aml_canary.domain.steps import (
    CreateDeployment,
    CreateEndpoint,
    DeleteDeployment,
    Scale,
    ShiftTraffic,
    SmokeInvoke,
    Step,
)
from aml_canary.errors import PlanRefused


@dataclass(frozen=True)
class Plan:
    """The steps that are left, in order, and remarks on what the plan leaves alone."""

    steps: tuple[Step, ...]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wanted:
    """One desired state, ready to be compared: the stage, how to get there, and what each of its deployments runs.

    `steps` are the canary's percentages on the way to the stage's own traffic.
    """

    stage: Stage
    fingerprints: Mapping[str, str]
    steps: tuple[int, ...]
    retire: bool


def wanted_of(stage: Stage, rollout: Rollout, fingerprints: Mapping[str, str], *, staged: bool) -> Wanted:
    """A stage as the planner wants it. A staged folder is its own list of steps, and each of its files is everything there shall be."""
    steps = () if staged else rollout.steps
    return Wanted(stage, fingerprints, steps, retire=staged or rollout.retire.delete)


def plan(wanted: Wanted, live: Observed, smoked: Iterable[str] = ()) -> Plan:
    """The steps from `live` to `wanted`.

    `smoked` names deployments that have answered their smoke requests as they are now. Raises PlanRefused where no safe way leads there.
    """
    endpoint = wanted.stage.endpoint
    if live.exists:
        _refuse_unusable(live, endpoint.auth_mode)
    final = _final_traffic(wanted, live)
    mirror = _final_mirror(wanted, live, final)
    canary = _canary(final, live)

    steps: list[Step] = [] if live.exists else [CreateEndpoint()]
    made: list[str] = []
    growing: list[Step] = []
    shrinking: list[Step] = []
    for name, deployment in sorted(wanted.stage.deployments.items()):
        there = live.deployments.get(name)
        if there is None:
            made.append(name)
            steps.append(CreateDeployment(name))
            continue
        differences = compare(deployment, wanted.fingerprints[name], there)
        serving = live.carries_traffic(name)
        if serving:
            _refuse_change_in_place(name, differences, there, gains=name == canary)
        if not serving and (differences or not there.healthy):
            made.append(name)
            steps += [DeleteDeployment(name, retire=False), CreateDeployment(name)]
        elif there.fingerprint is not None and deployment.instance_count not in (there.instance_count, there.applied_count):
            step = Scale(name, there.instance_count, deployment.instance_count)
            # Capacity is taken away only after the traffic that used it has gone.
            losing = step.after < step.before and final.get(name, 0) < live.traffic.get(name, 0)
            (shrinking if losing else growing).append(step)

    steps += growing
    unproven = {name for name in final if not live.traffic.get(name)} - set(smoked)
    steps += [SmokeInvoke(name) for name in sorted({*made, *unproven})]
    shifts = _shifts(wanted.steps, live, final, mirror, canary)
    if shifts:
        _refuse_untold(live.name, {*live.traffic, *final})
    steps += shifts
    steps += shrinking
    leaving = [n for n in sorted(live.deployments) if n not in wanted.stage.deployments and not final.get(n) and not mirror.get(n)]
    if wanted.retire:
        steps += [DeleteDeployment(name, retire=True) for name in leaving]
    return Plan(tuple(steps), tuple(_remarks(wanted, live, leaving)))


def compare(deployment: Deployment, fingerprint: str, there: ObservedDeployment) -> tuple[str, ...]:
    """The names of what differs between a wanted deployment and a live one, instance count apart. Empty: they run the same.

    Of a deployment that this project did not create, only what Azure shows by name can be compared; the rest is taken to be the same.
    """
    differs = []
    if there.fingerprint is not None and there.fingerprint != fingerprint:
        differs.append("what it runs (model, code, environment or settings)")
    if there.instance_type.lower() != deployment.instance_type.lower():
        differs.append("instance_type")
    if there.fingerprint is None and isinstance(deployment.model, str) and there.model not in (None, _name_and_version(deployment.model)):
        differs.append("model")
    return tuple(differs)


def _name_and_version(model: str) -> str:
    """`name:version` of any of Azure's spellings of a registered model: short, in a registry, or a whole ARM id."""
    parts = model.removeprefix("azureml:").split("/")
    return f"{parts[-3]}:{parts[-1]}" if len(parts) > 2 else parts[0]


def _final_traffic(wanted: Wanted, live: Observed) -> dict[str, int]:
    asked = wanted.stage.endpoint.traffic
    if asked is None:
        return dict(live.traffic)
    final = nonzero(asked)
    if live.traffic and not final:
        raise PlanRefused(
            f"{wanted.stage.file}: endpoint.traffic would take all live traffic from {live.name}, and its callers would get 404. "
            "Leave traffic out to keep it as it is, or run the teardown flow to delete the endpoint."
        )
    return final


def _final_mirror(wanted: Wanted, live: Observed, final: Weights) -> dict[str, int]:
    endpoint = wanted.stage.endpoint
    if endpoint.traffic is None and not endpoint.mirror_traffic:
        return dict(live.mirror_traffic)
    mirror = nonzero(endpoint.mirror_traffic)
    if not final and mirror != dict(live.mirror_traffic):
        raise PlanRefused(
            f"{wanted.stage.file}: endpoint.mirror_traffic copies live requests, and {live.name} has no live traffic to copy. "
            "Write both traffic and mirror_traffic, or leave both out."
        )
    if both := sorted(set(mirror) & set(final)):
        raise PlanRefused(
            f"{wanted.stage.file}: endpoint.mirror_traffic names {both[0]}, which has live traffic, and Azure mirrors to others only. "
            "Mirror to a deployment without live traffic."
        )
    return mirror


def _canary(final: Weights, live: Observed) -> str:
    if not live.traffic:
        return ""
    gaining = [name for name, weight in final.items() if weight > live.traffic.get(name, 0)]
    if len(gaining) > 1:
        raise PlanRefused(
            f"{live.name}: {' and '.join(gaining)} would all gain live traffic at once "
            f"(live: {weights_text(live.traffic)}, wanted: {weights_text(final)}). "
            "Raise one deployment's weight per commit, so that it is clear which one is the canary."
        )
    return gaining[0] if gaining else ""


def _shifts(percentages: tuple[int, ...], live: Observed, final: Weights, mirror: Weights, canary: str) -> list[Step]:
    if dict(final) == dict(live.traffic) and dict(mirror) == dict(live.mirror_traffic):
        return []
    if not live.traffic:
        # The first release has nobody to be compared with.
        first = max(final, key=lambda name: final[name]) if final else ""
        return [ShiftTraffic(first, final, mirror)] if final or mirror else []
    current = live.traffic.get(canary, 0)
    on_the_way = [p for p in percentages if canary and current < p < final[canary]]
    shifts: list[Step] = [ShiftTraffic(canary, spread(live.traffic, final, canary, p)) for p in on_the_way]
    return [*shifts, ShiftTraffic(canary, final, mirror)]


def spread(traffic: Weights, final: Weights, canary: str, percentage: int) -> dict[str, int]:
    """The weights on the way from `traffic` to `final` where the canary has `percentage`; whole numbers that total 100.

    Each other deployment has given the same part of what it gives altogether, so none falls below its final weight and has to gain again.
    What is left by rounding down is taken from the largest remainders, then by name, so that the same question has one answer.
    """
    rising, risen = final[canary] - traffic.get(canary, 0), percentage - traffic.get(canary, 0)
    others = sorted(name for name in traffic if name != canary)
    given = {name: divmod((traffic[name] - final.get(name, 0)) * risen, rising) for name in others}
    left = risen - sum(whole for whole, _ in given.values())
    by_remainder = sorted(others, key=lambda name: (-given[name][1], name))
    result = {name: traffic[name] - given[name][0] - (1 if name in by_remainder[:left] else 0) for name in others}
    return nonzero({**result, canary: percentage})


def _refuse_unusable(live: Observed, auth_mode: str) -> None:
    if live.state != "Succeeded":
        raise PlanRefused(
            f"Endpoint {live.name} is {live.state} on Azure, so nothing can be rolled out to it. "
            "Look at its provisioning error in Azure, delete it if it never worked, and start again."
        )
    if live.auth_mode.lower() != auth_mode:
        raise PlanRefused(
            f"Endpoint {live.name} has auth_mode {live.auth_mode}, the manifest says {auth_mode}. Changing it would break every caller. "
            f"Write auth_mode: {live.auth_mode}, or give the new way a new endpoint name."
        )


def _refuse_change_in_place(name: str, differences: tuple[str, ...], there: ObservedDeployment, *, gains: bool) -> None:
    if differences:
        raise PlanRefused(
            f"Deployment {name} carries traffic and would be changed in place: {', '.join(differences)}. "
            f"Give the new version another deployment name (for example {_other_name(name)}) and point traffic at that."
        )
    if gains and not there.healthy:
        raise PlanRefused(f"Deployment {name} is {there.state} on Azure and must not get more traffic. Point traffic at a healthy one.")


def _refuse_untold(endpoint: str, names: set[str]) -> None:
    """By the names alone, of all that have traffic on the way: so what was begun is not refused at one of its steps."""
    if too_long(names):
        raise PlanRefused(
            f"{endpoint}: the weights of {len(names)} deployments ({', '.join(sorted(names))}) do not fit into a tag of the endpoint, where a "
            f"rollout keeps the way back: Azure takes {LONGEST} characters. Give traffic to fewer deployments, or give them shorter names."
        )


def _other_name(name: str) -> str:
    return {"blue": "green", "green": "blue"}.get(name, f"{name}-2")


def _remarks(wanted: Wanted, live: Observed, leaving: list[str]) -> Iterable[str]:
    for name in sorted(wanted.stage.deployments):
        there = live.deployments.get(name)
        if there is not None and there.fingerprint is None:
            yield (
                f"{name} was not created by a rollout: its code and files could not be compared and are taken to be the manifest's, "
                f"and its {there.instance_count} instances are left alone."
            )
        elif there is not None and there.applied_count == wanted.stage.deployments[name].instance_count != there.instance_count:
            yield (
                f"{name} has {there.instance_count} instances, the manifest says {there.applied_count} as it did before: "
                "left alone, because an autoscaler may have changed it."
            )
    if leaving and not wanted.retire:
        yield f"{', '.join(leaving)}: not in the manifest, kept because rollout.retire.delete is false."
