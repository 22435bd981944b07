"""Paths of the sample service."""

from django.urls import path, register_converter
from servicekit import health
from servicekit.fields import IdConverter

from sample_service import api

register_converter(IdConverter, "id")
handler400 = "servicekit.problems.bad_request"
handler404 = "servicekit.problems.not_found"
handler500 = "servicekit.problems.server_error"

urlpatterns = [
    path("v1/things", api.ThingsView.as_view()),
    path("v1/things/<id:thing_id>", api.ThingView.as_view()),
    path("v1/slow", api.SlowView.as_view()),
    path("livez", health.livez),
    path("readyz", health.readyz),
]
