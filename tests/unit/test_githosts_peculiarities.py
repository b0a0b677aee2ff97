"""What only one host does: where a name stands, what a pull request from a fork is, what letters a name may have."""

import json

import pytest

from aml_canary.githosts import HOSTS
from aml_canary.githosts.delivery import Event, FoundComment, Ignored, PullRequest, Push, Unreadable
from tests.unit.fixtures.webhooks.deliveries import body, headers


def changed(host: str, name: str, *changes: tuple[str, str]) -> tuple[Event, ...]:
    """What a delivery says in which one piece of JSON was put for another."""
    sent = body(host, name).decode()
    for old, new in changes:
        assert old in sent
        sent = sent.replace(old, new)
    return HOSTS[host].parse(headers(host, name), sent.encode())


@pytest.mark.parametrize(
    ("url", "repository"),
    [
        ("https://acme@dev.azure.com/acme/Live%20Models/_git/models", "acme/Live Models/models"),
        ("https://dev.azure.com/acme/_apis/git/repositories/278d5cd2", "acme/Live Models/models"),
        ("https://acme.visualstudio.com/DefaultCollection/_git/models", "acme/Live Models/models"),
        ("https://Acme.VisualStudio.com/Live%20Models/_git/models", "acme/Live Models/models"),
        ("https://tfs.example.test/tfs/DefaultCollection/Live%20Models/_git/models", "DefaultCollection/Live Models/models"),
        ("https://tfs.example.test:8080/My%20Collection/Live%20Models/_git/models", "My Collection/Live Models/models"),
    ],
)
def test_azure_devops_names_the_organization_in_the_address_only(url: str, repository: str) -> None:
    address = "https://acme@dev.azure.com/acme/Live%20Models/_git/models"
    for name in ("push_tag", "push_forced", "pull_request_opened"):
        (event,) = changed("azure-devops", name, (address, url))
        assert isinstance(event, Ignored) or event.repository == repository


@pytest.mark.parametrize(
    "url", ["", "https://dev.azure.com", "https://[", "https://[::1/acme", "x", "https://dev.azure.com/a%2Fb/_git/c", "//"]
)
def test_an_address_without_an_organization_is_unreadable(url: str) -> None:
    with pytest.raises(Unreadable):
        changed(
            "azure-devops",
            "push_forced",
            ("https://acme@dev.azure.com/acme/Live%20Models/_git/models", url),
            ("https://dev.azure.com/acme/_apis/git", url),
        )


def test_azure_devops_without_all_resource_details_is_unreadable_and_says_what_is_missing() -> None:
    sent = json.loads(body("azure-devops", "push"))
    del sent["resource"]["refUpdates"]
    with pytest.raises(Unreadable, match=r"resource\.refUpdates"):
        HOSTS["azure-devops"].parse({}, json.dumps(sent).encode())


@pytest.mark.parametrize(("host", "updates"), [("azure-devops", "refUpdates"), ("bitbucket-dc", "changes"), ("bitbucket", "changes")])
def test_a_push_of_nothing_asks_for_nothing(host: str, updates: str) -> None:
    sent = json.loads(body(host, "push"))
    {"azure-devops": sent.get("resource"), "bitbucket-dc": sent, "bitbucket": sent.get("push")}[host][updates] = []
    assert HOSTS[host].parse(headers(host, "push"), json.dumps(sent).encode()) == (Ignored("The push changed no branch and no tag."),)


def test_bitbucket_cloud_cannot_read_a_forks_commits_from_the_repository() -> None:
    (event,) = changed("bitbucket", "pull_request_from_fork")
    assert event == Ignored("Pull request 7 comes from a fork, whose commits cannot be read from 'acme/models'.")


@pytest.mark.parametrize("state", ["MERGED", "DECLINED", "SUPERSEDED"])
def test_bitbucket_cloud_says_updated_of_a_pull_request_that_is_not_open(state: str) -> None:
    (event,) = changed("bitbucket", "pull_request_updated", ('"state":"OPEN"', f'"state":"{state}"'))
    assert event == Ignored("Pull request 7 is not open.")


def test_bitbucket_data_centers_personal_projects_are_repositories_too() -> None:
    (event,) = changed("bitbucket-dc", "push_forced", ('"key":"LIVE"', '"key":"~ADA"'))
    assert isinstance(event, Push)
    assert event.repository == "~ADA/models"


def test_a_project_key_with_a_slash_is_no_other_repository() -> None:
    with pytest.raises(Unreadable):
        changed("bitbucket-dc", "push_forced", ('"key":"LIVE"', '"key":"LIVE/models"'))


def test_what_else_happened_to_a_pull_request_is_no_comment() -> None:
    rest = {"action": "RESCOPED", "comment": {"id": 1, "version": 0, "text": "marker"}}
    answer = json.dumps({"values": [rest], "isLastPage": True}).encode()
    assert HOSTS["bitbucket-dc"].find_comment(answer, "marker") == FoundComment(None, False)


def test_gitea_may_call_new_commits_an_event_of_their_own() -> None:
    for header in ("x-gitea-event", "x-forgejo-event"):
        (event,) = HOSTS["gitea"].parse({header: "pull_request_sync"}, body("gitea", "pull_request_updated"))
        assert isinstance(event, PullRequest)


@pytest.mark.parametrize("name", ["\\ud800", "a b", "a\\u0000", "a~1", "a^", "a:b", "a?", "a*", "a[", "a\\\\b", "\\u007f", ""])
def test_what_git_would_not_have_as_a_branch_is_unreadable(name: str) -> None:
    with pytest.raises(Unreadable):
        changed("github", "push_forced", ('"refs/heads/main"', f'"refs/heads/{name}"'))
    with pytest.raises(Unreadable):
        changed("gitea", "pull_request_opened", ('"ref":"main"', f'"ref":"{name}"'))


def test_names_to_show_are_short_and_can_be_written_anywhere() -> None:
    (event,) = changed("gitlab", "push_forced", ('"user_username":"ada"', '"user_username":"\\ud800' + "x" * 300 + '"'))
    assert isinstance(event, Push)
    assert event.pusher == "?" + "x" * 199


@pytest.mark.parametrize("number", ["0", "-1", "true", "7.0", '"7"', "9" * 20, "null"])
def test_what_is_no_number_of_a_pull_request_is_unreadable(number: str) -> None:
    with pytest.raises(Unreadable):
        changed("github", "pull_request_opened", ('"number":7,"pull_request"', f'"number":{number},"pull_request"'))
