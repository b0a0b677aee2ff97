"""What is wrong with a manifest, or worth knowing about how it was read, in one shape.

A finding is a value; `aml_canary.errors.ManifestRefused` carries several. May import the standard library only.
"""

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "note"]


@dataclass(frozen=True, order=True)
class Finding:
    """One broken rule (`error`) or one reported conversion (`note`).

    `line` counts from 1 (0: the whole file); `field` is a dotted path as the author wrote it, such as `endpoint.traffic.green`;
    `rule` is a stable short name such as `traffic-total`; `remedy` is what to type instead.
    """

    file: str
    line: int
    field: str
    rule: str
    message: str
    remedy: str
    severity: Severity = "error"

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        what = f"{self.field}: {self.message}" if self.field else self.message
        return f"{where}: {self.severity}: {what} [{self.rule}] {self.remedy}".rstrip()
