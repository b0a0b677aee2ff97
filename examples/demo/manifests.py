"""The manifests that the demo pushes: blue, then green in two versions, one right and one broken.

May import the standard library only.
"""


def path_of(endpoint: str) -> str:
    """Where an endpoint's manifest is in the repository."""
    return f"configs/{endpoint}.canary.yml"


def manifest(endpoint: str, traffic: dict[str, int], deployments: dict[str, str], steps: str = "[10]", rollout: str = "") -> str:
    """A target-form manifest. `deployments` maps a name to the folder of its code; `rollout` is more text for that block.

    Unless that says otherwise, nothing is judged and nothing kept, because both take minutes.
    """
    if "judge:" not in rollout:
        rollout = f"  judge: {{enabled: false}}\n{rollout}"
    if "retire:" not in rollout:
        rollout = f"  retire: {{keep_for_minutes: 0}}\n{rollout}"
    weights = "\n".join(f"    {name}: {weight}" for name, weight in traffic.items())
    blocks = "\n".join(_deployment(name, code) for name, code in deployments.items())
    return f"""\
endpoint:
  name: {endpoint}
  auth_mode: key
  traffic:
{weights}

deployments:
{blocks}

rollout:
  steps: {steps}
  smoke:
    requests:
      - name: two-rows
        file: sample-request.json
        expect:
          schema: {{type: array, minItems: 2, maxItems: 2, items: {{type: number, exclusiveMinimum: 1}}}}
          max_latency_ms: 2000
{rollout}"""


def _deployment(name: str, code: str) -> str:
    return f"""\
  {name}:
    model:
      path: ../models/model
    code_configuration:
      code: ../models/{code}
      scoring_script: score.py
    environment:
      image: mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04:20250601.v1
      conda_file: ../models/environment.yml
    instance_type: Standard_F2s_v2
    instance_count: 2
    request_settings:
      request_timeout_ms: 5000
      max_concurrent_requests_per_instance: 4
"""


def first_release(endpoint: str) -> dict[str, str]:
    """Blue gets everything; nobody is asked, because nobody is served yet."""
    return {path_of(endpoint): manifest(endpoint, {"blue": 100}, {"blue": "v1"}, rollout="  approvals: {before: []}\n")}


def good_release(endpoint: str) -> dict[str, str]:
    """Green is right."""
    return {path_of(endpoint): manifest(endpoint, {"green": 100}, {"green": "v2"})}


def broken_release(endpoint: str) -> dict[str, str]:
    """Green answers everything with HTTP 200, and wrongly."""
    return {path_of(endpoint): manifest(endpoint, {"green": 100}, {"green": "v2-wrong"})}
