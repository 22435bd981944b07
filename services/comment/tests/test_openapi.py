"""The OpenAPI document: valid, without warnings, and complete: every path and method that is served, as it is served."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from comment.urls import urlpatterns
from django.core.management import call_command
from django.test import Client
from rest_framework.views import APIView

PREFIX = "v1/"


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Any:
    path: Path = tmp_path_factory.mktemp("openapi") / "schema.yaml"
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(path))
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_it_has_every_path_and_method(document: Any) -> None:
    served = set()
    for pattern in urlpatterns:
        view = getattr(pattern.callback, "view_class", None)
        if view is not None and issubclass(view, APIView) and "openapi" not in str(pattern.pattern):
            path = "/" + str(pattern.pattern).replace("<id:", "{").replace(">", "}")
            served |= {(path, method) for method in ("get", "post", "put", "patch", "delete") if hasattr(view, method)}
    assert len(served) == 5
    assert {(path, method) for path, operations in document["paths"].items() for method in operations} == served


def test_it_says_how_each_answers(document: Any) -> None:
    found = {
        (path, method): sorted(status for status in operation["responses"] if status != "default")
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    assert found == {
        ("/v1/comments", "get"): ["200"],
        ("/v1/comments", "post"): ["201"],
        ("/v1/comments/{comment_id}", "get"): ["200"],
        ("/v1/comments/{comment_id}", "delete"): ["204"],
        ("/v1/articles/{article_id}/comment-count", "get"): ["200"],
    }


def test_every_operation_has_its_problem_and_a_name_of_its_own(document: Any) -> None:
    operations = [operation for operations in document["paths"].values() for operation in operations.values()]
    assert all("application/problem+json" in operation["responses"]["default"]["content"] for operation in operations)
    assert len({operation["operationId"] for operation in operations}) == len(operations)


def test_ids_are_texts_times_are_times_and_bounds_are_said(document: Any) -> None:
    schemas = document["components"]["schemas"]
    comment = schemas["CommentOutput"]["properties"]
    assert {comment[name]["type"] for name in ("id", "article_id", "parent_id", "writer_id")} == {"string"}
    assert comment["parent_id"]["nullable"] is True
    assert comment["created_at"]["format"] == "date-time"
    assert schemas["CreateInput"]["properties"]["content"]["maxLength"] == 4096
    assert "parent_id" not in schemas["CreateInput"]["required"]


def test_it_is_served(document: Any) -> None:
    answer = Client().get("/v1/openapi", headers={"Accept": "application/vnd.oai.openapi+json"})
    assert answer.status_code == 200
    assert answer.json()["paths"].keys() == document["paths"].keys()
