"""Settings under Kafka's names: what there is (`definitions`), where values come from (`sources`), typed values (`broker`)."""

from broker.config.broker import BrokerConfig, TopicConfig
from broker.config.definitions import ConfigError

__all__ = ["BrokerConfig", "ConfigError", "TopicConfig"]
