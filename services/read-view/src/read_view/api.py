"""The REST API: shapes in, shapes out. No business rules."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from servicekit.fields import IdField, parse_id
from servicekit.pagination import decode_cursor, page_size
from servicekit.problems import BadInput

from read_view import selectors

SOURCE, VERSION, AGE = "X-Source", "X-Version", "X-Projection-Age-Ms"


class ArticleOutput(serializers.Serializer[Any]):
    id = IdField()
    board_id = IdField()
    title = serializers.CharField()
    content = serializers.CharField()
    writer_id = IdField()
    created_at = serializers.CharField()
    modified_at = serializers.CharField()
    version = serializers.IntegerField()
    like_count = serializers.IntegerField()
    comment_count = serializers.IntegerField()


class ArticleListOutput(serializers.Serializer[Any]):
    items = ArticleOutput(many=True)
    next_cursor = serializers.CharField(allow_null=True)


LIST_PARAMETERS = [
    OpenApiParameter("board_id", str, required=True),
    OpenApiParameter("page_size", int),
    OpenApiParameter("cursor", str),
]


class ArticlesView(APIView):
    """The articles of a board."""

    @extend_schema(operation_id="articles_list", parameters=LIST_PARAMETERS, responses=ArticleListOutput)
    def get(self, request: Request) -> Response:
        board_id = parse_id(request.query_params.get("board_id", ""))
        if board_id is None:
            raise BadInput("board_id", "the id of a board is needed")
        cursor = decode_cursor(request.query_params)
        before_id = parse_id(cursor) if cursor is not None else None
        if cursor is not None and before_id is None:
            raise BadInput("cursor", "this is no cursor of ours; leave it out for the first page")
        return _respond(
            selectors.article_list(
                str(board_id),
                before_id=str(before_id) if before_id is not None else None,
                page_size=page_size(request.query_params),
                cursor=request.query_params.get("cursor"),
            )
        )


class ArticleView(APIView):
    """One article with its counts."""

    @extend_schema(responses=ArticleOutput)
    def get(self, request: Request, article_id: int) -> Response:
        return _respond(selectors.article_get(str(article_id)))

    def handle_exception(self, exc: Exception) -> Response:
        response = super().handle_exception(exc)
        return _marked(response, exc.provenance) if isinstance(exc, selectors.Missing) else response


def _respond(answer: selectors.Answer) -> Response:
    response = _marked(Response(answer.body), answer.provenance)
    if "version" in answer.body:
        response[VERSION] = str(answer.body["version"])
    return response


def _marked(response: Response, provenance: selectors.Provenance) -> Response:
    response[SOURCE] = provenance.source
    if provenance.age_ms is not None:
        response[AGE] = str(provenance.age_ms)
    return response
