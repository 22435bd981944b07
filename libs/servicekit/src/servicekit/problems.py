"""Every error as problem+json (RFC 9457): a title, a status, and for bad input the fields with what is wrong about each."""

import logging
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, JsonResponse
from rest_framework import exceptions, status
from rest_framework.response import Response

log = logging.getLogger(__name__)
CONTENT_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 1


class Unavailable(Exception):
    """Something this service stands on does not answer; the caller may ask again."""


class NotFound(Exception):
    """There is no such thing; the text says which."""


class BadInput(Exception):
    """A field of the request is wrong."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


def handle(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler."""
    errors = _input_errors(error)
    if errors is not None:
        return _problem(status.HTTP_400_BAD_REQUEST, "the request is not valid", errors=errors)
    if isinstance(error, RequestDataTooBig):
        return _problem(status.HTTP_413_REQUEST_ENTITY_TOO_LARGE, str(error))
    if isinstance(error, NotFound | Http404):
        return _problem(status.HTTP_404_NOT_FOUND, str(error) or "there is no such thing")
    if isinstance(error, Unavailable | OperationalError | InterfaceError):
        log.warning("answered 503: %s", error)
        response = _problem(status.HTTP_503_SERVICE_UNAVAILABLE, "not available right now, please ask again")
        response["Retry-After"] = str(RETRY_AFTER_SECONDS)
        return response
    if isinstance(error, exceptions.APIException):
        return _problem(error.status_code, str(error.detail))
    log.exception("answered 500")
    return _problem(status.HTTP_500_INTERNAL_SERVER_ERROR, "something went wrong here; the log has the correlation id")


def _input_errors(error: Exception) -> list[dict[str, str]] | None:
    """What is wrong with which field; None when the input is not what is wrong."""
    if isinstance(error, exceptions.ValidationError):
        return list(_errors("", error.detail))
    if isinstance(error, BadInput):
        return [{"field": error.field, "problem": error.problem}]
    if isinstance(error, exceptions.ParseError):
        return [{"field": "body", "problem": str(error.detail)}]
    if isinstance(error, RecursionError):
        return [{"field": "body", "problem": "it is nested too deeply"}]
    return None


def _problem(code: int, title: str, **more: Any) -> Response:
    return Response({"type": "about:blank", "title": title, "status": code, **more}, status=code, content_type=CONTENT_TYPE)


def _errors(prefix: str, detail: Any) -> Any:
    """Every leaf of DRF's nested errors, with the path to its field."""
    if isinstance(detail, dict):
        for name, inner in detail.items():
            path = [part for part in (prefix, str(name)) if part and part != "non_field_errors"]
            yield from _errors(".".join(path), inner)
    elif isinstance(detail, list):
        for inner in detail:
            yield from _errors(prefix, inner)
    else:
        yield {"field": prefix or "body", "problem": str(detail)}


def _plain(code: int, title: str) -> JsonResponse:
    return JsonResponse({"type": "about:blank", "title": title, "status": code}, status=code, content_type=CONTENT_TYPE)


def bad_request(request: HttpRequest, exception: Exception) -> JsonResponse:
    """Django's handler400: what never reaches a view."""
    return _plain(400, "the request is not valid")


def not_found(request: HttpRequest, exception: Exception) -> JsonResponse:
    """Django's handler404: no such path."""
    return _plain(404, f"there is nothing at {request.path}")


def server_error(request: HttpRequest) -> JsonResponse:
    """Django's handler500."""
    return _plain(500, "something went wrong here; the log has the correlation id")
