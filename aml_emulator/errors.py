"""Azure's errors, made in one place: codes, texts and JSON shapes as the real service sends them.

Texts without a public source say so in a comment. May import: `wire`.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime

from aml_emulator.wire import Json, Reply


class AzureError(Exception):
    """A request is refused: HTTP status, Azure's code and text, and extra headers."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        details: list[Json] | None = None,
        headers: dict[str, str] | None = None,
    ):
        super().__init__(f"({code}) {message}")
        self.status, self.code, self.message = status, code, message
        self.details, self.headers = details, headers or {}

    def reply(self) -> Reply:
        return Reply(self.status, {"error": error_json(self.code, self.message, self.details)}, dict(self.headers))


class OperationFailedError(Exception):
    """A long-running operation ends Failed with this code and text."""

    def __init__(self, code: str, message: str):
        super().__init__(f"({code}) {message}")
        self.code, self.message = code, message


def error_json(code: str, message: str, details: list[Json] | None = None) -> Json:
    return {
        "code": code,
        "message": message,
        "details": details or [],
        "additionalInfo": [
            {"type": "ComponentName", "info": {"value": "managementfrontend"}},
            {"type": "Environment", "info": {"value": "emulator"}},
            {"type": "Location", "info": {"value": "local"}},
            {"type": "Time", "info": {"value": datetime.now(UTC).isoformat()}},
        ],
    }


def invalid(text: str) -> AzureError:
    """How the real service wraps a broken rule of online endpoints: a BadRequest around an inferencing error."""
    inner = json.dumps({"errors": {"": [text]}, "title": "One or more validation errors occurred."})
    detail: Json = {"code": "InferencingClientCallFailed", "message": inner, "details": [], "additionalInfo": []}
    return AzureError(400, "BadRequest", "The request is invalid.", [detail])


def malformed(text: str) -> AzureError:
    text = f"The request content was invalid and could not be deserialized: '{text}'."
    return AzureError(400, "InvalidRequestContent", text)


def missing_field(name: str) -> AzureError:
    return AzureError(400, "UserError", f"The {name} field is required.")


def too_large() -> AzureError:
    return AzureError(413, "RequestEntityTooLarge", "The request content size exceeds the maximum size of 4 MB.")


def too_slow() -> AzureError:
    return AzureError(408, "RequestTimeout", "The request took too long to come in.", headers={"Connection": "close"})


def not_found(kind: str, name: str, group: str) -> AzureError:
    resource = f"Microsoft.MachineLearningServices/{kind}/{name}"
    text = f"The Resource '{resource}' under resource group '{group}' was not found."
    return AzureError(404, "ResourceNotFound", text)


def asset_not_found(kind: str, name: str) -> AzureError:
    # Asset texts differ per kind on Azure; this wording has no public source.
    return AzureError(404, "UserError", f"Not found {kind} {name}")


def not_implemented(method: str, path: str) -> AzureError:
    return AzureError(501, "NotImplemented", f"aml-emulator has no such operation: {method} {path}")


def unauthorized(text: str, authority: str) -> AzureError:
    challenge = f'Bearer authorization_uri="{authority}", error="invalid_token", error_description="{text}"'
    return AzureError(401, "InvalidAuthenticationToken", text, headers={"WWW-Authenticate": challenge})


def no_token(authority: str) -> AzureError:
    text = "Authentication failed. The 'Authorization' header is missing."
    challenge = f'Bearer authorization_uri="{authority}"'
    return AzureError(401, "AuthenticationFailed", text, headers={"WWW-Authenticate": challenge})


# --- rules of online endpoints -------------------------------------------------------------------------------------


def bad_name(kind: str, name: str) -> AzureError:
    rule = "3 to 32 letters, digits and hyphens, starting with a letter and ending with a letter or digit"
    return invalid(f"Invalid {kind} name [{name}]: it must be {rule}.")


def traffic_sum(total: int) -> AzureError:
    return invalid(f"Traffic values need to sum to 100. The sum is {total}.")


def traffic_value(name: str, value: object) -> AzureError:
    return invalid(f"Traffic value [{value}] of deployment [{name}] must be a whole number between 0 and 100.")


def traffic_unknown(name: str) -> AzureError:
    return invalid(f"Traffic is set for deployment [{name}], but there is no such deployment in the endpoint.")


def traffic_not_ready(name: str, state: str) -> AzureError:
    return invalid(f"Traffic cannot be sent to deployment [{name}] because it is in {state} provisioning state.")


def mirror_sum(total: int) -> AzureError:
    return invalid(f"Mirror traffic values need to sum to utmost 50. The sum is {total}.")


def mirror_many() -> AzureError:
    return invalid("Mirror traffic can be set for one deployment only.")


def mirror_and_live(name: str) -> AzureError:
    return invalid(f"Deployment [{name}] can only be set to live or mirror traffic, not both.")


def delete_with_traffic(name: str) -> AzureError:
    return invalid(f"Can't delete deployment [{name}] with non-zero traffic weight")


def unrecoverable(name: str) -> AzureError:
    return invalid(
        f"Specified deployment [{name}] failed during initial provisioning and is in an unrecoverable state. Delete and re-create."
    )


def endpoint_not_created(name: str) -> AzureError:
    return invalid(f"Specified endpoint [{name}] has not been created successfully. Please recreate the endpoint.")


def endpoint_busy(endpoint: str, state: str) -> AzureError:
    text = f"Cannot create a deployment in endpoint {endpoint} because it is in {state} provisioning state."
    return AzureError(409, "Conflict", text)


def busy(kind: str, name: str, state: str) -> AzureError:
    # Real codes of these conflicts are not public; the 409 is documented.
    text = f"Cannot modify {kind} {name} because it is in {state} provisioning state. Another operation is in progress."
    return AzureError(409, "Conflict", text)


def out_of_limit(text: str) -> AzureError:
    return invalid(text)
