"""Findings as SARIF 2.1.0, which code hosts and editors show beside the line (docs.oasis-open.org/sarif/sarif/v2.1.0).

May import `domain.findings` only.
"""

from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import quote

from aml_canary.domain.findings import Finding

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def sarif(findings: Sequence[Finding], version: str) -> dict[str, Any]:
    """One run of this tool, as JSON values. Each rule's help is what its findings say is to be done."""
    rules = sorted({finding.rule for finding in findings})
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": {"name": "aml-canary", "version": version, "rules": [_rule(rule, findings) for rule in rules]}},
                "columnKind": "unicodeCodePoints",
                "results": [_result(finding, rules.index(finding.rule)) for finding in findings],
            }
        ],
    }


def _rule(rule: str, findings: Iterable[Finding]) -> dict[str, Any]:
    remedies = dict.fromkeys(finding.remedy for finding in findings if finding.rule == rule and finding.remedy)
    name = rule.replace("-", " ")
    return {
        "id": rule,
        "shortDescription": {"text": name},
        "help": {"text": "\n".join(remedies) or name},
    }


def _result(finding: Finding, rule: int) -> dict[str, Any]:
    what = f"{finding.field}: {finding.message}" if finding.field else finding.message
    location: dict[str, Any] = {"artifactLocation": {"uri": quote(finding.file), "uriBaseId": "%SRCROOT%"}}
    # Without a line a host shows it at the top of the file.
    location["region"] = {"startLine": finding.line or 1}
    return {
        "ruleId": finding.rule,
        "ruleIndex": rule,
        "level": finding.severity,
        "message": {"text": f"{what}. {finding.remedy}".rstrip() if finding.remedy else what},
        "locations": [{"physicalLocation": location}],
    }
