"""What an installation needs in Prefect, made where it is missing and left alone where it is there: pool, channels, watchdog, deployments.

Doing it twice is doing it once. May import `domain`, `errors`, its Prefect neighbours and Prefect's client; it runs `prefect deploy`, which
alone knows how to read the flows.
"""

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Literal, cast
from uuid import UUID

import prefect.blocks.notifications  # noqa: F401 -- Prefect knows its own blocks once they are imported
from prefect.blocks.abstract import NotificationBlock
from prefect.blocks.core import Block
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.events.actions import SendNotification
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.exceptions import ObjectNotFound
from prefect.utilities.dispatch import lookup_type

from aml_canary.domain.starter import POOL
from aml_canary.errors import Permanent
from aml_canary.gateways.prefect_db import prefect_client

WATCHDOG: Final = "aml-canary: the guard does not run"
_GUARD_ENDS: Final = {"prefect.flow-run.Completed", "prefect.flow-run.Failed"}


@dataclass(frozen=True)
class Done:
    """One thing that an installation needs: it was there, it was made or changed, or it would be."""

    what: str
    word: Literal["there", "made", "changed"]


def pool(*, dry: bool) -> Done:
    """The work pool of the rollouts."""
    with prefect_client() as client:
        try:
            client.read_work_pool(POOL)
        except ObjectNotFound:
            if not dry:
                client.create_work_pool(WorkPoolCreate(name=POOL, type="process"))
            return Done(f"work pool {POOL}", "made")
    return Done(f"work pool {POOL}", "there")


def is_there(channel: str) -> bool:
    """Whether there is a block of this name and type. Raises Permanent where Prefect has no such type, or it is none to tell people by."""
    _class_of(channel)
    return _block_id(channel) is not None


def channel(name: str, address: str) -> Done:
    """Make the notification block, such as slack-webhook/ml-oncall, that tells people by this address, which is a secret."""
    kind, short = _class_of(name), name.partition("/")[2]
    values: dict[str, Any] = {"url": address}
    if "json_data" in kind.model_fields:
        values |= {"name": short, "json_data": {"subject": "{{subject}}", "text": "{{body}}"}}
    try:
        made = kind(**values)
    except ValueError:
        # Its text has the address in it.
        raise Permanent(f"Prefect does not take this address for {name}. Check that it is the whole address of a webhook.") from None
    cast("Any", made).save(short)
    return Done(f"channel {name}", "made")


def _class_of(name: str) -> type[NotificationBlock]:
    slug = name.partition("/")[0]
    try:
        kind: Any = lookup_type(Block, slug)
    except KeyError:
        kind = None
    if kind is None or not issubclass(kind, NotificationBlock):
        raise Permanent(f"{slug} is no notification block of Prefect's. Take slack-webhook, ms-teams-webhook, custom-webhook, or another.")
    needed = [field for field, about in kind.model_fields.items() if about.is_required() and field not in ("url", "name")]
    if (needed or "url" not in kind.model_fields) and _block_id(name) is None:
        raise Permanent(f"{name} is not there, and {slug} needs more than an address: make it in the Prefect UI, under Blocks.")
    return cast("type[NotificationBlock]", kind)


def _block_id(name: str) -> UUID | None:
    slug, _, short = name.partition("/")
    with prefect_client() as client:
        try:
            return client.read_block_document_by_name(short, slug, include_secrets=False).id
        except ObjectNotFound:
            return None


def watchdog(channels: tuple[str, ...], *, dry: bool, silence: timedelta = timedelta(minutes=10)) -> list[Done]:
    """The automation that tells people when the guard stops running, once each time. Nothing where nobody is to be told.

    The guard cannot say so itself, and neither can a worker that is not there: this is the server's.
    """
    ids = [one for one in map(_block_id, channels) if one is not None]
    if not ids:
        return [Done(f"automation {WATCHDOG!r}", "made")] if channels and dry else []
    wanted = AutomationCore(
        name=WATCHDOG,
        description="Made by `aml-canary setup`, for the channels in AML_CANARY_NOTIFY.",
        trigger=EventTrigger(
            posture=Posture.Proactive,
            after=_GUARD_ENDS,
            expect=_GUARD_ENDS,
            match_related={"prefect.resource.role": "deployment", "prefect.resource.name": "guard"},
            # Without this it would tell again and again.
            for_each={"related:deployment:prefect.resource.id"},
            threshold=1,
            within=silence,
        ),
        actions=[
            SendNotification(
                block_document_id=block,
                subject="aml-canary: the guard does not run",
                body=f"It has not run for {silence.total_seconds() / 60:g} minutes: nobody judges while people decide, and a cancelled rollout "
                "stays where it is. `aml-canary doctor`, where a worker should run, says why.",
            )
            for block in ids
        ],
    )
    what = f"automation {WATCHDOG!r}"
    with prefect_client() as client:
        found = client.read_automations_by_name(WATCHDOG)
        if not found:
            if not dry:
                client.create_automation(wanted)
            return [Done(what, "made")]
        if _same(found[0], wanted):
            return [Done(what, "there")]
        if not dry:
            client.update_automation(found[0].id, wanted.model_copy(update={"enabled": found[0].enabled}))
    return [Done(what, "changed")]


def _same(one: Any, other: AutomationCore) -> bool:
    """Whether an automation is as wanted; whether somebody has switched it off is theirs."""
    return all(getattr(one, part) == getattr(other, part) for part in ("trigger", "actions", "description"))


def deploy(prefect_yaml: str, *, dry: bool) -> Done:
    """The deployments of a prefect.yaml. Raises Permanent with what `prefect deploy` said."""
    what = "deployments canary, sync, guard, teardown, answer, review"
    if dry:
        return Done(what, "made")
    with tempfile.TemporaryDirectory(prefix="aml-canary-") as folder:
        (Path(folder) / "prefect.yaml").write_text(prefect_yaml)
        done = subprocess.run(
            [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"],
            cwd=folder,
            # A folder `flows` of the repository somebody stands in is not ours.
            env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    if done.returncode:
        raise Permanent(f"prefect deploy failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return Done(what, "made")
