"""GitLab's comments: who wrote which command where, and how one is replied to.

https://docs.gitlab.com/user/project/integrations/webhook_events/#comment-events, https://docs.gitlab.com/api/commits/,
https://docs.gitlab.com/api/notes/, https://docs.gitlab.com/api/merge_requests/. Performs no I/O. May import its siblings `delivery` and
`payload`.
"""

import re
from urllib.parse import quote

from aml_canary.githosts import payload
from aml_canary.githosts.delivery import Comment, HttpRequest, Ignored

# The users behind access tokens of projects and groups, which nothing else tells apart.
_BOT = re.compile(r"(project|group)_[0-9]+_bot.*|ghost|.*\[bot\]")


def comment(said: dict[str, object]) -> Comment | Ignored:
    """What the delivery of a note says."""
    login = payload.text(said, "user.username", payload.LOGIN)
    note = payload.inner(said, "object_attributes")
    # GitLab before 16.11 does not say which; there, only new ones came.
    action = note.get("action", "create")
    if action != "create" or note.get("created_at") != note.get("updated_at"):
        return Ignored(f"A comment of {login} was edited; only a new one answers.")
    line = payload.first_line(payload.text(said, "object_attributes.note"))
    if not line:
        return Ignored(f"The comment of {login} does not begin with /canary.")
    if _BOT.fullmatch(login) or note.get("system") is True:
        return Ignored(f"The comment of {login} was written by a program; only people answer.")
    on, commit, number = payload.text(said, "object_attributes.noteable_type"), "", 0
    commits: tuple[str, ...] = ()
    if on == "Commit":
        commit = payload.commit(said, "object_attributes.commit_id")
    elif on == "MergeRequest":
        number = payload.number(said, "merge_request.iid")
        merged = payload.inner(said, "merge_request").get("merge_commit_sha")
        commits = (payload.commit(said, "merge_request.last_commit.id"), *_merged(said, "merge_request.merge_commit_sha", merged))
    else:
        return Ignored(f"The comment of {login} is on neither a commit nor a merge request.")
    return Comment(
        repository=payload.text(said, "project.path_with_namespace", payload.REPOSITORY),
        login=login,
        text=line,
        at=payload.moment(said, "object_attributes.created_at"),
        id=str(payload.number(said, "object_attributes.id")),
        url=payload.text(said, "object_attributes.url", payload.URL),
        commit=commit,
        number=number,
        commits=commits,
    )


def _merged(said: dict[str, object], path: str, value: object) -> tuple[str, ...]:
    return (payload.commit(said, path),) if value is not None else ()


def reply_request(api: str, token: str, comment: Comment, text: str) -> HttpRequest:
    """Writes a comment on the same commit or merge request."""
    project = f"{api}/projects/{quote(comment.repository, safe='')}"
    if comment.commit:
        return HttpRequest("POST", f"{project}/repository/commits/{comment.commit}/comments", headers_with(token), {"note": text})
    return HttpRequest("POST", f"{project}/merge_requests/{comment.number}/notes", headers_with(token), {"body": text})


def commits_request(api: str, token: str, repository: str, number: int) -> HttpRequest:
    """Asks for a merge request."""
    return HttpRequest("GET", f"{api}/projects/{quote(repository, safe='')}/merge_requests/{number}", headers_with(token))


def commits_of(body: bytes) -> tuple[str, ...]:
    """The merge request's head, and the commits that it was merged as."""
    said = payload.read(body)
    merged = (name for name in ("merge_commit_sha", "squash_commit_sha") if said.get(name) is not None)
    return (payload.commit(said, "sha"), *(payload.commit(said, name) for name in merged))


def headers_with(token: str) -> dict[str, str]:
    """What every request to GitLab's API carries."""
    return {"Authorization": f"Bearer {token}", "Accept": "application/json"}
