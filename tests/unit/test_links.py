"""The page of a commit, on every git host there is a module for, however git is told to read the repository."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aml_canary.domain.links import commit_url

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("repository", "page"),
    [
        ("https://github.com/acme/models.git", "https://github.com/acme/models/commit/"),
        ("https://x:token@github.com/acme/models", "https://github.com/acme/models/commit/"),
        ("git@github.com:acme/models.git", "https://github.com/acme/models/commit/"),
        ("ssh://git@GitHub.com:22/acme/models.git", "https://github.com/acme/models/commit/"),
        ("https://gitlab.com/acme/ml/models.git", "https://gitlab.com/acme/ml/models/-/commit/"),
        ("git@gitlab.acme.example:ml/models.git", "https://gitlab.acme.example/ml/models/-/commit/"),
        ("https://bitbucket.org/acme/models.git", "https://bitbucket.org/acme/models/commits/"),
        ("https://bitbucket.acme.example/scm/ml/models.git", "https://bitbucket.acme.example/projects/ml/repos/models/commits/"),
        ("ssh://git@bitbucket.acme.example:7999/ml/models.git", "https://bitbucket.acme.example/projects/ml/repos/models/commits/"),
        ("https://dev.azure.com/acme/ML%20Team/_git/models", "https://dev.azure.com/acme/ML%20Team/_git/models/commit/"),
        ("https://acme@dev.azure.com/acme/ml/_git/models", "https://dev.azure.com/acme/ml/_git/models/commit/"),
        ("git@ssh.dev.azure.com:v3/acme/ml/models", "https://dev.azure.com/acme/ml/_git/models/commit/"),
        ("https://acme.visualstudio.com/ml/_git/models", "https://acme.visualstudio.com/ml/_git/models/commit/"),
        ("https://codeberg.org/acme/models.git", "https://codeberg.org/acme/models/commit/"),
        ("https://gitea.acme.example:3000/acme/models.git", "https://gitea.acme.example:3000/acme/models/commit/"),
    ],
)
def test_the_host_is_known_by_its_address(repository, page):
    assert commit_url(repository, COMMIT) == page + COMMIT


@pytest.mark.parametrize(
    ("kind", "page"),
    [
        ("github", "https://git.acme.example/ml/models/commit/"),
        ("gitlab", "https://git.acme.example/ml/models/-/commit/"),
        ("gitea", "https://git.acme.example/ml/models/commit/"),
        ("forgejo", "https://git.acme.example/ml/models/commit/"),
        ("bitbucket-dc", "https://git.acme.example/projects/ml/repos/models/commits/"),
    ],
)
def test_a_host_of_one_s_own_is_known_by_the_settings(kind, page):
    assert commit_url("https://git.acme.example/ml/models.git", COMMIT, kind) == page + COMMIT
    assert commit_url("https://git.acme.example/ml/models.git", COMMIT) == ""


@pytest.mark.parametrize("repository", ["/srv/git/models.git", "file:///srv/git/models.git", "models", "", "https://github.com/acme"])
def test_where_no_host_is_known_there_is_no_link(repository):
    assert commit_url(repository, COMMIT) == ""


def test_half_a_password_is_never_shown():
    assert commit_url("https://user:pass/word@github.com/acme/models", COMMIT, "github") == ""


@given(st.text(), st.text(), st.sampled_from(["", "github", "gitlab", "bitbucket", "bitbucket-dc", "azure-devops", "gitea"]))
def test_a_link_cannot_end_the_markdown_it_stands_in_nor_lead_away_from_the_host(owner, name, kind):
    for repository in (f"https://github.com/{owner}/{name}", f"https://u:{owner}@github.com/acme/{name}", f"git@github.com:{owner}/{name}"):
        url = commit_url(repository, COMMIT, kind)
        assert not url or url.startswith("https://github.com/") or "github.com" not in url
        assert not set(url) & set(' ()<>[]`"\n\r\t|\\')
    assert commit_url("https://github.com/acme/models", f"{name})", kind) == "", "no commit"
