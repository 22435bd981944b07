"""ApiVersions (API key 18), versions 0-4: the table of this listener, and the finalised features.

A version the broker does not know is answered in version 0 with error 35 and the range of ApiVersions itself (KIP-511).
"""

from broker.metadata.records import SUPPORTED_FEATURES
from broker.protocol.api_keys import ApiKey
from broker.protocol.errors import ErrorCode
from broker.protocol.messages.api_versions import (
    ApiVersion,
    ApiVersionsRequest,
    ApiVersionsResponse,
    FinalizedFeatureKey,
    SupportedFeatureKey,
)
from broker.server.api_table import ADVERTISED_FIRST, BROKER, BY_KEY, CONTROLLER, Api, served_on
from broker.server.services import BrokerServices, RequestContext

NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.")


def handle(request: ApiVersionsRequest, context: RequestContext, broker: BrokerServices) -> ApiVersionsResponse:
    row = BY_KEY[ApiKey.API_VERSIONS]
    if not row.first <= context.api_version <= row.last:
        return ApiVersionsResponse(error_code=ErrorCode.UNSUPPORTED_VERSION, api_keys=[_range(row)])
    if context.api_version >= 3 and not (_is_name(request.client_software_name) and _is_name(request.client_software_version)):
        return ApiVersionsResponse(error_code=ErrorCode.INVALID_REQUEST)
    kind = CONTROLLER if context.listener_name in broker.config.controller_listener_names else BROKER
    image = broker.metadata.image
    supported = [
        # Before version 4 a client cannot read a minimum of 0.
        SupportedFeatureKey(name=name, min_version=first, max_version=last)
        for name, (first, last) in SUPPORTED_FEATURES.items()
        if first > 0 or context.api_version >= 4
    ]
    finalized = [
        FinalizedFeatureKey(name=name, min_version_level=level, max_version_level=level)
        for name, level in sorted(image.features.items())
        if level > 0
    ]
    return ApiVersionsResponse(
        api_keys=[_range(api) for api in served_on(kind)],
        supported_features=supported,
        finalized_features=finalized,
        finalized_features_epoch=image.offset,
    )


def _range(api: Api) -> ApiVersion:
    return ApiVersion(api_key=api.key, min_version=ADVERTISED_FIRST.get(api.key, api.first), max_version=api.last)


def _is_name(text: str) -> bool:
    """Letters, digits, dashes and dots, beginning and ending with a letter or a digit (KIP-511)."""
    return bool(text) and set(text) <= NAME_CHARACTERS and text[0].isalnum() and text[-1].isalnum()
