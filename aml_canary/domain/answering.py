"""Who may answer at a gate, and which answers count. What is asked there is `approval`'s.

An answer given in Prefect comes with a name that somebody typed: a claim, and recorded as that. One given by a comment on the git host is
verified: the host says whose login wrote it. May import `domain` only.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from aml_canary.domain.manifest import Approvals

Decision = Literal["approve", "reject"]
# GitHub's and GitLab's addresses for people who keep theirs to themselves: a number, and the login.
_NO_REPLY = re.compile(r"[0-9]+[+-](?P<login>[^@]+)@users\.noreply\.[^@]+")
HOW = "comment `/canary approve` or `/canary reject <why>` on the commit or its pull request, on the git host"


@dataclass(frozen=True)
class Answerer:
    """Who answered. Where there is a `host`, it vouches for `name`, a login there, by the comment at `link`; else somebody typed it."""

    name: str
    host: str = ""
    link: str = ""

    @property
    def verified(self) -> bool:
        return bool(self.host)

    def __str__(self) -> str:
        return f"{self.name} (verified by {self.host}: {self.link})" if self.host else f"{self.name} (unverified)"


@dataclass(frozen=True)
class Answer:
    """What somebody answered, and why."""

    decision: Decision
    who: Answerer
    comment: str = ""


@dataclass(frozen=True)
class Rules:
    """Whose answers count: what the manifest says, and under which names the commit's authors and pushers are known."""

    approvals: Approvals
    authors: frozenset[str] = frozenset()


def command_of(line: str) -> tuple[Decision, str] | None:
    """What a line such as `/canary reject too slow` decides, and why; None where it is neither word that we know."""
    words = [*line.split(maxsplit=2), "", ""]
    if words[1].casefold() == "approve":
        return "approve", words[2]
    if words[1].casefold() == "reject":
        return "reject", words[2]
    return None


def objection(rules: Rules, decision: Decision, who: Answerer) -> str:
    """Why this answer does not count, as a sentence; empty where it does.

    No always counts where it is typed: whoever can answer there can also cancel the run, which comes to the same. A comment may be anybody's.
    """
    approvals, name = rules.approvals, _plain(who.name)
    if decision == "reject" and not who.verified:
        return ""
    if approvals.require_verified and not who.verified:
        return f"The name {who.name} was typed, and nothing shows whose it is: rollout.approvals.require_verified. Instead, {HOW}."
    if who.verified and not approvals.approvers:
        return f"rollout.approvals.approvers names nobody, and anybody may be able to comment on {who.host}. Answer in Prefect."
    if approvals.approvers and name not in map(_plain, approvals.approvers):
        return f"{who.name} is none of rollout.approvals.approvers: {', '.join(approvals.approvers)}."
    if decision == "approve" and not approvals.author_may_approve and name in rules.authors:
        return f"{who.name} wrote or pushed this commit, and rollout.approvals.author_may_approve is false."
    return ""


def how_to_answer(approvals: Approvals) -> str:
    """How a question is answered, as a sentence. Where nobody is named as an approver, no comment counts, so none is asked for."""
    return f"Answer with Resume in the Prefect UI, or {HOW}." if approvals.approvers else "Answer with Resume in the Prefect UI."


def names_of(people: Iterable[tuple[str, str]], logins: Iterable[str] = ()) -> frozenset[str]:
    """Every name under which these people, each a name and an e-mail address in git, and these logins may answer.

    The part of an address before the @ counts as a login: better one no too many than an author who approves.
    """
    found = set(logins)
    for name, address in people:
        local = address.partition("@")[0]
        hidden = _NO_REPLY.fullmatch(address)
        found |= {name, address, local, local.partition("+")[0], hidden["login"] if hidden else ""}
    return frozenset(map(_plain, found)) - {""}


def who_may_answer(approvals: Approvals) -> str:
    """Whose answers count, how they are given, and what becomes of a question that nobody answers; in two sentences for forms and plans."""
    people = ", ".join(f"`{login}`" for login in approvals.approvers) or "anybody"
    others = "" if approvals.author_may_approve else ", but not who wrote or pushed the commit"
    way = f": {HOW}; an answer in Prefect does not count" if approvals.require_verified else ""
    late = "goes back" if approvals.on_timeout == "reject" else "stays as it is, and Retry asks again"
    return f"May approve: {people}{others}{way}. Without an answer for {approvals.timeout_hours:g} h, live traffic {late}."


def _plain(name: str) -> str:
    """A name as it is compared: hosts do not tell logins apart by case, and an @ before one is how people write it."""
    return " ".join(name.split()).lstrip("@ ").casefold()
