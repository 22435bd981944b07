"""Paths of the read-view service."""

from django.urls import path, register_converter
from drf_spectacular.views import SpectacularAPIView
from servicekit import health
from servicekit.fields import IdConverter

from read_view import api

register_converter(IdConverter, "id")
handler400 = "servicekit.problems.bad_request"
handler404 = "servicekit.problems.not_found"
handler500 = "servicekit.problems.server_error"

urlpatterns = [
    path("v1/articles", api.ArticlesView.as_view()),
    path("v1/articles/<id:article_id>", api.ArticleView.as_view()),
    path("v1/openapi", SpectacularAPIView.as_view()),
    path("livez", health.livez),
    path("readyz", health.readyz),
]
