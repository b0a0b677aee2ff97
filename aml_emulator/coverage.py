"""The table of what is emulated, made from the route table; between two comments in the README.

`python -m aml_emulator.coverage` writes it anew. Not here: the routes themselves (`routes`). May import: `routes`.
"""

from __future__ import annotations

import re
from pathlib import Path

from aml_emulator.routes import DEP, EP, OPERATIONS, OPS, SUB, WS, Operation

README = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- coverage: begin -->\n", "\n<!-- coverage: end -->"

# Where an operation does less than Azure's. Everything else in the route table is "yes".
PARTLY = {
    "endpoint.put": "managed endpoints only; Kubernetes (`compute`) gets 501",
    "deployment.put": "with `codeConfiguration`, or of an MLflow model without: custom containers, data collection and Kubernetes get 501",
    "asset.put": "of assets that have a version",
    "deployment.skus": "one SKU, `Default`",
    "subscription.list": "one subscription, which is what `az login` looks for",
    "workspace.get": "one workspace, which always is there",
    "datastore.list": "one datastore, `workspaceblobstore`",
    "datastore.get": "one datastore, `workspaceblobstore`",
    "asset.list_versions": "all filters but `feed`, which is a registry's and gets 501",
    "endpoint.metrics": "requests, latencies, bytes; other metrics of Azure get 501",
    "deployment.metrics": "requests and latency percentiles; other metrics of Azure get 501",
    "metrics.batch": "as the two above",
    "identity.token": "client credentials with a secret",
    "blob.list": "names, sizes and metadata, in one page",
    "blob.put": "block blobs, whole or in blocks; no copies",
}

# What a user of online endpoints may try, and what is not there: each answers 501 (a test asks).
MISSING = (
    Operation("workspace.create_or_update", "PUT", WS),
    Operation("workspace.list", "GET", WS.removesuffix("/{workspace}")),
    Operation("workspace.delete", "DELETE", WS),
    Operation("workspace.list_keys", "POST", WS + "/listKeys"),
    Operation("batch_endpoint", "GET", WS + "/batchEndpoints"),
    Operation("compute", "GET", WS + "/computes"),
    Operation("connection", "GET", WS + "/connections"),
    Operation("component", "GET", WS + "/components"),
    Operation("data", "GET", WS + "/data"),
    Operation("feature_store", "GET", WS + "/featuresets"),
    Operation("job", "GET", WS + "/jobs"),
    Operation("quota", "GET", OPS + "/quotas"),
    Operation("usage", "GET", OPS + "/usages"),
    Operation("registry", "GET", SUB + "/resourceGroups/{group}/providers/Microsoft.MachineLearningServices/registries/{registry}"),
    Operation("datastore.create_or_update", "PUT", WS + "/datastores/{datastore}"),
    Operation("datastore.delete", "DELETE", WS + "/datastores/{datastore}"),
    Operation("asset.delete_version", "DELETE", WS + "/{kind:codes|models|environments}/{name}/versions/{version}"),
    Operation("asset.publish", "POST", WS + "/{kind:codes|models|environments}/{name}/versions/{version}/publish"),
    Operation("model.package", "POST", WS + "/models/{name}/versions/{version}/package"),
    Operation("serverless_endpoint", "GET", WS + "/serverlessEndpoints"),
    Operation("autoscale_settings", "PUT", SUB + "/resourceGroups/{group}/providers/Microsoft.Insights/autoscalesettings/{name}"),
    Operation("endpoint.diagnostics", "PUT", EP + "/providers/Microsoft.Insights/diagnosticSettings/{name}"),
    Operation("deployment.diagnostics", "PUT", DEP + "/providers/Microsoft.Insights/diagnosticSettings/{name}"),
)


def _route(path: str) -> str:
    short = path
    for long, word in ((WS, "{ws}"), (OPS, "{location}")):
        short = short.replace(long, word) if short.startswith(long) else short
    return re.sub(r"\{kind:([a-z|]+)\}", lambda match: "{" + match[1].replace("|", ",") + "}", short)


def _row(operation: Operation, status: str) -> str:
    return f"| `{operation.name}` | {operation.method} | `{_route(operation.path)}` | {status} |"


def table() -> str:
    rows = [f"`{{ws}}` is `{WS}`, `{{location}}` is `{OPS}`.", ""]
    rows += ["| operation | method | route | status |", "|-|-|-|-|"]
    for operation in OPERATIONS:
        note = PARTLY.get(operation.name)
        rows.append(_row(operation, f"partly: {note}" if note else "yes"))
    rows += [_row(operation, "**501**") for operation in MISSING]
    return "\n".join(rows)


def shown() -> str:
    """The table as the README has it."""
    return README.read_text().split(BEGIN)[1].split(END)[0]


def main() -> None:
    text = README.read_text()
    README.write_text(text.replace(BEGIN + shown() + END, BEGIN + table() + END))


if __name__ == "__main__":
    main()
