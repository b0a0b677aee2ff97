"""Manifests in a working folder, for the command line: read as they lie there, or as they are committed.

May import `domain`, `gateways` and `errors`.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from aml_canary.domain.manifest_reader import Reading, discover, manifest_of, read_manifest, require
from aml_canary.domain.observed import Observed
from aml_canary.domain.order import Order, order_of
from aml_canary.domain.tree import MemoryTree, Tree
from aml_canary.errors import Permanent
from aml_canary.gateways.folder import FolderTree
from aml_canary.gateways.git import GitTree, local_repository, mirror_of, remote_url
from aml_canary.gateways.gitcommand import Address

_OBSERVED = TypeAdapter(Observed)


def readings(path: Path) -> tuple[Reading, ...]:
    """What each manifest at or below the path reads as. A file is one manifest, whatever its name."""
    tree, inside = _tree(path)
    found = (inside,) if path.is_file() else discover(tree, inside)
    return tuple(read_manifest(tree, manifest) for manifest in found)


def changed_readings(paths: Iterable[Path]) -> list[Reading]:
    """What the manifests read as that these files belong to, each once; files that are part of none are passed over."""
    trees: dict[Path, FolderTree] = {}
    found: dict[tuple[Path, str], Reading] = {}
    for path in paths:
        root, inside = _place(path)
        tree = trees.setdefault(root, FolderTree(root))
        manifest = manifest_of(tree, inside) if path.is_file() else None
        if manifest is not None and (root, manifest) not in found:
            found[root, manifest] = read_manifest(tree, manifest)
    return list(found.values())


def local_order(path: Path) -> Order:
    """The order as it lies in the folder. Raises ManifestRefused."""
    tree, inside = _tree(path)
    return order_of(require(read_manifest(tree, inside)), tree, repository=str(path), commit="working folder")


def committed_order(path: Path, repository: str | None) -> Order:
    """The order at HEAD, as `repository` has it.

    Raises ManifestRefused, or Permanent where the folder and HEAD say different things: what is not committed cannot be rolled out.
    """
    local = local_repository(path)
    inside = path.resolve().relative_to(local.root.resolve()).as_posix()
    url = repository or remote_url(local.root) or str(local.root)
    if Address(url).bare != url:
        raise Permanent(
            "The repository's URL has a credential in it, which Prefect would show. Pass --repository with its name in AML_CANARY_REPOSITORIES."
        )
    folder = FolderTree(local.root)
    tree = GitTree(mirror_of(url), local.commit)
    committed = order_of(require(read_manifest(tree, inside)), tree, url, local.commit)
    lying = order_of(require(read_manifest(folder, inside)), folder, url, local.commit)
    if committed != lying:
        changed = ", ".join(local.dirty[:10]) or "files that are not in this checkout"
        raise Permanent(
            f"{inside} is not rolled out as it lies in the folder, only as committed. Commit and push, or undo, these first: {changed}."
        )
    return committed


def observed_from(file: Path | None, endpoint: str) -> Observed:
    """The endpoint from a JSON file (one endpoint, or a list that has it), or from Azure where there is no file."""
    if file is None:
        from aml_canary.gateways import azureml

        return azureml.observe(endpoint)
    try:
        said = json.loads(file.read_text())
        entries = said if isinstance(said, list) else [said]
        entry = next((e for e in entries if isinstance(e, dict) and e.get("name") == endpoint), None)
        if entry is None:
            raise Permanent(f"{file} does not describe endpoint {endpoint}.")
        return _OBSERVED.validate_python({key: value for key, value in entry.items() if key != "rollout"})
    except (ValueError, ValidationError) as error:
        raise Permanent(f"{file} is not an endpoint as `aml-canary status --format json` prints it: {error}") from error


def begin(folder: Path, files: Mapping[str, str], *, force: bool) -> list[str]:
    """Write a repository's first files below the folder; their paths.

    Nothing is written where one is there already, unless `force`, or where a manifest among them would be refused. Raises Permanent and
    ManifestRefused.
    """
    there = [path for path in files if (folder / path).exists()]
    if there and not force:
        raise Permanent(f"Nothing was written: {', '.join(there)} is there already. Move it away, or write over it with --force.")
    lying = FolderTree(folder)
    content = {name: lying.read(name) or b"" for name in lying.files()} | {path: text.encode() for path, text in files.items()}
    tree = MemoryTree(content)
    for path in files:
        if path.endswith(".canary.yml"):
            require(read_manifest(tree, path))
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return list(files)


def observed_json(live: Observed) -> dict[str, Any]:
    """The endpoint as JSON values, which `observed_from` reads."""
    said: dict[str, Any] = _OBSERVED.dump_python(live, mode="json")
    return said


def _tree(path: Path) -> tuple[Tree, str]:
    root, inside = _place(path)
    return FolderTree(root), inside


def _place(path: Path) -> tuple[Path, str]:
    """The repository around the path, or the folder itself where there is none, and the path inside it."""
    whole = path.resolve()
    folder = whole if whole.is_dir() else whole.parent
    root = next((f for f in (folder, *folder.parents) if (f / ".git").exists()), folder)
    return root, whole.relative_to(root).as_posix()
