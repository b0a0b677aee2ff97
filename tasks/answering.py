"""Answers that come as comments from the git host: whose they are, which questions they answer, and what is said back.

An answer of this kind is the comment itself, as the door sealed it (`githosts.seal`), kept with the rollout under the key of the one
question that it answers. Whether it counts is looked at twice by the same rules: here, to say so, and at the gate.
May import prefect, `aml_canary.domain`, `aml_canary.errors`, `aml_canary.gateways`, `aml_canary.githosts`, `aml_canary.settings` and the
other tasks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from prefect.logging import get_run_logger
from prefect.runtime import flow_run

from aml_canary.domain.answering import Answer, Answerer, Rules, command_of, names_of, objection
from aml_canary.domain.order import Order
from aml_canary.errors import AmlCanaryError, Permanent
from aml_canary.gateways import githost, prefect_answers, prefect_db, prefect_history
from aml_canary.gateways.git import mirror_of
from aml_canary.gateways.prefect_answers import Question
from aml_canary.githosts.delivery import Comment
from aml_canary.githosts.seal import is_sealed
from aml_canary.settings import settings
from tasks.reading import read_order
from tasks.retry import retried

_VERIFIED = "verified-"
_WORDS = "I know `/canary approve` and `/canary reject <why>`, on the first line of a new comment."


@dataclass(frozen=True)
class Heard:
    """A comment that the door has heard, and what it says; no answer where it says neither of the words that we know."""

    host: str
    repository: str
    comment: Comment
    answer: Answer | None
    seal: str

    @property
    def note(self) -> dict[str, Any]:
        """What is kept of it with a rollout."""
        return {"host": self.host, "repository": self.repository, "comment": asdict(self.comment), "seal": self.seal}


def hear(host: str, repository: str, comment: Mapping[str, Any], seal: str) -> Heard:
    """The comment, where our door vouches for it. Raises Permanent: whoever may start runs in Prefect could have made it up."""
    secrets = [secret.get_secret_value() for secret in settings().webhook_secrets]
    said = {"host": host, "repository": repository, "comment": dict(comment)}
    if not is_sealed(said, seal, secrets):
        known = (
            "is by none of AML_CANARY_WEBHOOK_SECRETS" if secrets else "cannot be checked: this worker has no AML_CANARY_WEBHOOK_SECRETS"
        )
        raise Permanent(f"Nothing shows that a git host sent this comment: its seal {known}. Give workers and door the same secrets.")
    heard = Comment(**{**comment, "commits": tuple(comment["commits"])})
    decided = command_of(heard.text)
    given = None if decided is None else Answer(decided[0], Answerer(heard.login, host, heard.url), decided[1])
    return Heard(host, repository, heard, given, seal)


def rules_for(order: Order) -> Rules:
    """Whose answers count for this order."""
    approvals = order.manifest.rollout.approvals
    return Rules(approvals, frozenset() if approvals.author_may_approve else authors_of(order))


@retried("read-authors")
def authors_of(order: Order) -> frozenset[str]:
    """Under which names those are known who wrote or pushed the order's commit."""
    pushers = prefect_history.pushers_of(order.repository, order.commit)
    return names_of(mirror_of(order.repository).authors(order.commit), pushers)


@retried("find-questions")
def asked_on(heard: Heard) -> tuple[Question, ...]:
    """The questions of the rollouts whose commit the comment is about: it is on that commit, or on the pull request that brought it."""
    url = settings().repositories.get(heard.repository)
    ours = [question for question in prefect_answers.questions() if question.repository in (heard.repository, url)]
    if heard.answer is None or not ours:
        return ()
    meant = _commits(heard)
    mirror = mirror_of(heard.repository)
    return tuple(question for question in ours if question.commit in meant or meant & mirror.brought_by(question.commit))


def _commits(heard: Heard) -> frozenset[str]:
    if heard.comment.commit:
        return frozenset({heard.comment.commit})
    if there := githost.connection(heard.repository):
        return frozenset({*heard.comment.commits, *there.commits_of(heard.comment.number)})
    if heard.comment.commits:
        return frozenset(heard.comment.commits)
    # Without a token nobody tells what a pull request was merged as; a merge of its head shows that by itself.
    return frozenset({mirror_of(heard.repository).fetch(f"refs/pull/{heard.comment.number}/head")})


def answer_all(heard: Heard) -> list[tuple[bool, str]]:
    """Answer every question that the comment is about: whether it counts, and a sentence on what came of it. One's trouble is not another's."""
    results = []
    for question in asked_on(heard):
        try:
            results.append(answer_with(heard, question))
        except AmlCanaryError as error:
            results.append((False, f"`{question.name}`, `{question.gate}`: this could not be answered. {error}"))
    return results


@retried(lambda parameters: f"answer-{parameters['question'].gate}")
def answer_with(heard: Heard, question: Question) -> tuple[bool, str]:
    """Answer one question with a comment; whether it counts, and a sentence on what came of it. A comment answers one question, once."""
    name = f"`{question.name}`, `{question.gate}`:"
    if heard.answer is None:
        return False, _WORDS
    asked = next((note for note in prefect_db.all_kept(question.run, "asked-") if note["key"] == question.key), None)
    if asked is None or not before(asked, heard.comment):
        return False, f"{name} this was asked after your comment was written. Comment again to answer it."
    order = read_order.fn(question.repository, question.commit, question.manifest)
    if why := objection(rules_for(order), heard.answer.decision, heard.answer.who):
        return False, f"{name} your answer does not count. {why}"
    kept = prefect_db.all_kept(question.run, _VERIFIED)
    if any(_id(note) == _id(heard.note) and note["key"] != question.key for note in kept):
        return False, f"{name} your comment has answered an earlier question already. Comment again to answer this one."
    prefect_db.keep(question.run, _VERIFIED + question.key, {**heard.note, "key": question.key})
    first = prefect_db.kept(question.run, _VERIFIED + question.key)
    if _id(first) != _id(heard.note):
        return False, f"{name} {first['comment']['login']} has answered this already."
    who, comment = f"{heard.comment.login} on {heard.host}", heard.answer.comment or None
    try:
        prefect_answers.answer(question, heard.answer.decision, who, comment)
    except Permanent as late:
        return False, f"{name} it does not wait any more. {late}"
    told = "is approved and goes on" if heard.answer.decision == "approve" else "is rejected, and live traffic goes back"
    return True, f"{name} {told}, as {heard.comment.login} says."


def before(asked: Mapping[str, Any], comment: Comment) -> bool:
    """Whether the question was asked before the comment was written; by two clocks, and hosts tell whole seconds."""
    return float(asked.get("at", "inf")) < comment.at


def verified_answers(run: str) -> dict[str, tuple[Comment, Answer]]:
    """The comments kept with a run by the key of the question that they answer: sealed by our door, each for one question only."""
    notes = prefect_db.all_kept(run, _VERIFIED)
    found = {}
    for note in notes:
        try:
            heard = hear(note["host"], note["repository"], note["comment"], note["seal"])
        except (Permanent, KeyError, TypeError) as forged:
            get_run_logger().warning("An answer kept with this run is not taken for verified: %s", forged)
            continue
        if heard.answer is not None and sum(_id(note) == _id(other) for other in notes) == 1:
            found[str(note["key"])] = (heard.comment, heard.answer)
    return found


def _id(note: Mapping[str, Any]) -> tuple[Any, ...]:
    said = note["comment"]
    return note["host"], note["repository"], said["commit"] or said["number"], said["id"]


def reply(heard: Heard, results: Sequence[str]) -> str:
    """Say what came of the comment where it stands, once; and in one text here."""
    nothing = _WORDS if heard.answer is None else "No rollout of this commit waits for an answer."
    told = "\n".join(results) or nothing
    try:
        if not write_reply(heard, "\n\n".join([f"@{heard.comment.login}", *(results or [nothing])])):
            told += f"\nNothing was written on the git host: AML_CANARY_GIT_HOSTS has no token for {heard.repository}."
    except AmlCanaryError as error:
        # The answer is given; that nobody hears of it is no reason to fail.
        told += f"\nThis could not be written on the git host. {error}"
    get_run_logger().info("%s", told)
    return told


@retried("reply")
def write_reply(heard: Heard, text: str) -> bool:
    """Write a comment; False where the settings name no host and token. A Retry of this run writes none twice."""
    run = str(flow_run.id)
    there = githost.connection(heard.repository)
    if there is None or prefect_db.kept(run, "replied") is not None:
        return there is not None
    done = there.reply(heard.comment, text)
    prefect_db.keep(run, "replied", True)
    return done
