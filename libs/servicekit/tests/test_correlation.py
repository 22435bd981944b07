"""The correlation id: the caller's when it is harmless, else a new one; the same in the answer and inside."""

import logging
import uuid

import pytest
from django.test import Client
from servicekit.correlation import HEADER, correlated, current_id, require_id


def test_the_callers_id_is_kept_and_given_back() -> None:
    answer = Client().get("/v1/things", headers={HEADER: "order-17.a_b"})
    assert answer[HEADER] == "order-17.a_b"
    assert answer.json() == {"correlation_id": "order-17.a_b"}


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, 'a"b', "한글"])
def test_anything_else_is_replaced(given: str) -> None:
    answer = Client().get("/v1/things", HTTP_X_CORRELATION_ID=given)
    assert str(uuid.UUID(answer[HEADER])) == answer[HEADER]
    assert answer.json() == {"correlation_id": answer[HEADER]}


def test_errors_carry_it_as_well() -> None:
    assert Client().get("/nowhere", headers={HEADER: "mine"})[HEADER] == "mine"


def test_what_was_asked_and_answered_is_logged_under_it(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[str | None] = []
    caplog.handler.addFilter(lambda record: seen.append(current_id()) or True)
    with caplog.at_level(logging.DEBUG, "servicekit.correlation"):
        Client().post("/v1/things", {}, content_type="application/json", headers={HEADER: "mine"})
        Client().get("/v1/things", headers={HEADER: "mine"})
    records = [record for record in caplog.records if record.name == "servicekit.correlation"]
    assert [record.levelno for record in records] == [logging.INFO, logging.DEBUG]
    assert records[0].getMessage().startswith("POST /v1/things answered 400 in ")
    assert set(seen) == {"mine"}


def test_it_ends_with_what_it_belongs_to() -> None:
    with correlated("outer"):
        with correlated("inner"):
            assert (current_id(), require_id()) == ("inner", "inner")
        assert current_id() == "outer"
    assert current_id() is None


def test_outside_of_any_each_thing_has_its_own() -> None:
    assert require_id() != require_id()
