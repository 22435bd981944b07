"""Every error is problem+json; bad input names its field; a defect is logged and says nothing of the code."""

import logging
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

GOOD = {"id": "7", "name": "lamp"}


@pytest.fixture
def client() -> Client:
    return Client(raise_request_exception=False)


def problem(answer: HttpResponse, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    found: dict[str, Any] = answer.json()
    assert found["status"] == status
    assert found["type"] == "about:blank"
    assert found["title"]
    return found


def post(client: Client, body: Any) -> HttpResponse:
    return client.post("/v1/things", body, content_type="application/json")


def test_what_is_right_is_taken(client: Client) -> None:
    answer = post(client, GOOD)
    assert answer.status_code == 201
    assert answer.json() == GOOD


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["id", "name"]),
        ({"id": "7"}, ["name"]),
        (GOOD | {"id": "0"}, ["id"]),
        (GOOD | {"id": None}, ["id"]),
        (GOOD | {"id": True}, ["id"]),
        (GOOD | {"id": 1.5}, ["id"]),
        (GOOD | {"id": [1]}, ["id"]),
        (GOOD | {"id": 2**63}, ["id"]),
        (GOOD | {"id": "9" * 5000}, ["id"]),
        (GOOD | {"name": ""}, ["name"]),
        (GOOD | {"name": None}, ["name"]),
        (GOOD | {"name": {}}, ["name"]),
        (GOOD | {"name": "a" * 11}, ["name"]),
        (GOOD | {"name": "a\x00b"}, ["name"]),
        (GOOD | {"parts": 5}, ["parts"]),
        (GOOD | {"parts": [{"name": "leg"}, {}]}, ["parts.1.name"]),
        (GOOD | {"parts": [{"name": "too long"}]}, ["parts.0.name"]),
        ([], ["body"]),
        ([GOOD], ["body"]),
        ('"text"', ["body"]),
        ("null", ["body"]),
    ],
)
def test_bad_input_names_its_fields(client: Client, body: Any, fields: list[str]) -> None:
    found = problem(post(client, body), 400)
    assert [error["field"] for error in found["errors"]] == fields
    assert all(error["problem"] for error in found["errors"])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"{", "body"),
        (b"not json", "body"),
        (b"\xff\xfe", "body"),
        (b'{"id": NaN}', "body"),
        (b'{"id": ' + b"9" * 5000 + b"}", "body"),
        (b"[" * 200_000, "body"),
        (b'{"id": "7", "name": "a", "name": "b"}', "name"),
        (b'{"id": "7", "name": "\\ud800"}', "name"),
        (b'{"id": "7", "\\ud800": "a", "\\ud800": "b"}', "?"),
    ],
)
def test_what_is_no_json_is_refused(client: Client, body: bytes, field: str) -> None:
    found = problem(post(client, body), 400)
    assert [error["field"] for error in found["errors"]] == [field]


def test_an_empty_body_lacks_every_field(client: Client) -> None:
    found = problem(post(client, b""), 400)
    assert {error["field"] for error in found["errors"]} == {"id", "name"}


def test_a_body_over_the_bound_is_refused(client: Client) -> None:
    problem(post(client, {"id": "7", "name": "a" * (1 << 20)}), 413)


def test_another_content_type_is_refused(client: Client) -> None:
    assert "text/plain" in problem(client.post("/v1/things", "name=a", content_type="text/plain"), 415)["title"]
    problem(client.post("/v1/things", {"name": "a"}), 415)


def test_another_method_is_refused(client: Client) -> None:
    answer = client.delete("/v1/things")
    problem(answer, 405)
    assert answer["Allow"] == "GET, POST, HEAD, OPTIONS"


def test_an_answer_in_another_form_is_not_given(client: Client) -> None:
    problem(client.get("/v1/things", headers={"Accept": "image/png"}), 406)


@pytest.mark.parametrize(
    "path", ["/", "/v1/nothing", "/v1/things/", "/v1/things/0", "/v1/things/seven", f"/v1/things/{2**63}", "/%00"]
)
def test_no_such_path(client: Client, path: str) -> None:
    problem(client.get(path), 404)


def test_a_foreign_host_is_refused(client: Client) -> None:
    problem(client.get("/v1/things", headers={"Host": "evil.example"}), 400)


def test_what_is_not_there(client: Client) -> None:
    assert problem(client.get("/v1/things?fail=not-found"), 404)["title"] == "there is no thing 7"


def test_a_rule_of_the_business_names_its_field(client: Client) -> None:
    found = problem(client.get("/v1/things?fail=bad-input"), 400)
    assert found["errors"] == [{"field": "colour", "problem": "blue is needed"}]


@pytest.mark.parametrize("failure", ["unavailable", "operational", "interface"])
def test_a_dependency_that_is_down_asks_to_come_again(client: Client, failure: str, caplog: pytest.LogCaptureFixture) -> None:
    answer = client.get(f"/v1/things?fail={failure}")
    assert "locked" not in str(problem(answer, 503))
    assert int(answer["Retry-After"]) >= 1
    assert any("answered 503" in record.getMessage() for record in caplog.records)


def test_a_defect_is_logged_and_not_shown(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    found = problem(client.get("/v1/things?fail=defect"), 500)
    assert "secret" not in str(found)
    logged = [record for record in caplog.records if record.levelno >= logging.ERROR and record.exc_info]
    assert any("a secret of the code" in str(record.exc_info[1]) for record in logged if record.exc_info)
