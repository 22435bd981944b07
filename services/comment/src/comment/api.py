"""The REST API: shapes in, shapes out. No business rules."""

import re
from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from servicekit.fields import IdField, TimeField, parse_id
from servicekit.pagination import decode_cursor, listed, page, page_size
from servicekit.problems import BadInput

from comment import selectors, services
from comment.models import CONTENT_MAX, DEPTH_MAX, PATH_PART, Comment

PATH = re.compile(rf"([0-9a-f]{{{PATH_PART}}}){{1,{DEPTH_MAX}}}")


class CommentOutput(serializers.Serializer[Comment]):
    id = IdField()
    article_id = IdField()
    parent_id = IdField(allow_null=True)
    content = serializers.CharField()
    writer_id = IdField()
    created_at = TimeField()
    depth = serializers.IntegerField()
    deleted = serializers.BooleanField()


class CreateInput(serializers.Serializer[Any]):
    article_id = IdField()
    parent_id = IdField(required=False, allow_null=True, default=None)
    content = serializers.CharField(max_length=CONTENT_MAX)
    # Until there are accounts the writer is who the body says.
    writer_id = IdField()


class CommentListOutput(serializers.Serializer[Any]):
    items = CommentOutput(many=True)
    next_cursor = serializers.CharField(allow_null=True)


class CountOutput(serializers.Serializer[Any]):
    article_id = IdField()
    comment_count = serializers.IntegerField()
    comment_version = serializers.IntegerField()


LIST_PARAMETERS = [
    OpenApiParameter("article_id", str, required=True),
    OpenApiParameter("page_size", int),
    OpenApiParameter("cursor", str),
]


class CommentsView(APIView):
    """All comments."""

    @extend_schema(request=CreateInput, responses={201: CommentOutput})
    def post(self, request: Request) -> Response:
        given = CreateInput(data=request.data)
        given.is_valid(raise_exception=True)
        comment = services.comment_create(**given.validated_data)
        return Response(CommentOutput(comment).data, status=status.HTTP_201_CREATED)

    @extend_schema(operation_id="comments_list", parameters=LIST_PARAMETERS, responses=CommentListOutput)
    def get(self, request: Request) -> Response:
        article_id = parse_id(request.query_params.get("article_id", ""))
        if article_id is None:
            raise BadInput("article_id", "the id of an article is needed")
        size, cursor = page_size(request.query_params), decode_cursor(request.query_params)
        if cursor is not None and not PATH.fullmatch(cursor):
            raise BadInput("cursor", "this is no cursor of ours; leave it out for the first page")
        found = selectors.comment_list(article_id=article_id, after_path=cursor, limit=size + 1)
        items, next_cursor = page(found, size, lambda comment: comment.path)
        return Response(listed([CommentOutput(comment).data for comment in items], next_cursor))


class CommentView(APIView):
    """One comment."""

    @extend_schema(responses=CommentOutput)
    def get(self, request: Request, comment_id: int) -> Response:
        return Response(CommentOutput(selectors.comment_get(comment_id)).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, comment_id: int) -> Response:
        services.comment_delete(comment_id=comment_id)
        return Response(status=status.HTTP_204_NO_CONTENT)


class CountView(APIView):
    """How many comments an article has."""

    @extend_schema(responses=CountOutput)
    def get(self, request: Request, article_id: int) -> Response:
        thread = selectors.thread_get(article_id)
        return Response(CountOutput(thread).data)
