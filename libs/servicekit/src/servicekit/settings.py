"""The Django settings that all services have in common; each service's settings module takes them over and adds its own.

Everything comes from the environment. Not here: anything about one service's business.
"""

import secrets
from typing import Any

from servicekit import environment

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
REQUEST_BYTES_MAX = 1 << 20
ALLOWED_HOSTS = "127.0.0.1,localhost,[::1],testserver"


def base_settings(service: str, apps: list[str], *, database: bool, worker_components: list[str]) -> dict[str, Any]:
    """`worker_components`: dotted names of functions that make the parts of the worker (`servicekit.processes.Component`)."""
    return {
        "SERVICE": service,
        "SECRET_KEY": environment.text("DJANGO_SECRET_KEY", secrets.token_urlsafe(32)),
        "DEBUG": False,
        "ALLOWED_HOSTS": [host.strip() for host in environment.text("ALLOWED_HOSTS", ALLOWED_HOSTS).split(",")],
        "ROOT_URLCONF": f"{service}.urls",
        "INSTALLED_APPS": [
            "rest_framework",
            "drf_spectacular",
            "servicekit",
            *(["servicekit.ids", "servicekit.outbox"] if database else []),
            *apps,
        ],
        "MIDDLEWARE": ["servicekit.correlation.CorrelationMiddleware", "django.middleware.common.CommonMiddleware"],
        "HAS_DATABASE": database,
        "DATABASES": {"default": environment.database()} if database else {},
        "DEFAULT_AUTO_FIELD": "django.db.models.BigAutoField",
        "USE_TZ": True,
        "TIME_ZONE": "UTC",
        "APPEND_SLASH": False,
        "DATA_UPLOAD_MAX_MEMORY_SIZE": REQUEST_BYTES_MAX,
        "TEMPLATES": [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
        "REST_FRAMEWORK": _rest_framework(),
        "SPECTACULAR_SETTINGS": {
            "TITLE": f"board: {service}",
            "VERSION": "1",
            "SERVE_INCLUDE_SCHEMA": False,
            "POSTPROCESSING_HOOKS": ["servicekit.openapi.add_problems"],
        },
        "LOGGING": _logging(environment.choice("LOG_LEVEL", LOG_LEVELS, "INFO")),
        "KAFKA_BOOTSTRAP_SERVERS": environment.bootstrap_servers("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092"),
        "VALKEY_URL": environment.url("VALKEY_URL", ("redis",), "redis://127.0.0.1:6379/0"),
        "WORKER_COMPONENTS": worker_components,
    }


def _rest_framework() -> dict[str, Any]:
    return {
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        "DEFAULT_PARSER_CLASSES": ["servicekit.parsing.StrictJsonParser"],
        # Answers have one format; a parameter of this name is none of ours.
        "URL_FORMAT_OVERRIDE": None,
        "DEFAULT_AUTHENTICATION_CLASSES": [],
        "DEFAULT_PERMISSION_CLASSES": [],
        "UNAUTHENTICATED_USER": None,
        "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
        "EXCEPTION_HANDLER": "servicekit.problems.handle",
    }


def _logging(level: str) -> dict[str, Any]:
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": "servicekit.logs.JsonFormatter"}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {"django.request": {"level": "ERROR"}, "waitress.queue": {"level": "ERROR"}},
    }
