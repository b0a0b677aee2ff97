"""Whose answers count: what the manifest says of approvers, authors and proof, and who that leaves."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aml_canary.domain.answering import Answerer, Rules, how_to_answer, names_of, objection, who_may_answer
from aml_canary.domain.manifest import Approvals
from aml_canary.domain.manifest_reader import read_manifest
from aml_canary.domain.tree import MemoryTree

often = settings(max_examples=100, deadline=None)

TYPED, VERIFIED = Answerer("ada"), Answerer("ada", "github", "https://git.example/1")
ADA_ONLY = Approvals(approvers=("ada",))
PROVEN = Approvals(approvers=("ada",), require_verified=True)
NO_AUTHORS = Approvals(author_may_approve=False)


def says(approvals: Approvals, who: Answerer, decision="approve", authors=()):
    return objection(Rules(approvals, names_of(authors)), decision, who)


@pytest.mark.parametrize(
    ("approvals", "who", "reason"),
    [
        (PROVEN, TYPED, "The name ada was typed"),
        (PROVEN, Answerer("eve", "github", "x"), "eve is none of rollout.approvals.approvers: ada."),
        (ADA_ONLY, Answerer("eve"), "eve is none of rollout.approvals.approvers: ada."),
        (ADA_ONLY, Answerer("ad a"), "is none of"),
        (Approvals(), VERIFIED, "rollout.approvals.approvers names nobody, and anybody may be able to comment on github."),
    ],
)
def test_an_approval_that_does_not_count_says_why(approvals, who, reason):
    assert reason in says(approvals, who)


def test_a_typed_name_that_is_no_proof_is_told_how_to_answer_instead():
    assert "comment `/canary approve`" in says(PROVEN, TYPED)


@pytest.mark.parametrize(
    ("approvals", "who"),
    [
        (Approvals(), TYPED),
        (ADA_ONLY, TYPED),
        (ADA_ONLY, Answerer(" @ADA ")),
        (ADA_ONLY, VERIFIED),
        (PROVEN, VERIFIED),
        (PROVEN, Answerer("Ada", "gitlab", "x")),
    ],
)
def test_an_approval_by_somebody_who_may_counts(approvals, who):
    assert says(approvals, who) == ""


@pytest.mark.parametrize("approvals", [Approvals(), ADA_ONLY, PROVEN, NO_AUTHORS])
def test_a_typed_no_always_counts_because_cancel_comes_to_the_same(approvals):
    assert says(approvals, Answerer("eve"), "reject", [("eve", "eve@x")]) == ""


def test_a_no_in_a_comment_counts_from_approvers_only():
    assert "is none of" in says(PROVEN, Answerer("eve", "github", "x"), "reject")
    assert "names nobody" in says(Approvals(), Answerer("eve", "github", "x"), "reject")
    own = PROVEN.model_copy(update={"author_may_approve": False})
    assert says(own, VERIFIED, "reject", [("Ada", "ada@x")]) == ""
    assert "wrote or pushed" in says(own, VERIFIED, "approve", [("Ada", "ada@x")])


@pytest.mark.parametrize(
    "author",
    [
        ("Ada", "someone@x"),
        ("ADA", ""),
        ("x", "ada@example.com"),
        ("x", "ada+git@example.com"),
        ("x", "12345+ada@users.noreply.github.com"),
        ("x", "12345-ada@users.noreply.gitlab.com"),
    ],
)
@pytest.mark.parametrize("who", [TYPED, VERIFIED], ids=["typed", "verified"])
def test_an_author_is_known_by_name_address_and_login(author, who):
    approvals = Approvals(approvers=("ada", "grace"), author_may_approve=False)
    assert "ada wrote or pushed this commit" in says(approvals, who, authors=[author])
    assert says(approvals.model_copy(update={"author_may_approve": True}), who, authors=[author]) == ""
    assert says(approvals, Answerer("grace"), authors=[author]) == ""


def test_who_pushed_is_an_author_too():
    assert "wrote or pushed" in objection(Rules(NO_AUTHORS, names_of([], ["ada"])), "approve", TYPED)


@often
@given(st.text(), st.text())
def test_nobody_who_wrote_it_may_approve_under_the_name_git_has(name, address):
    rules = Rules(NO_AUTHORS, names_of([(name, address)]))
    for said in (name, f" @{name}", f"{name} ", address):
        assert not said.strip("@ \n").split() or "wrote or pushed" in objection(rules, "approve", Answerer(said))


@pytest.mark.parametrize(
    ("approvals", "told"),
    [
        (Approvals(), "May approve: anybody. Without an answer for 168 h, live traffic goes back."),
        (
            Approvals(approvers=("ada", "grace"), author_may_approve=False, timeout_hours=1.5, on_timeout="hold"),
            "May approve: `ada`, `grace`, but not who wrote or pushed the commit. "
            "Without an answer for 1.5 h, live traffic stays as it is, and Retry asks again.",
        ),
        (
            PROVEN,
            "May approve: `ada`: comment `/canary approve` or `/canary reject <why>` on the commit or its pull request, on the git host; "
            "an answer in Prefect does not count. Without an answer for 168 h, live traffic goes back.",
        ),
    ],
)
def test_who_may_answer_is_one_line_for_people(approvals, told):
    assert who_may_answer(approvals) == told


@pytest.mark.parametrize("approvals", [Approvals(), Approvals(approvers=("ada",))])
def test_a_comment_is_asked_for_only_where_it_can_count(approvals):
    comments_count = not objection(Rules(approvals), "approve", Answerer("ada", "github", "https://example.com"))
    assert ("/canary approve" in how_to_answer(approvals)) is comments_count


ROLLOUT = """\
smoke: {requests: [{name: a, file: sample.json}]}
approvals:
  before: [full]
  approvers: [ada, grace.h]
  author_may_approve: false
  require_verified: true
  timeout_hours: 12
  on_timeout: hold
"""
WANTED = Approvals(
    before=("full",), approvers=("ada", "grace.h"), author_may_approve=False, require_verified=True, timeout_hours=12, on_timeout="hold"
)
ENDPOINT = "name: churn\nauth_mode: key\n"
DEPLOYMENT = "name: blue\nendpoint_name: churn\nmodel: azureml:m:1\ninstance_type: Standard_F2s_v2\ninstance_count: 1\n"
LEGACY = """\
$schema: http://azureml/sdk-2-0/OnlineEndpoint.json
name: churn
type: online
traffic: {blue: 100}
deployments:
  blue:
    model: azureml:m:1
    sku: Standard_F2s_v2
    scale: {scale_type: manual, instance_count: 1}
"""
FORMS = {
    "target": (
        "canary.yml",
        {
            "canary.yml": "endpoint: {name: churn, traffic: {blue: 100}}\n"
            "deployments: {blue: {model: 'azureml:m:1', instance_type: Standard_F2s_v2}}\n"
            "rollout:\n" + "".join(f"  {line}\n" for line in ROLLOUT.splitlines()),
            "sample.json": "{}",
        },
    ),
    "split": (
        "churn",
        {
            "churn/endpoint.yml": ENDPOINT,
            "churn/blue-deployment.yml": DEPLOYMENT,
            "churn/rollout.yml": ROLLOUT,
            "churn/sample.json": "{}",
        },
    ),
    "legacy": ("gitops", {"gitops/managed-1-create.yaml": LEGACY, "gitops/rollout.yml": ROLLOUT, "gitops/sample.json": "{}"}),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_manifest_says_who_may_answer(form):
    path, files = FORMS[form]
    reading = read_manifest(MemoryTree({name: text.encode() for name, text in files.items()}), path)
    assert reading.manifest is not None, reading.findings
    assert reading.manifest.rollout.approvals == WANTED
