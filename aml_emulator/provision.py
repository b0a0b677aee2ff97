"""From a deployment's properties to something that can run: assets found, files laid out, an interpreter chosen.

May import: `context`, `errors`, `instances`, `no_code`, `pool`, `rules`, `runtime`, `state`.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from aml_emulator import errors, no_code, rules
from aml_emulator.context import Context
from aml_emulator.errors import AzureError
from aml_emulator.instances import Spec
from aml_emulator.pool import Pool
from aml_emulator.runtime import Runtime
from aml_emulator.state import Asset, Deployment, now
from aml_emulator.wire import Json

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Assets:
    """What a deployment is made of. Without code it is an MLflow model; without an environment that, or one of a registry's environments."""

    code: Asset | None
    model: Asset | None
    environment: Asset | None


class Provision:
    def __init__(self, context: Context):
        self.context, self.settings, self.store = context, context.settings, context.store

    def runtime(self, deployment: Deployment) -> Runtime:
        name = f"{deployment.endpoint.lower()}-{deployment.name.lower()}-{next(_numbers)}"
        pool = Pool(deployment.endpoint, deployment.name)
        return Runtime(deployment.endpoint, deployment.name, self.settings.folder / "deployments" / name, pool)

    def assets(self, properties: Json) -> Assets:
        """What it is made of; refuses what is not registered before anything is started."""
        code, environment = properties.get("codeConfiguration"), properties.get("environmentId") or ""
        found = Assets(
            self._asset("codes", code["codeId"]) if code else None,
            self._asset("models", properties["model"]) if properties.get("model") else None,
            # Curated environments live in a registry; which image that is does not matter on one machine.
            self._asset("environments", environment) if environment and "/registries/" not in environment.lower() else None,
        )
        if found.code is None and not no_code.is_mlflow(found.model):
            raise rules.custom_container()
        return found

    def _asset(self, kind: str, reference: str) -> Asset:
        # From its end: the resource group, the workspace or the asset may be called "models" too.
        match = re.fullmatch(rf"(?i).*/{kind}/([^/]+)/(versions|labels)/([^/]+)/?", reference)
        if match is None:
            text = f"aml-emulator cannot resolve {kind} reference {reference}"
            raise AzureError(501, "NotImplemented", text)
        name, how, version = match[1], match[2].lower(), match[3]
        versions = self.store.versions(kind, name)
        found = (versions[-1] if versions else None) if how == "labels" else self.store.asset(kind, name, version)
        if found is None:
            raise errors.invalid(f"The specified {kind.removesuffix('s')} [{name}:{version}] was not found.")
        return found

    async def spec(self, runtime: Runtime, properties: Json) -> Spec:
        assets = self.assets(properties)
        python = await self.context.environments.interpreter(self._environment(properties, assets))
        source, script = self._code(runtime, properties, assets.code)
        target = await asyncio.to_thread(runtime.prepare_version, source)
        variables = dict(properties.get("environmentVariables") or {})
        model_dir = await asyncio.to_thread(self._mount, runtime, target, assets.model) if assets.model else None
        count = int(variables.get("WORKER_COUNT", "1"))
        return Spec(python, target / "code", script, model_dir, variables, target / "container.log", count)

    def _environment(self, properties: Json, assets: Assets) -> Json | None:
        """Its properties; None for one that is accepted unseen."""
        if assets.environment is not None:
            return assets.environment.properties
        if assets.model is not None and not properties.get("environmentId"):
            return no_code.environment(self._model(assets.model))
        return None

    def _code(self, runtime: Runtime, properties: Json, code: Asset | None) -> tuple[Path, str]:
        """The folder with the scoring code, and the script in it."""
        if code is None:
            return no_code.CODE, no_code.SCRIPT
        runtime.storage_log.append(f"{now()} Downloading code {code.name}:{code.version}")
        source = self.context.blobs.path_of_code(str(code.properties.get("codeUri", "")))
        script = properties["codeConfiguration"]["scoringScript"]
        if source is None or not source.is_dir() or not (source / script).resolve().is_relative_to(source.resolve()):
            text = f"The code of {code.name}:{code.version} cannot be downloaded."
            raise errors.OperationFailedError("ResourceNotFound", text)
        return source, script

    def _model(self, model: Asset) -> Path:
        source = self.context.blobs.path_of_model(str(model.properties.get("modelUri", "")))
        if source is None:
            text = f"Model data not found at {model.properties.get('modelUri')}."
            raise errors.OperationFailedError("BadArgument", text)
        return source

    def _mount(self, runtime: Runtime, target: Path, model: Asset) -> Path:
        runtime.storage_log.append(f"{now()} Downloading model {model.name}:{model.version}")
        source = self._model(model)
        folder = target / "azureml-models" / model.name / model.version
        folder.mkdir(parents=True)
        if source.is_dir():
            shutil.copytree(source, folder / source.name, copy_function=_copy)
        else:
            _copy(str(source), str(folder / source.name))
        runtime.storage_log.append(f"{now()} Downloaded to {folder.name}/{source.name}")
        return folder


# Above this a model file is linked, not copied: models may be large, and nobody writes into them.
LINK_FROM = 16 * 1024 * 1024


def _copy(source: str, target: str) -> None:
    # Not a symbolic link: user code that walks the folder would not find what is behind it.
    if os.path.getsize(source) >= LINK_FROM:
        # Another file system takes no links.
        with contextlib.suppress(OSError):
            os.link(source, target)
            return
    shutil.copyfile(source, target)
