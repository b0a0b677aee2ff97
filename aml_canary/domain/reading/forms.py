"""What all written forms have in common: a form drafts desired states and says where the rollout stands.

A form is a module beside this one with one function that returns a `Written`; `manifest_reader` knows them all. May import its
neighbours here.
"""

from dataclasses import dataclass, field

from aml_canary.domain.findings import Finding
from aml_canary.domain.reading.section import Section
from aml_canary.domain.reading.stages import Draft


@dataclass(frozen=True)
class Written:
    """What a form made of its files. `rollout` is None where reading could not get that far."""

    drafts: tuple[Draft, ...] = ()
    rollout: Section | None = None
    rollout_base: str = ""
    sample_folders: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def stem(file: str) -> str:
    """A file's name without folder and YAML ending."""
    return file.rsplit("/", 1)[-1].removesuffix(".yaml").removesuffix(".yml")


def stage_name(file: str) -> str:
    """What a desired state is called in the staged and legacy forms: `…/managed-2-scale-blue-OnlineEndpoint.yaml` is `2-scale-blue`."""
    return stem(file).removeprefix("managed-").removesuffix("-OnlineEndpoint")


def folder_of(file: str) -> str:
    """The folder a file stands in; `""` for the repository's root."""
    return file.rpartition("/")[0]
