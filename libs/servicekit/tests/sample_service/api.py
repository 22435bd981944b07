"""Views that take what services take, and fail as services fail."""

import time
from pathlib import Path
from typing import Any

from django.db import InterfaceError, OperationalError
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from servicekit.correlation import current_id
from servicekit.fields import IdField
from servicekit.problems import BadInput, NotFound, Unavailable

FAILURES: dict[str, Exception] = {
    "not-found": NotFound("there is no thing 7"),
    "bad-input": BadInput("colour", "blue is needed"),
    "unavailable": Unavailable("the store of things"),
    "operational": OperationalError("database is locked"),
    "interface": InterfaceError("connection already closed"),
    "defect": ZeroDivisionError("a secret of the code"),
}


class PartInput(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=5)


class ThingInput(serializers.Serializer[Any]):
    id = IdField()
    name = serializers.CharField(max_length=10)
    parts = PartInput(many=True, required=False)


class ThingsView(APIView):
    """Takes a thing, or fails as asked."""

    def post(self, request: Request) -> Response:
        given = ThingInput(data=request.data)
        given.is_valid(raise_exception=True)
        return Response(ThingInput(given.validated_data).data, status=201)

    def get(self, request: Request) -> Response:
        failure = request.query_params.get("fail")
        if failure is not None:
            raise FAILURES[failure]
        return Response({"correlation_id": current_id()})


class ThingView(APIView):
    """Says which id was in the path."""

    def get(self, request: Request, thing_id: int) -> Response:
        return Response({"id": str(thing_id)})


class SlowView(APIView):
    """Leaves a mark when it has begun, and answers when that is gone."""

    def get(self, request: Request) -> Response:
        mark = Path(request.query_params["mark"])
        mark.touch()
        while mark.exists():
            time.sleep(0.01)
        return Response({"done": True})
