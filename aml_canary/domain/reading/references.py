"""What a deployment refers to: files of the repository, which must be there, and Azure's assets, which must name a version.

`localised` turns paths as written into repository paths. May import the standard library and its neighbours here.
"""

import posixpath
import re
from typing import Any

from aml_canary.domain.findings import Finding
from aml_canary.domain.reading.files import Files, is_remote, joined
from aml_canary.domain.reading.section import Path, Section

_ASSET = re.compile(r"azureml:(?!/)[^:@\s]+(?P<version>:[^:@\s]+|@[^:@\s]+)?")
_IN_REGISTRY = re.compile(r"azureml://registries/[^/\s]+/(models|environments|codes)/[^/\s]+(?P<version>/(versions|labels)/[^/\s]+)?")
_BY_ID = re.compile(r"azureml:/subscriptions/\S+/(models|environments|codes)/[^/\s]+(?P<version>/(versions|labels)/[^/\s]+)?")


def localised(section: Section, files: Files, base: str, manifest_files: tuple[str, ...]) -> tuple[dict[str, Any], list[Finding]]:
    """The deployment with repository paths instead of paths relative to `base`, and what is wrong with its references."""
    value = dict(section.mapping)
    findings = asset(section, ("model",), value.get("model"), "path") + asset(
        section, ("environment",), value.get("environment"), "conda_file"
    )

    def place(path: Path, *, folder: bool | None) -> str | None:
        """Replace the path at `path` by the repository path it means; that, or None where there is nothing local."""
        block: Any = value.get(str(path[0]))
        for step in path[1:-1]:
            block = block.get(step) if isinstance(block, dict) else None
        written = block.get(path[-1]) if isinstance(block, dict) else None
        if not isinstance(written, str) or is_remote(written):
            return None
        found, wrong = local(section, path, written, files, base, folder=folder)
        findings.extend(wrong)
        if found is not None:
            _set(value, path, found)
        return found

    code = place(("code_configuration", "code"), folder=True)
    if code is not None and files.is_folder(code):
        script = value["code_configuration"].get("scoring_script")
        if isinstance(script, str):
            findings += _script(section, script, code, files)
            _set(value, ("code_configuration", "scoring_script"), posixpath.normpath(script))
        if any(file in files.below(code) for file in manifest_files):
            message = f"the code folder `{code}` holds the manifest itself, so every edit of the manifest would be another model"
            findings.append(
                section.finding(("code_configuration", "code"), "code-holds-manifest", message, "Move the code into a folder of its own.")
            )
    place(("model", "path"), folder=None)
    place(("environment", "conda_file"), folder=False)
    build = place(("environment", "build", "path"), folder=True)
    if build is not None and files.is_folder(build):
        dockerfile = value["environment"]["build"].get("dockerfile_path", "Dockerfile")
        if isinstance(dockerfile, str):
            findings += local(section, ("environment", "build", "dockerfile_path"), dockerfile, files, build, folder=False)[1]
    return value, findings


def local(section: Section, path: Path, written: str, files: Files, base: str, *, folder: bool | None) -> tuple[str | None, list[Finding]]:
    """The repository path that `written` means at `base`; it must be a folder, a file, or (None) either, with real content."""
    if written.startswith("file:"):
        return None, [
            section.finding(path, "legacy-value", "`file:` is from before Azure's v2", f"Write `{written.removeprefix('file:')}`.")
        ]
    found = joined(base, written)
    if found is None:
        message = f"`{written}` leads out of the repository, or is no path in it"
        return None, [
            section.finding(path, "path-outside", message, "Write a relative path with forward slashes to something in this repository.")
        ]
    there = {True: files.is_folder, False: files.is_file, None: files.exists}[folder](found)
    if not there:
        what = {True: "folder", False: "file", None: "file or folder"}[folder]
        if files.exists(found):
            return found, [section.finding(path, "path-missing", f"`{found}` is no {what}", f"Name a {what}.")]
        remedy = f"Paths here are relative to `{base or '.'}`; commit `{found}`, or correct the path."
        return found, [section.finding(path, "path-missing", f"there is no {what} `{found}` at this commit", remedy)]
    pointer = files.lfs_pointer(found)
    if pointer is not None:
        message = f"`{pointer}` is a git-lfs pointer, not the content it stands for"
        remedy = "Register the model and refer to it as `azureml:<name>:<version>`, or commit the content itself."
        return found, [section.finding(path, "lfs-pointer", message, remedy)]
    return found, []


def asset(section: Section, path: Path, value: Any, block_key: str) -> list[Finding]:
    """What is wrong with `value` as a reference to a versioned asset. Blocks are looked at elsewhere."""
    if not isinstance(value, str):
        return []
    what = str(path[-1])
    if value.startswith("aml:"):
        return [
            section.finding(
                path, "legacy-value", "`aml:` is from before Azure's v2", f"Write `azureml:<name>:<version>` for a registered {what}."
            )
        ]
    match = next((found for pattern in (_ASSET, _IN_REGISTRY, _BY_ID) if (found := pattern.fullmatch(value))), None)
    if match is None:
        remedy = f"Write `azureml:<name>:<version>` for a registered {what}, or a block with `{block_key}: …` for files of this repository."
        return [section.finding(path, f"{what}-reference", f"`{value}` refers to no registered {what}", remedy)]
    version = match["version"]
    if version is None:
        return [section.finding(path, f"{what}-version", f"`{value}` names no version", "Add one, such as `azureml:my-name:3`.")]
    if version.startswith(("@", "/labels/")):
        message = f"`{value}` means another version tomorrow: the same commit must always deploy the same {what}"
        return [section.finding(path, f"{what}-version", message, "Name a version, such as `azureml:my-name:3`.")]
    return []


def _script(section: Section, written: str, code: str, files: Files) -> list[Finding]:
    """What is wrong with the scoring script, which stands in the folder `code`."""
    path = ("code_configuration", "scoring_script")
    found = joined(code, written)
    if found is not None and (code == "." or found.startswith(code + "/")) and files.is_file(found):
        return []
    # The mistake of the older form: the script's path repeats the folder's.
    scripts = [name[len(code) + 1 if code != "." else 0 :] for name in files.below(code) if name.endswith(".py")]
    near = next((script for script in scripts if script.rsplit("/", 1)[-1] == written.rsplit("/", 1)[-1]), None)
    remedy = (
        f"Write `{near}`: the script's path is relative to `code`."
        if near
        else f"The script's path is relative to `code`; {_some(scripts)}"
    )
    return [section.finding(path, "script-missing", f"there is no `{written}` in `{code}`", remedy)]


def _some(scripts: list[str]) -> str:
    return f"there: {', '.join(scripts[:5])}." if scripts else "there is no Python file there."


def _set(value: dict[str, Any], path: Path, new: str) -> None:
    """Put `new` at `path`, copying the blocks on the way: the author's document stays as it is."""
    for step in path[:-1]:
        key = str(step)
        value[key] = dict(value[key])
        value = value[key]
    value[str(path[-1])] = new
