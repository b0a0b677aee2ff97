"""The files that a team begins with: a manifest, its smoke request, the settings, Prefect's deployments, what to click on the git host.

Texts only; who writes them where is the command line. May import the standard library only.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from types import MappingProxyType

POOL = "rollouts"
_PREFECT = "3.8.8"


@dataclass(frozen=True)
class Beginning:
    """What somebody answered. `repository` is the git host's name for it, `url` where it is read from, without credentials."""

    endpoint: str
    model: str
    repository: str
    host: str
    url: str
    branch: str = "main"
    deployment: str = "blue"
    instance_type: str = "Standard_DS3_v2"
    subscription_id: str = ""
    resource_group: str = ""
    workspace: str = ""
    door: str = "https://canary.example.com"
    folder: str = "configs"


def files(begin: Beginning) -> dict[str, str]:
    """Every file to write, by its path in the repository."""
    return {
        f"{begin.folder}/{begin.endpoint}.canary.yml": manifest(begin),
        f"{begin.folder}/{begin.endpoint}-request.json": '{"input_data": {"columns": ["a", "b"], "index": [0], "data": [[1.0, 2.0]]}}\n',
        "aml-canary.env": environment(begin),
        "aml-canary-webhook.md": webhook(begin),
        "prefect.yaml": deployments([begin.repository]),
    }


def manifest(begin: Beginning) -> str:
    """The first release: one deployment, all of the traffic."""
    model = begin.model if begin.model.startswith("azureml:") else f"{{path: ../{begin.model}, type: mlflow_model}}"
    return f"""\
# Endpoint {begin.endpoint} as git wants it to end up; a push to {begin.branch} starts what leads there.
# `aml-canary validate {begin.folder}` checks it, `aml-canary plan` shows the way, `aml-canary schema` completes it in editors.
# Paths are relative to this file.

endpoint: # Azure's v2 names.
  name: {begin.endpoint}
  auth_mode: key
  traffic: # Where the rollout ends; the way there is under `rollout`. Weights total 100.
    {begin.deployment}: 100

deployments:
  {begin.deployment}:
    model: {model}
    # What is no MLflow model also needs its scoring code and an environment:
    # code_configuration: {{code: ../src, scoring_script: score.py}}
    # environment: azureml:my-environment:1
    instance_type: {begin.instance_type}
    instance_count: 1
  # The next version is another name beside this one: copy the block as `green` with the new model, and write `traffic: {{green: 100}}`.
  # What carries live traffic is never changed in place, so there is always something to go back to.

rollout:
  steps: [10, 50] # Percent of live traffic on the way to 100.
  smoke: # Asked of a new deployment directly, before it may have live traffic.
    requests:
      - name: sample
        file: {begin.endpoint}-request.json
        expect: {{max_latency_ms: 2000}} # Say what is right, too: `schema` (JSON Schema) or `equals` with `tolerance`.
  judge: {{confidence: normal, least_minutes: 5, longest_minutes: 60, on_inconclusive: ask}}
  approvals: {{before: [traffic, full, retire], timeout_hours: 168}}
  on_failure: rollback
"""


def environment(begin: Beginning) -> str:
    """The settings, as a file that a shell, systemd or Docker reads. No secrets."""
    repositories = json.dumps({begin.repository: begin.url})
    return f"""\
# Settings of aml-canary for workers and the webhook door. In a shell: set -a; . ./aml-canary.env; set +a
# There is no secret in here, and none belongs here: this file is committed.

# The Azure ML workspace. Who this is to Azure, azure-identity finds out: a managed identity, a workload identity, or `az login`.
AML_CANARY_SUBSCRIPTION_ID={begin.subscription_id}
AML_CANARY_RESOURCE_GROUP={begin.resource_group}
AML_CANARY_WORKSPACE={begin.workspace}

# What is followed: the git host's name for the repository, and where it is read from.
AML_CANARY_REPOSITORIES='{repositories}'
AML_CANARY_BRANCH={begin.branch}
AML_CANARY_MANIFESTS={begin.folder}

# Who is told that a rollout waits or has ended: Prefect notification blocks, which `aml-canary setup --channel` makes.
# AML_CANARY_NOTIFY='["slack-webhook/ml-oncall"]'

# Prefect's server.
PREFECT_API_URL=http://127.0.0.1:4200/api

# Secrets, from wherever you keep them:
# AML_CANARY_WEBHOOK_SECRETS   where the door runs: a JSON list with the secret that the git host signs with
# AML_CANARY_GIT_HOSTS         where workers run: {{"{begin.repository}": {{"host": "{begin.host}", "token": "..."}}}}
"""


def deployments(repositories: Iterable[str], every: int = 300) -> str:
    """Prefect's deployments as a prefect.yaml, with `sync` looking at each of the repositories every so many seconds."""
    schedules = "".join(
        f"""
      - interval: {every}
        parameters: {{repository: {json.dumps(repository)}}}"""
        for repository in repositories
    )
    return f"""\
# Deployments of aml-canary: `prefect --no-prompt deploy --all`, or `aml-canary setup --deploy`. Workers need the installed package, no checkout.
name: aml-canary
prefect-version: {_PREFECT}
pull: []

definitions:
  work_pools:
    rollouts: &rollouts
      name: {POOL}
      work_queue_name: default

deployments:
  - name: canary
    description: One rollout of one endpoint. Started by sync, or by hand with a repository, a commit and a manifest's path.
    entrypoint: flows.canary.canary
    work_pool: *rollouts

  - name: sync
    description: Starts a rollout for each endpoint that differs from git. Started by a push and on a schedule.
    entrypoint: flows.sync.sync
    work_pool: *rollouts{
        f'''
    schedules:{schedules}'''
        if schedules
        else ""
    }

  - name: guard
    description: Judges and makes safe what nobody looks after. Has to run every minute.
    entrypoint: flows.guard.guard
    work_pool: *rollouts
    schedules:
      - interval: 60

  - name: teardown
    description: Deletes an endpoint, after an approval.
    entrypoint: flows.teardown.teardown
    work_pool: *rollouts

  - name: answer
    description: Answers a rollout that waits, as a comment on its commit or pull request says. Started by the webhook door.
    entrypoint: flows.answer.answer
    work_pool: *rollouts

  - name: review
    description: Checks and plans a pull request, and tells its git host. Started by the webhook door; writes nothing to Azure.
    entrypoint: flows.review.review
    work_pool: *rollouts
"""


# Where to click, which events, and what the secret is called there; by the host's name in the webhook's address.
_CLICKS = MappingProxyType(
    {
        "github": (
            "Settings, Webhooks, Add webhook",
            "Let me select individual events: Pushes, Pull requests, Issue comments, Commit comments",
            "Secret",
        ),
        "gitlab": ("Settings, Webhooks, Add new webhook", "Push events, Merge request events, Comments", "Signing token, or Secret token"),
        "azure-devops": (
            "Project settings, Service hooks, Create subscription, Web Hooks; one subscription for each event",
            "Code pushed, Pull request created, Pull request updated",
            "Basic authentication password (the user name is not looked at)",
        ),
        "bitbucket": ("Repository settings, Webhooks, Add webhook", "Repository push; Pull request: Created, Updated", "Secret"),
        "bitbucket-dc": (
            "Repository settings, Webhooks, Create webhook",
            "Repository: Push; Pull request: Opened, Source branch updated",
            "Secret",
        ),
        "gitea": ("Settings, Webhooks, Add webhook, Gitea", "Push, Pull request, Pull request synchronized", "Secret"),
        "forgejo": ("Settings, Webhooks, Add webhook, Forgejo", "Push, Pull request, Pull request synchronized", "Secret"),
    }
)
KNOWN_HOSTS = tuple(_CLICKS)


def webhook(begin: Beginning) -> str:
    """What to click on the git host, as markdown."""
    where, events, secret = _CLICKS[begin.host]
    return f"""\
# The webhook of {begin.repository}

It makes pushes quick, and brings reviews to pull requests. Without it the scheduled `sync` finds a push, at most one interval later.

1. Make a secret: `openssl rand -hex 32`. Give it to the door, as AML_CANARY_WEBHOOK_SECRETS='["the secret"]', and to the git host below.
2. Run the door behind something that speaks TLS: `aml-canary serve-webhooks --host 0.0.0.0`.
3. On the git host, in {begin.repository}: {where}.

| field | value |
|-|-|
| address | `{begin.door.rstrip("/")}/webhooks/{begin.host}` |
| content type | `application/json` |
| {secret} | the secret |
| events | {events} |
| certificate | verified |
"""


def host_of(url: str) -> str:
    """Which git host an address is probably of; empty where it does not show."""
    found = re.search(r"(github|gitlab|dev\.azure|visualstudio|bitbucket\.org|forgejo|codeberg|gitea)", url)
    other = {"dev.azure": "azure-devops", "visualstudio": "azure-devops", "bitbucket.org": "bitbucket", "codeberg": "forgejo"}
    return other.get(found[1], found[1]) if found else ""


def name_of(url: str) -> str:
    """The git host's name for the repository at this address, such as acme/models."""
    path = re.sub(r"^[a-z+]+://[^/]+/|^[^/:]+:", "", url.strip()).strip("/").removesuffix(".git")
    # Azure DevOps: organization/project/_git/repository, and v3/ before it over SSH.
    return path.replace("/_git/", "/").removeprefix("v3/")
