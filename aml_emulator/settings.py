"""What one emulator is: identifiers, folders, pace. Values only.

May import: the standard library.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from pathlib import Path

WORKSPACE_GUID = "6f2d2b6e-0000-4000-8000-0000000000aa"
CONTAINER = f"azureml-blobstore-{WORKSPACE_GUID}"


@dataclass(slots=True)
class Settings:
    folder: Path
    # Where state is kept over restarts; None keeps none.
    state: Path | None = None
    # Where each answer about online endpoints is written down, for whoever checks them; None writes none.
    answers: Path | None = None
    subscription_id: str = "11111111-1111-4111-8111-111111111111"
    resource_group: str = "aml-emulator"
    workspace: str = "aml-emulator"
    location: str = "eastus"
    tenant_id: str = "22222222-2222-4222-8222-222222222222"
    client_id: str = "33333333-3333-4333-8333-333333333333"
    # No sign in it that a command line would take for an option of its own.
    client_secret: str = field(default_factory=lambda: secrets.token_hex(24))
    pace: str = "fast"
    environments: str = "reuse"
    environment_cache: Path | None = None
    arm_port: int = 0
    scoring_port: int = 0
    # Seconds in which a request to the control plane must have come in; of a blob, its next piece.
    patience: float = 120.0
    # Of the run before this one: taken again where none was asked for and they are free.
    last_ports: tuple[int, int] = (0, 0)
    # Signs bearer tokens and storage URLs; leaves the process only into the file of `--state`.
    signing_key: bytes = field(default_factory=lambda: secrets.token_bytes(32))

    @property
    def authority_host(self) -> str:
        return self.arm_url

    @property
    def arm_url(self) -> str:
        return f"https://127.0.0.1:{self.arm_port}"

    @property
    def scoring_url(self) -> str:
        return f"http://127.0.0.1:{self.scoring_port}"

    @property
    def workspace_id(self) -> str:
        return (
            f"/subscriptions/{self.subscription_id}/resourceGroups/{self.resource_group}"
            f"/providers/Microsoft.MachineLearningServices/workspaces/{self.workspace}"
        )

    @property
    def storage_url(self) -> str:
        # The SDK builds "https://{accountName}.blob.{storage_endpoint}" itself. An account name with a slash in it
        # turns that into a path on this server.
        return f"{self.arm_url}/aml.blob.emulator"

    @property
    def account_name(self) -> str:
        return f"127.0.0.1:{self.arm_port}/aml"

    @property
    def cloud_name(self) -> str:
        # The SDK remembers a cloud by name for the life of its process, so each port gets its own.
        return f"AmlEmulator{self.arm_port}"

    @property
    def cloud_metadata(self) -> dict[str, str]:
        return {
            "resource_manager": self.arm_url,
            "azure_portal": self.arm_url,
            "active_directory": self.arm_url,
            "aml_resource_id": "https://ml.azure.com",
            "storage_endpoint": "emulator",
            "registry_discovery_endpoint": f"{self.arm_url}/",
        }
