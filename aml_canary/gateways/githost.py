"""A repository's git host over HTTP: a status for a commit, one comment for a pull request, a reply to a comment.

What is sent and how an answer is read, the host's module says (`aml_canary.githosts`). Whether a refusal is worth another try is decided
here. The token never leaves the request's headers: it is in no error and no log. May import requests, `githosts`, `settings` and `errors`.
"""

import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import requests

from aml_canary.errors import AmlCanaryError, Permanent, Transient
from aml_canary.githosts import COMMENTED, HOSTS
from aml_canary.githosts.delivery import Comment, Commented, GitHost, HttpRequest, State, Status, Unreadable
from aml_canary.settings import settings

CONNECT_SECONDS = 5.0
READ_SECONDS = 15.0
BODY_BYTES = 16 * 1024 * 1024
# A pull request with more comments than on so many pages gets a new one.
PAGES = 30

_CHUNK = 64 * 1024
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
_WHAT_TO_CHECK = {
    401: "The token in AML_CANARY_GIT_HOSTS is not, or no longer, valid.",
    403: "The token in AML_CANARY_GIT_HOSTS may not do this: it has to write commit statuses and comments of pull requests.",
    404: "Check the repository's name and `api` in AML_CANARY_GIT_HOSTS, and that the token may see the repository.",
    410: "Check that the repository has pull requests, and comments on them, switched on.",
}


@dataclass(frozen=True)
class Connection:
    """The host of one repository, and the way in. `repository` is the host's name for it, `longest_comment` in characters."""

    host: GitHost = field(repr=False)
    api: str
    token: str = field(repr=False)
    repository: str
    longest_comment: int = 60_000
    commented: Commented | None = field(default=None, repr=False)

    def set_status(self, commit: str, state: State, description: str, url: str, context: str) -> None:
        """Have the commit show this status. Raises Transient or Permanent."""
        status = Status(self.repository, commit, state, description, url, context)
        self._send(self.host.status_request(self.api, self.token, status))

    def write_comment(self, number: int, text: str, marker: str) -> bool:
        """Write the one comment of a pull request that has the marker as a line: edit it where it is, otherwise add it.

        Returns whether it was added. Raises Transient or Permanent.
        """
        existing = self._comment(number, marker)
        self._send(self.host.comment_request(self.api, self.token, self.repository, number, text, existing))
        return existing is None

    def look(self) -> None:
        """See whether the host takes the token and has the repository: its description is read. Raises Transient or Permanent."""
        self._send(repository_request(self.host.comments_request(self.api, self.token, self.repository, 1, 1)))

    def reply(self, comment: Comment, text: str) -> bool:
        """Write a comment where this one stands; False where that is not done on this host. Raises Transient or Permanent."""
        if self.commented is None:
            return False
        self._send(self.commented.reply_request(self.api, self.token, comment, text))
        return True

    def commits_of(self, number: int) -> tuple[str, ...]:
        """The head of a pull request, and what it was merged as, if it was. Raises Transient or Permanent."""
        if self.commented is None:
            return ()
        try:
            return self.commented.commits_of(self._send(self.commented.commits_request(self.api, self.token, self.repository, number)))
        except Unreadable as strange:
            raise Permanent(f"The git host's answer about pull request {number} is not as it documents: {strange}") from strange

    def _comment(self, number: int, marker: str) -> str | None:
        for page in range(1, PAGES + 1):
            answer = self._send(self.host.comments_request(self.api, self.token, self.repository, number, page))
            found = self.host.find_comment(answer, marker)
            if found.id is not None:
                return found.id
            if not found.more:
                break
        return None

    def _send(self, request: HttpRequest) -> bytes:
        return send(request, self.token)


def repository_request(comments: HttpRequest) -> HttpRequest:
    """Asks for the repository that a request for a pull request's comments goes to: on every host, its address is how that one begins."""
    where, _, query = comments.url.partition("?")
    url = re.split("/(?:issues|merge_requests|pull-?requests)/1/", where, flags=re.IGNORECASE)[0]
    # Azure DevOps says its API's version there.
    version = next((f"?{part}" for part in query.split("&") if part.startswith("api-version=")), "")
    return replace(comments, url=url + version)


def connection(repository: str) -> Connection | None:
    """The way to the host of a repository; None where the settings name none, or no token for it."""
    access = settings().git_hosts.get(repository)
    if access is None or not access.token.get_secret_value():
        return None
    # Bitbucket takes 32,768 characters, GitHub 65,536, the others more.
    longest = 30_000 if access.host.startswith("bitbucket") else 60_000
    return Connection(HOSTS[access.host], access.base, access.token.get_secret_value(), repository, longest, COMMENTED.get(access.host))


def send(request: HttpRequest, token: str = "") -> bytes:
    """Send one request; the body of the answer, where it is a success. `token` is what must not be seen.

    Raises Transient where nothing answered, or the host asks for patience; every other refusal is Permanent.
    """
    where = f"{request.method} {request.url.partition('?')[0]}"
    try:
        with requests.Session() as session:
            # Otherwise a line of ~/.netrc for this host would take the place of the token.
            session.auth = _unchanged
            with session.request(
                request.method,
                request.url,
                headers=dict(request.headers),
                json=request.json,
                timeout=(CONNECT_SECONDS, READ_SECONDS),
                # Whoever is redirected to gets no token from us.
                allow_redirects=False,
                stream=True,
            ) as answer:
                body = _body(answer, where)
    except (requests.exceptions.InvalidURL, requests.exceptions.InvalidHeader, requests.exceptions.InvalidSchema):
        # Its text could hold the header.
        raise Permanent(f"The git host cannot be asked: {where}. Check `api` and `token` in AML_CANARY_GIT_HOSTS.") from None
    except requests.exceptions.SSLError as error:
        raise Permanent(f"The certificate of {urlsplit(request.url).hostname} is not trusted here. Check REQUESTS_CA_BUNDLE.") from error
    except requests.RequestException as error:
        raise Transient(f"The git host did not answer: {where} ({type(error).__name__}).") from error
    if 200 <= answer.status_code < 300:
        return body
    raise _refusal(answer, body, where, _secrets(request, token))


def _unchanged(prepared: requests.PreparedRequest) -> requests.PreparedRequest:
    return prepared


def _body(answer: requests.Response, where: str) -> bytes:
    body = bytearray()
    for chunk in answer.iter_content(_CHUNK):
        body += chunk
        if len(body) > BODY_BYTES:
            raise Permanent(f"The git host's answer to {where} is larger than {BODY_BYTES} bytes.")
    return bytes(body)


def _refusal(answer: requests.Response, body: bytes, where: str, secrets: frozenset[str]) -> AmlCanaryError:
    status = answer.status_code
    said = body[:2000].decode(errors="replace")
    for secret in secrets:
        said = said.replace(secret, "***")
    said = " ".join("".join(letter if letter.isprintable() else " " for letter in said).split())[:300]
    wait = _seconds(answer.headers.get("Retry-After", ""))
    told = f"The git host answered {status} to {where}."
    # GitHub says 403 to who asks too often.
    if status in _TRANSIENT or (status == 403 and (wait is not None or answer.headers.get("x-ratelimit-remaining") == "0")):
        return Transient(told, retry_after=wait)
    if 300 <= status < 400:
        return Permanent(f"{told} It has moved: check `api` and the repository's name in AML_CANARY_GIT_HOSTS.")
    return Permanent(f"{told} {_WHAT_TO_CHECK.get(status, '')} It said: {said or 'nothing'}".replace("  ", " "))


def _secrets(request: HttpRequest, token: str) -> frozenset[str]:
    """The token, and whatever the headers made of it."""
    words = {word for name, value in request.headers.items() for word in value.split() if re.search("auth|token", name, re.IGNORECASE)}
    return frozenset(word for word in {token, *words} if len(word) > 7 or word == token) - {""}


def _seconds(text: str) -> float | None:
    """What a Retry-After header asks for: seconds, or a moment (RFC 9110 section 10.2.3)."""
    if re.fullmatch("[0-9]{1,9}", text):
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None
