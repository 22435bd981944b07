"""Every operation says that its errors are problems."""

from django.test import Client
from servicekit.openapi import add_problems


def test_every_operation_may_answer_with_a_problem() -> None:
    schema = {
        "paths": {"/v1/a": {"get": {"responses": {"200": {}}}, "post": {"responses": {}}}, "/v1/b": {"put": {"responses": {}}}}
    }
    found = add_problems(schema, None, None, True)
    responses = [operation["responses"] for operations in found["paths"].values() for operation in operations.values()]
    assert len(responses) == 3
    assert all(
        response["default"]["content"] == {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
        for response in responses
    )
    assert responses[0]["200"] == {}


def test_a_problem_is_what_its_schema_says() -> None:
    from jsonschema import Draft202012Validator
    from servicekit.openapi import PROBLEM

    check = Draft202012Validator(PROBLEM)
    for answer in (Client().get("/nowhere"), Client().post("/v1/things", "{", content_type="application/json")):
        check.validate(answer.json())
