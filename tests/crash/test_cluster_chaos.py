"""Three brokers that are killed, paused, cut off, out of room and restarted under load, and nothing acknowledged is lost.

A fault counts only when it was seen, and when at least 100 records were acknowledged since the one before. At the end every
acknowledged record is there once and in order, the group is at the end, all replicas are in sync, the three directories agree,
and Kafka's own dump-log finds nothing in any of their files. BOARD_SEED repeats a sequence of faults; BOARD_CHAOS_FAULTS makes
a longer one.
"""

import os
import random
import time
from pathlib import Path

import pytest
from broker.testing.cluster import Cluster
from confluent_kafka.admin import AdminClient, NewTopic
from conformance.dump_log import dump_log_problems
from crash.chaos_check import directory_problems, everything, high_watermark_problems, lags, record_problems
from crash.chaos_faults import Faults
from crash.chaos_load import DELIVERY_TIMEOUT_SECONDS, PARTITIONS, QUIET, TOPIC, Load
from waiting import wait_until

SEED = int(os.environ.get("BOARD_SEED", "0")) or 20260925
FAULTS = int(os.environ.get("BOARD_CHAOS_FAULTS", "0")) or len(Faults.KINDS)
ACKNOWLEDGED_BETWEEN = 100
# Small segments and frequent checkpoints, so that faults meet rolls, fsyncs and recovery points.
OVERRIDES = {
    "log.segment.bytes": "1048576",
    "offsets.topic.num.partitions": "1",
    "log.flush.offset.checkpoint.interval.ms": "500",
    "replica.high.watermark.checkpoint.interval.ms": "500",
    # A follower that stays behind is out of the ISR before the session of one that stands still is over.
    "replica.lag.time.max.ms": "5000",
}


def say(text: str) -> None:
    print(text, flush=True)


def break_it(load: Load, faults: Faults, rng: random.Random) -> None:
    """All planned faults, with the progress of the clients between them."""
    for number, kind in enumerate(faults.plan(FAULTS), 1):
        before = load.acknowledged_count
        what = f"{ACKNOWLEDGED_BETWEEN} acknowledgements before fault {number}"
        wait_until(lambda: load.acknowledged_count >= before + ACKNOWLEDGED_BETWEEN, what, DELIVERY_TIMEOUT_SECONDS)  # noqa: B023
        time.sleep(rng.random())
        began = time.monotonic()
        seen = faults.make(kind)
        say(f"{number} {seen} ({time.monotonic() - began:.1f} s, {load.acknowledged_count} acknowledged)")
        assert load.failed == []


def settle(cluster: Cluster, load: Load) -> list[dict[int, int]]:
    """Everything is acknowledged, read, committed and in sync; the records."""
    load.stop_producing()
    cluster.wait_until_in_sync()
    found: list[dict[int, int]] = everything(cluster.bootstrap_servers)
    wait_until(lambda: load.committed == [len(one) for one in found], "the group has committed the ends")
    load.stop_reading()
    assert load.failed == []
    assert record_problems(load, found) == []
    assert lags(cluster.bootstrap_servers) == [0] * PARTITIONS
    # A follower hears of the last high watermark with its next fetch, and notes it with its next checkpoint.
    wait_until(lambda: high_watermark_problems(cluster, found) == [], "every replica has noted the ends as its high watermarks")
    return found


@pytest.mark.timeout(120 + 60 * FAULTS)
def test_nothing_acknowledged_is_lost_in_a_cluster(kafka_jars: str, tmp_path: Path) -> None:
    rng = random.Random(SEED)
    say(f"BOARD_SEED={SEED} BOARD_CHAOS_FAULTS={FAULTS}")
    with Cluster(3, OVERRIDES, tmp_path, partitionable=True) as cluster:
        admin = AdminClient({"bootstrap.servers": cluster.bootstrap_servers, **QUIET})
        for future in admin.create_topics([NewTopic(TOPIC, PARTITIONS, 3)]).values():
            future.result(30)
        load = Load(cluster.bootstrap_servers)
        faults = Faults(cluster, rng, load)
        load.start()
        try:
            wait_until(lambda: min(load.committed) > 0, "the group commits")
            cluster.wait_until_in_sync()
            break_it(load, faults, rng)
            found = settle(cluster, load)
        except (AssertionError, TimeoutError, RuntimeError):
            say(f"seed {SEED}, failures: {load.failed[:20]}\n{faults.diagnosis()}")
            raise
        finally:
            load.end()
        say(f"{dict(faults.made)}: {load.acknowledged_count} acknowledged, {sum(load.sent)} sent")
    assert high_watermark_problems(cluster, found) == []
    assert directory_problems(cluster) == []
    assert dump_log_problems(*(cluster.brokers[one].data for one in cluster.ids)) == []
