"""`broker start [server.properties] [--override key=value]…`: run a broker in the foreground.

Settings come from the file, then KAFKA_* variables, then --override; without a file the values of Kafka's shipped
server.properties hold. CLUSTER_ID, as in the apache/kafka image, names the cluster of a directory that is formatted now.
"""

import argparse
import logging
import os
import sys
from pathlib import Path

from broker.config import BrokerConfig, ConfigError
from broker.config.sources import combine
from broker.node.broker import Broker
from broker.node.runtime import MakeWorld, StartError, real_world, run

log = logging.getLogger("broker.config")


def load_config(file: str | None, overrides: list[str]) -> BrokerConfig:
    """ConfigError names what is wrong, and the file when it cannot be read."""
    text = None
    if file is not None:
        try:
            text = Path(file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"cannot read {file}: {getattr(error, 'strerror', None) or error}") from error
    return BrokerConfig(combine(text, os.environ, overrides))


def main(argv: list[str], world: MakeWorld = real_world) -> int:
    """`world` gives the node its ports; tests hand in others."""
    parser = argparse.ArgumentParser(prog="broker start", description=__doc__)
    parser.add_argument("file", nargs="?", help="server.properties")
    parser.add_argument("--override", action="append", default=[], metavar="KEY=VALUE", help="a setting over all others")
    options = parser.parse_args(argv)
    logging.basicConfig(
        level=os.environ.get("BROKER_LOG_LEVEL", "INFO").upper(),
        stream=sys.stderr,
        format="[%(asctime)s] %(levelname)s %(message)s (%(name)s)",
    )
    try:
        config = load_config(options.file, options.override)
        for line in config.without_effect():
            log.warning(line)
        run(config, os.environ.get("CLUSTER_ID") or None, _say_ready, world)
    except (ConfigError, StartError) as error:
        print(f"broker start: {error}", file=sys.stderr)
        return 1
    return 0


def _say_ready(broker: Broker) -> None:
    print(f"ready {broker.bootstrap_servers} node {broker.config.node_id} cluster {broker.cluster_id}", flush=True)
