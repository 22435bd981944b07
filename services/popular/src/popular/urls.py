"""Paths of the popular service."""

from django.urls import path
from drf_spectacular.views import SpectacularAPIView
from servicekit import health

from popular import api

handler400 = "servicekit.problems.bad_request"
handler404 = "servicekit.problems.not_found"
handler500 = "servicekit.problems.server_error"

urlpatterns = [
    path("v1/popular", api.PopularView.as_view()),
    path("v1/openapi", SpectacularAPIView.as_view()),
    path("livez", health.livez),
    path("readyz", health.readyz),
]
