"""What a broker says of itself when it registers: its endpoints as others reach them, its features, its directory."""

import uuid
from collections.abc import Mapping

from broker.config import BrokerConfig
from broker.log.properties import MetaProperties
from broker.metadata.records import ELR_FEATURE, ELR_VERSION, METADATA_VERSION, METADATA_VERSION_FEATURE
from broker.protocol.messages.broker_registration import BrokerRegistrationRequest, Feature, Listener

# Apache Kafka 4.3 begins with 3.3-IV3.
METADATA_VERSION_MIN = 7
# Where a listener is advertised that is bound to every address.
EVERY_ADDRESS = frozenset({"", "0.0.0.0", "::"})
LOCAL_HOST = "localhost"


def registration_request(
    config: BrokerConfig,
    ports: Mapping[str, int],
    meta: MetaProperties,
    incarnation_id: uuid.UUID,
    previous_broker_epoch: int,
) -> BrokerRegistrationRequest:
    """`ports`: what each listener is bound to, for those that asked for any free port."""
    listeners = []
    for endpoint in config.broker_listeners:
        advertised = config.advertised[endpoint.name]
        host = LOCAL_HOST if advertised.host in EVERY_ADDRESS else advertised.host
        listeners.append(Listener(name=endpoint.name, host=host, port=advertised.port or ports[endpoint.name]))
    return BrokerRegistrationRequest(
        broker_id=config.node_id,
        cluster_id=meta.cluster_id,
        incarnation_id=incarnation_id,
        listeners=listeners,
        features=[
            Feature(
                name=METADATA_VERSION_FEATURE,
                min_supported_version=METADATA_VERSION_MIN,
                max_supported_version=METADATA_VERSION,
            ),
            Feature(name=ELR_FEATURE, min_supported_version=0, max_supported_version=ELR_VERSION),
        ],
        rack=config.value("broker.rack") or None,
        log_dirs=[meta.directory_id],
        previous_broker_epoch=previous_broker_epoch,
    )
