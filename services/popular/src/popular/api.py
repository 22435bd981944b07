"""The REST API: shapes in, shapes out. No business rules."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from servicekit.fields import IdField

from popular import selectors


class ItemOutput(serializers.Serializer[Any]):
    rank = serializers.IntegerField()
    article_id = IdField()
    board_id = IdField()
    title = serializers.CharField()
    score = serializers.IntegerField()
    like_count = serializers.IntegerField()
    comment_count = serializers.IntegerField()


class PopularOutput(serializers.Serializer[Any]):
    date = serializers.DateField()
    items = ItemOutput(many=True)


class PopularView(APIView):
    """The popular articles of a day."""

    @extend_schema(parameters=[OpenApiParameter("date", str)], responses=PopularOutput)
    def get(self, request: Request) -> Response:
        day = selectors.parse_day(request.query_params.get("date"))
        return Response({"date": day.isoformat(), "items": selectors.popular_list(day)})
