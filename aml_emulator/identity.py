"""Entra as far as `azure-identity` asks for it: discovery, client credentials, managed identity, token checks.

Tokens are signed JSON web tokens, so a restart with the same key still knows them. Not here: users, roles, consent.
May import: the standard library, `errors`, `settings`, `wire`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from urllib.parse import parse_qs

from aml_emulator.errors import AzureError, no_token, unauthorized
from aml_emulator.settings import Settings
from aml_emulator.wire import Json, Reply, Request

LIFETIME = 3600
ARM_AUDIENCES = ("https://management.azure.com", "https://management.core.windows.net")
SCORING_AUDIENCE = "https://ml.azure.com"
# What the client of `metrics:getBatch` asks for unless told otherwise: on Azure that route has a host of its own.
METRICS_AUDIENCE = "https://metrics.monitor.azure.com"


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Identity:
    def __init__(self, settings: Settings):
        self.settings = settings

    # --- tokens ---------------------------------------------------------------------------------------------------

    def issue(self, audience: str, lifetime: int = LIFETIME) -> str:
        s = self.settings
        claims = {
            "aud": audience.rstrip("/"), "iss": f"https://sts.windows.net/{s.tenant_id}/", "tid": s.tenant_id,
            "appid": s.client_id, "oid": s.client_id, "exp": int(time.time()) + lifetime, "iat": int(time.time()),
        }  # fmt: skip
        head = _encode(json.dumps({"typ": "JWT", "alg": "HS256"}).encode())
        text = f"{head}.{_encode(json.dumps(claims).encode())}"
        return f"{text}.{self._sign(text)}"

    def _sign(self, text: str) -> str:
        return _encode(hmac.digest(self.settings.signing_key, text.encode("utf-8", "replace"), hashlib.sha256))

    def claims(self, token: str) -> Json | None:
        """The claims of a token we issued and that has not expired, else None."""
        text, _, signature = token.rpartition(".")
        if not hmac.compare_digest(self._sign(text).encode(), signature.encode("utf-8", "replace")):
            return None
        claims: Json = json.loads(_decode(text.partition(".")[2]))
        return claims if claims["exp"] > time.time() else None

    def check_arm(self, request: Request) -> None:
        authority = f"{self.settings.arm_url}/{self.settings.tenant_id}"
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise no_token(authority)
        claims = self.claims(token)
        if claims is None:
            raise unauthorized("The access token is invalid or expired.", authority)
        also = (METRICS_AUDIENCE,) if request.operation == "metrics.batch" else ()
        if claims["aud"] not in (*ARM_AUDIENCES, self.settings.arm_url, *also):
            text = f"The access token has been obtained for wrong audience or resource '{claims['aud']}'."
            raise unauthorized(text, authority)

    def is_scoring_token(self, token: str, audience: str) -> bool:
        claims = self.claims(token)
        return claims is not None and claims["aud"] == audience

    # --- routes ---------------------------------------------------------------------------------------------------

    async def discovery(self, request: Request) -> Reply:
        tenant = request.params["tenant"]
        base = f"{self.settings.arm_url}/{tenant}"
        return Reply(
            200,
            {
                "issuer": f"{base}/v2.0",
                "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
                "token_endpoint": f"{base}/oauth2/v2.0/token",
                "device_authorization_endpoint": f"{base}/oauth2/v2.0/devicecode",
                "jwks_uri": f"{base}/discovery/v2.0/keys",
                "response_types_supported": ["code"],
                "subject_types_supported": ["pairwise"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "tenant_region_scope": None,
                "cloud_instance_name": "aml-emulator",
            },
        )

    async def token(self, request: Request) -> Reply:
        form = {k: v[0] for k, v in parse_qs(request.body.decode("utf-8", "replace")).items()}
        s = self.settings
        if form.get("grant_type") != "client_credentials":
            return self._refuse(400, "unsupported_grant_type", "AADSTS70003: only client_credentials is known here.")
        client, secret = form.get("client_id", ""), form.get("client_secret", "")
        authorization = request.headers.get("authorization", "")
        if authorization.lower().startswith("basic "):
            try:
                client, _, secret = base64.b64decode(authorization[6:]).decode().partition(":")
            except ValueError:
                return self._refuse(401, "invalid_client", "AADSTS7000215: Invalid client secret provided.")
        if client != s.client_id:
            return self._refuse(400, "unauthorized_client", f"AADSTS700016: Application '{client}' was not found.")
        if not hmac.compare_digest(secret.encode(), s.client_secret.encode()):
            return self._refuse(401, "invalid_client", "AADSTS7000215: Invalid client secret provided.")
        audience = form.get("scope", "").split(" ")[0].removesuffix("/.default")
        if not audience:
            return self._refuse(400, "invalid_scope", "AADSTS70011: The request must include a 'scope' parameter.")
        body: Json = {"token_type": "Bearer", "expires_in": LIFETIME, "ext_expires_in": LIFETIME}
        return Reply(200, body | {"access_token": self.issue(audience)}, {"Cache-Control": "no-store"})

    def _refuse(self, status: int, error: str, text: str) -> Reply:
        return Reply(status, {"error": error, "error_description": text, "error_codes": [int(text[6:].split(":")[0])]})

    async def managed_identity(self, request: Request) -> Reply:
        if "x-identity-header" not in request.headers:
            raise AzureError(401, "Unauthorized", "The X-IDENTITY-HEADER header is missing.")
        resource = request.query.get("resource", "")
        if not resource:
            raise AzureError(400, "BadRequest", "A resource to make the token for is required.")
        body: Json = {"access_token": self.issue(resource), "expires_on": str(int(time.time()) + LIFETIME)}
        body |= {"resource": resource, "token_type": "Bearer", "client_id": self.settings.client_id}
        return Reply(200, body)

    async def subscriptions(self, _request: Request) -> Reply:
        """What a principal may see, as `az login` asks it."""
        s = self.settings
        found: Json = {
            "id": f"/subscriptions/{s.subscription_id}",
            "subscriptionId": s.subscription_id,
            "tenantId": s.tenant_id,
            "displayName": "aml-emulator",
            "state": "Enabled",
            "authorizationSource": "RoleBased",
            "subscriptionPolicies": {"spendingLimit": "Off"},
            "managedByTenants": [],
        }
        return Reply(200, {"value": [found], "count": {"type": "Total", "value": 1}})

    async def clouds(self, request: Request) -> Reply:
        """ARM's cloud metadata, for those who set ARM_CLOUD_METADATA_URL, and for `az cloud register`.

        Older API versions answer a list of clouds, those from 2022 on this very cloud: each of the two clients knows one of both.
        """
        s = self.settings
        cloud: Json = {
            "name": s.cloud_name,
            "portal": s.arm_url,
            "resourceManager": f"{s.arm_url}/",
            "authentication": {"loginEndpoint": f"{s.arm_url}/", "audiences": list(ARM_AUDIENCES)},
            "suffixes": {"storage": "emulator"},
        }
        return Reply(200, cloud if request.query.get("api-version", "") >= "2022" else [cloud])
