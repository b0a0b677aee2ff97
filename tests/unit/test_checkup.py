"""What the facts of an installation amount to, and that one look's trouble is no other's."""

import pytest

from aml_canary.domain.checkup import (
    NEEDED_ACTIONS,
    Check,
    Permission,
    clock_check,
    heartbeat_check,
    permissions_check,
    python_check,
    same_version_check,
    secrets_check,
    versions_check,
)
from aml_canary.errors import Permanent
from aml_canary.gateways.checkup import checks
from aml_canary.gateways.githost import repository_request
from aml_canary.githosts import HOSTS

ML = "Microsoft.MachineLearningServices/workspaces"
# As Microsoft documents the role AzureML Data Scientist.
DATA_SCIENTIST = Permission(
    (f"{ML}/*/read", f"{ML}/*/action", f"{ML}/*/delete", f"{ML}/*/write"),
    (f"{ML}/delete", f"{ML}/write", f"{ML}/computes/*/write", f"{ML}/computes/*/delete"),
)


@pytest.mark.parametrize(
    ("check", "result"),
    [
        (python_check((3, 11)), "ok"),
        (python_check((3, 13)), "ok"),
        (python_check((3, 10)), "failed"),
        (python_check((3, 14)), "failed"),
        (versions_check([], 12), "ok"),
        (versions_check(["sqlalchemy is 2.1.0, supported is <2.1"], 12), "failed"),
        (same_version_check("3.8.8", "3.8.8"), "ok"),
        (same_version_check("3.8.9", "3.8.8"), "warning"),
        (same_version_check("3.9.1", "3.8.8"), "failed"),
        (heartbeat_check(180, 600), "ok"),
        (heartbeat_check(200, 600), "failed"),
        (heartbeat_check(None, 600), "warning"),
        (secrets_check([32]), "ok"),
        (secrets_check([32, 15]), "failed"),
        (secrets_check([]), "warning"),
        (clock_check("azure", 4.9), "ok"),
        (clock_check("azure", -6), "warning"),
        (clock_check("azure", 61), "failed"),
    ],
)
def test_what_is_not_fine_says_what_to_do(check, result):
    assert check.result == result
    assert bool(check.remedy) == (result != "ok")


def test_a_clock_says_which_way_it_is_wrong():
    assert clock_check("prefect", -90).told == "this clock is 90 s behind"


def test_a_role_that_is_enough_is_enough():
    assert permissions_check([Permission(("*",))]).result == "ok"
    assert permissions_check([Permission((f"{ML}/read",)), DATA_SCIENTIST]).result == "ok"


def test_what_no_role_grants_is_named():
    reader = Permission(("*/read",))
    found = permissions_check([reader])
    assert found.result == "failed"
    assert found.told.startswith("not granted: onlineEndpoints/write, onlineEndpoints/delete, onlineEndpoints/deployments/write")
    without = Permission(("*",), (f"{ML}/onlineEndpoints/write".upper(),))
    assert permissions_check([without]).told == "not granted: onlineEndpoints/write"
    assert permissions_check([without, Permission((f"{ML}/onlineEndpoints/*",))]).result == "ok", "one role's exception is no other's"
    assert len(NEEDED_ACTIONS) == 7


def test_what_one_look_fails_of_holds_up_no_other():
    def refused():
        yield Check("one", "ok", "seen")
        raise Permanent("No workspace.\nSet it.")

    def broken():
        raise KeyError("surprise")

    found = list(checks([("azure", refused), ("git", broken), ("last", lambda: [Check("last", "ok", "seen")])]))
    assert [(check.about, check.result) for check in found] == [("one", "ok"), ("azure", "failed"), ("git", "failed"), ("last", "ok")]
    assert found[1].told == "No workspace. Set it."
    assert found[2].told == "KeyError: 'surprise'"


@pytest.mark.parametrize(
    ("host", "repository", "url"),
    [
        ("github", "acme/models", "https://git.test/repos/acme/models"),
        ("gitlab", "acme/ml/models", "https://git.test/projects/acme%2Fml%2Fmodels"),
        ("azure-devops", "acme/Live/models", "https://git.test/acme/Live/_apis/git/repositories/models?api-version=7.1"),
        ("bitbucket", "acme/models", "https://git.test/repositories/acme/models"),
        ("bitbucket-dc", "LIVE/models", "https://git.test/projects/LIVE/repos/models"),
        ("gitea", "acme/models", "https://git.test/repos/acme/models"),
        ("forgejo", "acme/models", "https://git.test/repos/acme/models"),
    ],
)
def test_a_git_host_is_asked_for_the_repository_itself(host, repository, url):
    asked = repository_request(HOSTS[host].comments_request("https://git.test", "t", repository, 1, 1))
    assert (asked.method, asked.url, asked.json) == ("GET", url, None)
    assert asked.headers["Authorization"]
