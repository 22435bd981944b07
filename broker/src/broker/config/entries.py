"""Settings as they are shown: value, where it comes from, and what would hold otherwise. Source: ``ConfigHelper``."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum

from broker.config.broker import BrokerConfig
from broker.config.definitions import BROKER_SETTINGS, BY_NAME, TOPIC_SETTINGS, Setting


class ConfigSource(IntEnum):
    """Where a value comes from, from the strongest to the weakest."""

    TOPIC = 1
    DYNAMIC_BROKER = 2
    DYNAMIC_DEFAULT_BROKER = 3
    STATIC_BROKER = 4
    DEFAULT = 5


TYPE_NUMBERS = {"boolean": 1, "string": 2, "int": 3, "long": 5, "list": 7}


@dataclass(frozen=True)
class Synonym:
    """One place where the value is or could be set."""

    name: str
    value: str
    source: ConfigSource


@dataclass(frozen=True)
class ConfigEntry:
    """One setting as it is shown."""

    name: str
    value: str | None
    source: ConfigSource
    type: int
    doc: str
    read_only: bool = False
    synonyms: list[Synonym] = field(default_factory=list)


@dataclass(frozen=True)
class DynamicSettings:
    """Broker settings changed at run time: of one broker, and of all."""

    own: Mapping[str, str] = field(default_factory=dict)
    cluster: Mapping[str, str] = field(default_factory=dict)


def topic_entries(broker: BrokerConfig, overrides: Mapping[str, str], dynamic: DynamicSettings) -> list[ConfigEntry]:
    """Every setting of a topic, by name."""
    found = []
    for name, setting in sorted(TOPIC_SETTINGS.items()):
        synonyms = [Synonym(name, overrides[name], ConfigSource.TOPIC)] if name in overrides else []
        value = setting.render(broker.value(setting.name))
        found.append(_entry(name, setting, value, synonyms + _broker_synonyms(broker, setting, dynamic)))
    return found


def broker_entries(broker: BrokerConfig, dynamic: DynamicSettings) -> list[ConfigEntry]:
    """Every setting of a broker, by name."""
    found = []
    for setting in sorted(BROKER_SETTINGS, key=lambda setting: setting.name):
        value = None if setting.default is None else setting.render(setting.default)
        synonyms = _broker_synonyms(broker, setting, dynamic)
        found.append(_entry(setting.name, setting, value, synonyms, read_only=not setting.dynamic))
    return found


def cluster_entries(broker: BrokerConfig, dynamic: DynamicSettings) -> list[ConfigEntry]:
    """What was set for all brokers at run time; what a single one has in its file does not belong there."""
    shown = [entry for entry in broker_entries(broker, DynamicSettings(cluster=dynamic.cluster)) if entry.name in dynamic.cluster]
    return [replace(entry, synonyms=entry.synonyms[:1]) for entry in shown]


def _broker_synonyms(broker: BrokerConfig, setting: Setting, dynamic: DynamicSettings) -> list[Synonym]:
    """From the strongest to the weakest; those in larger units only behind one that is set, as Kafka has it."""
    found = []
    if setting.name in dynamic.own:
        found.append(Synonym(setting.name, dynamic.own[setting.name], ConfigSource.DYNAMIC_BROKER))
    if setting.name in dynamic.cluster:
        found.append(Synonym(setting.name, dynamic.cluster[setting.name], ConfigSource.DYNAMIC_DEFAULT_BROKER))
    found += _static_synonyms(broker, setting)
    while found and setting.coarser:
        setting = BY_NAME[setting.coarser]
        found += _static_synonyms(broker, setting)
    return found


def _static_synonyms(broker: BrokerConfig, setting: Setting) -> list[Synonym]:
    found = []
    if setting.name in broker.given:
        found.append(Synonym(setting.name, setting.render(broker.given[setting.name]), ConfigSource.STATIC_BROKER))
    if setting.default is not None:
        found.append(Synonym(setting.name, setting.render(setting.default), ConfigSource.DEFAULT))
    return found


def _entry(name: str, setting: Setting, default: str | None, synonyms: list[Synonym], *, read_only: bool = False) -> ConfigEntry:
    """`default`: what holds where no synonym says it."""
    value, source = (synonyms[0].value, synonyms[0].source) if synonyms else (default, ConfigSource.DEFAULT)
    return ConfigEntry(name, value, source, TYPE_NUMBERS[setting.type], setting.doc, read_only, synonyms)
