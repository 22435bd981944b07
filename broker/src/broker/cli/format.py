"""`broker format -t CLUSTER_ID -c server.properties`: write the identity of a log directory, as kafka-storage.sh does."""

import argparse
import asyncio
import sys

from broker.cli.start import load_config
from broker.clock.randomness import Randomness
from broker.clock.real import RealClock
from broker.config import ConfigError
from broker.log.log_manager import LogManager
from broker.log.properties import DirectoryError
from broker.node.identity import format_directory
from broker.storage.real import RealStorage


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="broker format", description=__doc__)
    parser.add_argument("-t", "--cluster-id", required=True, help="as `broker random-uuid` prints it")
    parser.add_argument("-c", "--config", help="server.properties")
    parser.add_argument("--override", action="append", default=[], metavar="KEY=VALUE", help="a setting over all others")
    parser.add_argument("-g", "--ignore-formatted", action="store_true", help="a formatted directory is left as it is")
    parser.add_argument("--standalone", action="store_true", help="accepted: a quorum of one is the only one so far")
    options = parser.parse_args(argv)
    loop = asyncio.new_event_loop()
    storage = RealStorage(loop.call_soon_threadsafe)
    try:
        config = load_config(options.config, options.override)
        logs = LogManager(storage, RealClock(loop), config.log_directory, lambda failure: None)
        logs.claim()
        try:
            if logs.meta is not None and options.ignore_formatted:
                print(f"{config.log_directory} is already formatted for cluster {logs.meta.cluster_id}")
                return 0
            format_directory(logs, storage, options.cluster_id, config.node_id, Randomness())
        finally:
            logs.release()
    except (ConfigError, DirectoryError, OSError) as error:
        print(f"broker format: {error}", file=sys.stderr)
        return 1
    finally:
        loop.close()
    print(f"Formatting {config.log_directory} with cluster id {options.cluster_id}.")
    return 0
