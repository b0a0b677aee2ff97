"""Lists take the filters and orders that Microsoft's description names, and come in pages that keep them."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest

ENDPOINT = "canary"


def names(arm: Any, path: str, **query: Any) -> list[str]:
    """Of all pages; `S` stands for the dollar sign that Python has no place for."""
    text = urlencode({key.replace("S_", "$"): value for key, value in query.items()})
    url: str | None = f"{arm.emulator.arm_url}{arm.workspace}/{path}?{text}"
    found: list[str] = []
    while url:
        answer = arm.session.get(url, timeout=30)
        assert answer.status_code == 200, answer.text
        found += [one["name"] for one in answer.json()["value"]]
        url = answer.json().get("nextLink")
    return found


@pytest.fixture
def three(arm: Any) -> Any:
    for name, tags in (("houses", {"team": "a", "stage": "dev"}), ("cars", {"team": "b"}), ("boats", {"stage": "prod"})):
        arm.put_endpoint(name, tags=tags, properties={"owner": name[0]})
    arm.call("PATCH", "onlineEndpoints/houses", {"tags": {"team": "a", "stage": "dev"}})
    return arm


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, ["boats", "cars", "houses"]),
        ({"name": "Cars"}, ["cars"]),
        ({"tags": "team"}, ["cars", "houses"]),
        ({"tags": "team=b"}, ["cars"]),
        ({"tags": "team,stage=dev"}, ["houses"]),
        ({"tags": "team=a,stage=prod"}, []),
        ({"properties": "owner=b"}, ["boats"]),
        ({"properties": "owner", "tags": "stage"}, ["boats", "houses"]),
        ({"computeType": "Managed"}, ["boats", "cars", "houses"]),
        ({"computeType": "Kubernetes"}, []),
        ({"orderBy": "CreatedAtAsc"}, ["houses", "cars", "boats"]),
        ({"orderBy": "CreatedAtDesc"}, ["boats", "cars", "houses"]),
        ({"orderBy": "UpdatedAtDesc"}, ["houses", "boats", "cars"]),
        ({"orderBy": "UpdatedAtAsc", "count": 1}, ["cars", "boats", "houses"]),
        ({"tags": "team", "count": 1, "orderBy": "CreatedAtAsc"}, ["houses", "cars"]),
        ({"S_skip": 2}, ["houses"]),
    ],
)
def test_endpoints_are_filtered_and_ordered_over_all_pages(three: Any, query: Any, found: list[str]) -> None:
    assert names(three, "onlineEndpoints", **query) == found


@pytest.mark.parametrize("query", ["orderBy=Name", "computeType=Toaster", "count=many", "orderBy=;drop"])
def test_a_filter_that_is_not_described_is_refused(arm: Any, query: str) -> None:
    answer = arm.session.get(f"{arm.emulator.arm_url}{arm.workspace}/onlineEndpoints?{query}", timeout=30)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "InvalidRequestContent")


def test_deployments_are_ordered_and_top_bounds_the_list(served: Any, session_arm: Any) -> None:
    path = f"onlineEndpoints/{ENDPOINT}/deployments"
    assert names(session_arm, path) == ["blue", "green"]
    assert names(session_arm, path, S_orderBy="CreatedAtDesc") == ["green", "blue"]
    assert names(session_arm, path, S_orderBy="createdtime desc", S_top=1) == ["green"]
    assert names(session_arm, path, S_skip=1) == ["green"]


def test_versions_of_a_model_are_filtered_and_ordered(arm: Any) -> None:
    for version, tags, archived in (("1", {"good": "yes"}, False), ("2", {}, True), ("3", {"good": "no"}, False)):
        properties = {"modelUri": f"azureml://x/{version}", "tags": tags, "isArchived": archived, "description": f"number {version}"}
        assert arm.call("PUT", f"models/trees/versions/{version}", {"properties": properties}).status_code == 201
    path = "models/trees/versions"
    assert names(arm, path, S_orderBy="createdtime desc", S_top=2) == ["3", "2"]
    assert names(arm, path, listViewType="ActiveOnly") == ["1", "3"]
    assert names(arm, path, listViewType="ArchivedOnly") == ["2"]
    assert names(arm, path, listViewType="All", offset=1) == ["2", "3"]
    assert names(arm, path, tags="good=no") == ["3"]
    assert names(arm, path, version="2", description="number 2") == ["2"]
    assert names(arm, path, count=1) == ["1", "2", "3"]
    assert arm.call("GET", f"{path}?feed=registry").status_code == 501
    assert names(arm, "models", listViewType="ActiveOnly") == ["trees"]
    assert names(arm, "models", listViewType="ArchivedOnly") == []


def test_the_client_does_not_list_what_it_has_archived(azure: Any, tmp_path: Any) -> None:
    from azure.ai.ml.constants import ListViewType
    from azure.ai.ml.entities import Model

    (tmp_path / "weights.json").write_text("[1]")
    for version in ("1", "2"):
        azure.client.models.create_or_update(Model(path=str(tmp_path / "weights.json"), name="trees", version=version))
    azure.client.models.archive("trees", version="1")
    assert [one.version for one in azure.client.models.list("trees")] == ["2"]
    assert {one.version for one in azure.client.models.list("trees", list_view_type=ListViewType.ALL)} == {"1", "2"}
    azure.client.models.restore("trees", version="1")
    assert len(list(azure.client.models.list("trees"))) == 2
