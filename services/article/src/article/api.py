"""The REST API: shapes in, shapes out. No business rules."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from servicekit.fields import IdField, TimeField, parse_id
from servicekit.pagination import decode_cursor, listed, page, page_size
from servicekit.problems import BadInput

from article import selectors, services
from article.models import CONTENT_MAX, TITLE_MAX, Article


class ArticleOutput(serializers.Serializer[Article]):
    id = IdField()
    board_id = IdField()
    title = serializers.CharField()
    content = serializers.CharField()
    writer_id = IdField()
    created_at = TimeField()
    modified_at = TimeField()
    version = serializers.IntegerField()


class CreateInput(serializers.Serializer[Any]):
    board_id = IdField()
    title = serializers.CharField(max_length=TITLE_MAX)
    content = serializers.CharField(max_length=CONTENT_MAX, allow_blank=True, trim_whitespace=False)
    # Until there are accounts the writer is who the body says.
    writer_id = IdField()


class UpdateInput(serializers.Serializer[Any]):
    title = serializers.CharField(max_length=TITLE_MAX, required=False)
    content = serializers.CharField(max_length=CONTENT_MAX, allow_blank=True, trim_whitespace=False, required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs:
            raise serializers.ValidationError("title or content is needed")
        return attrs


class LikesOutput(serializers.Serializer[Any]):
    article_id = IdField()
    like_count = serializers.IntegerField()
    like_version = serializers.IntegerField()


class LikeOutput(LikesOutput):
    user_id = IdField()
    liked = serializers.BooleanField()


class ArticleListOutput(serializers.Serializer[Any]):
    items = ArticleOutput(many=True)
    next_cursor = serializers.CharField(allow_null=True)


LIST_PARAMETERS = [
    OpenApiParameter("board_id", str, required=True),
    OpenApiParameter("page_size", int),
    OpenApiParameter("cursor", str),
]


class ArticlesView(APIView):
    """All articles."""

    @extend_schema(request=CreateInput, responses={201: ArticleOutput})
    def post(self, request: Request) -> Response:
        given = CreateInput(data=request.data)
        given.is_valid(raise_exception=True)
        article = services.article_create(**given.validated_data)
        return Response(ArticleOutput(article).data, status=status.HTTP_201_CREATED)

    @extend_schema(operation_id="articles_list", parameters=LIST_PARAMETERS, responses=ArticleListOutput)
    def get(self, request: Request) -> Response:
        board_id = parse_id(request.query_params.get("board_id", ""))
        if board_id is None:
            raise BadInput("board_id", "the id of a board is needed")
        size, cursor = page_size(request.query_params), decode_cursor(request.query_params)
        before_id = parse_id(cursor) if cursor is not None else None
        if cursor is not None and before_id is None:
            raise BadInput("cursor", "this is no cursor of ours; leave it out for the first page")
        found = selectors.article_list(board_id=board_id, before_id=before_id, limit=size + 1)
        items, next_cursor = page(found, size, lambda article: str(article.id))
        return Response(listed([ArticleOutput(article).data for article in items], next_cursor))


class ArticleView(APIView):
    """One article."""

    @extend_schema(responses=ArticleOutput)
    def get(self, request: Request, article_id: int) -> Response:
        return Response(ArticleOutput(selectors.article_get(article_id)).data)

    @extend_schema(request=UpdateInput, responses=ArticleOutput)
    def patch(self, request: Request, article_id: int) -> Response:
        given = UpdateInput(data=request.data)
        given.is_valid(raise_exception=True)
        wanted = given.validated_data
        article = services.article_update(article_id=article_id, title=wanted.get("title"), content=wanted.get("content"))
        return Response(ArticleOutput(article).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, article_id: int) -> Response:
        services.article_delete(article_id=article_id)
        return Response(status=status.HTTP_204_NO_CONTENT)


class LikesView(APIView):
    """How many like an article."""

    @extend_schema(operation_id="articles_likes_count", responses=LikesOutput)
    def get(self, request: Request, article_id: int) -> Response:
        return Response(_likes(selectors.article_get(article_id)))


class LikeView(APIView):
    """Whether one user likes an article."""

    @extend_schema(responses=LikeOutput)
    def get(self, request: Request, article_id: int, user_id: int) -> Response:
        article = selectors.article_get(article_id)
        return self._answer(article, user_id, liked=selectors.is_liked(article_id=article_id, user_id=user_id))

    @extend_schema(request=None, responses=LikeOutput)
    def put(self, request: Request, article_id: int, user_id: int) -> Response:
        return self._answer(services.like_set(article_id=article_id, user_id=user_id, liked=True), user_id, liked=True)

    @extend_schema(responses={200: LikeOutput})
    def delete(self, request: Request, article_id: int, user_id: int) -> Response:
        return self._answer(services.like_set(article_id=article_id, user_id=user_id, liked=False), user_id, liked=False)

    @staticmethod
    def _answer(article: Article, user_id: int, *, liked: bool) -> Response:
        return Response({**_likes(article), "user_id": str(user_id), "liked": liked})


def _likes(article: Article) -> dict[str, Any]:
    return {"article_id": str(article.id), "like_count": article.like_count, "like_version": article.like_version}
