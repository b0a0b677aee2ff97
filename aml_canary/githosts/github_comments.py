"""GitHub's comments: who wrote which command where, and how one is replied to.

https://docs.github.com/en/webhooks/webhook-events-and-payloads#issue_comment, #commit_comment,
https://docs.github.com/en/rest/commits/comments, https://docs.github.com/en/rest/pulls/pulls. Performs no I/O. May import its siblings
`delivery` and `payload`.
"""

from aml_canary.githosts import payload
from aml_canary.githosts.delivery import Comment, HttpRequest, Ignored


def comment(event: str, said: dict[str, object]) -> Comment | Ignored:
    """What the delivery of an `issue_comment` or `commit_comment` says."""
    action, login = payload.text(said, "action"), payload.text(said, "comment.user.login", payload.LOGIN)
    if action != "created":
        return Ignored(f"A comment of {login} was {action[:50]}; only a new one answers.")
    line = payload.first_line(payload.text(said, "comment.body"))
    if not line:
        return Ignored(f"The comment of {login} does not begin with /canary.")
    written_by_app = payload.inner(said, "comment").get("performed_via_github_app") is not None
    if payload.text(said, "comment.user.type") != "User" or written_by_app:
        return Ignored(f"The comment of {login} was written by a program; only people answer.")
    commit, number = "", 0
    if event == "commit_comment":
        commit = payload.commit(said, "comment.commit_id")
    elif "pull_request" in payload.inner(said, "issue"):
        number = payload.number(said, "issue.number")
    else:
        return Ignored(f"The comment of {login} is on an issue; only those on commits and pull requests answer.")
    return Comment(
        repository=payload.text(said, "repository.full_name", payload.REPOSITORY),
        login=login,
        text=line,
        at=payload.moment(said, "comment.created_at"),
        id=str(payload.number(said, "comment.id")),
        url=payload.text(said, "comment.html_url", payload.URL),
        commit=commit,
        number=number,
    )


def reply_request(api: str, token: str, comment: Comment, text: str) -> HttpRequest:
    """Writes a comment on the same commit or pull request."""
    where = f"commits/{comment.commit}" if comment.commit else f"issues/{comment.number}"
    return HttpRequest("POST", f"{api}/repos/{comment.repository}/{where}/comments", headers_with(token), {"body": text})


def commits_request(api: str, token: str, repository: str, number: int) -> HttpRequest:
    """Asks for a pull request."""
    return HttpRequest("GET", f"{api}/repos/{repository}/pulls/{number}", headers_with(token))


def commits_of(body: bytes) -> tuple[str, ...]:
    """The pull request's head, and the commit that it was merged as; until then GitHub has a trial merge there, which is on no branch."""
    said = payload.read(body)
    head = payload.commit(said, "head.sha")
    return (head, payload.commit(said, "merge_commit_sha")) if said.get("merged") is True else (head,)


def headers_with(token: str) -> dict[str, str]:
    """What every request to GitHub's API carries."""
    return {"Authorization": f"Bearer {token}", "Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
