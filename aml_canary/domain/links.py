"""Where a browser shows a commit, from the address that git reads the repository from. May import the standard library only."""

import re
from urllib.parse import quote, urlsplit

_HOSTS = {
    "github.com": "github",
    "gitlab.com": "gitlab",
    "bitbucket.org": "bitbucket",
    "dev.azure.com": "azure-devops",
    "ssh.dev.azure.com": "azure-devops",
    "codeberg.org": "gitea",
    "gitea.com": "gitea",
}
# Whoever runs a git host of their own mostly calls it after what it is.
_FIRST_WORDS = {"github": "github", "gitlab": "gitlab", "gitea": "gitea", "forgejo": "gitea", "bitbucket": "bitbucket-dc"}
_PATHS = {"github": "commit", "gitlab": "-/commit", "bitbucket": "commits", "gitea": "commit", "forgejo": "commit"}


def commit_url(repository: str, commit: str, kind: str = "") -> str:
    """The page of a commit; empty where the host is not known, or is none.

    `repository` is a git address of any kind; credentials in it are dropped. `kind` is the host's name in the settings, such as `gitlab`;
    without it, the address has to say.
    """
    host, path = _host_and_path(repository)
    if not host or not re.fullmatch(r"[0-9a-f]{7,64}", commit):
        return ""
    name = host.partition(":")[0]
    kind = kind or _HOSTS.get(name) or ("azure-devops" if name.endswith(".visualstudio.com") else _FIRST_WORDS.get(name.split(".")[0], ""))
    if kind == "azure-devops":
        return _azure_devops(host, path, commit)
    if kind == "bitbucket-dc":
        words = path.removeprefix("scm/").split("/")
        return f"https://{host}/projects/{words[0]}/repos/{words[1]}/commits/{commit}" if len(words) == 2 else ""
    return f"https://{host}/{path}/{_PATHS[kind]}/{commit}" if kind in _PATHS and "/" in path else ""


def _azure_devops(host: str, path: str, commit: str) -> str:
    words = path.split("/")
    if host.startswith("ssh.dev.azure.com") and len(words) == 4:
        _, organisation, project, name = words
        return f"https://dev.azure.com/{organisation}/{project}/_git/{name}/commit/{commit}"
    return f"https://{host}/{path}/commit/{commit}" if "_git" in words else ""


def _host_and_path(repository: str) -> tuple[str, str]:
    """The host, with its port where a browser can use that one, and the path, ready for an address; empty where there is no host."""
    if "://" in repository:
        try:
            parts = urlsplit(repository)
        except ValueError:
            return "", ""
        if parts.scheme not in ("http", "https", "ssh"):
            return "", ""
        host, path = parts.netloc.rpartition("@")[2], parts.path
        host = host if parts.scheme != "ssh" else host.partition(":")[0]
    elif found := re.fullmatch(r"[^@/\s]+@([^:/\s]+):(.+)", repository):
        host, path = found[1], found[2]
    else:
        return "", ""
    clean = re.sub(r"\.git$", "", path.strip("/"))
    if "@" in clean:  # what stands before it may be half of a password
        return "", ""
    return host.lower() if re.fullmatch(r"[A-Za-z0-9.:-]+", host) else "", quote(clean, safe="/%")
