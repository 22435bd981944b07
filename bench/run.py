"""`./board bench`: our broker beside Apache Kafka, in alternating rounds, as a table of ratios and as docs/benchmarks.md.

Both are warmed up first (a JVM is half as fast before). Ratios are taken round by round; the median and the spread are
printed. A round that fails ends the run with its reason: no figure is made up.
"""

import argparse
import os
import platform
import statistics
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "bench")]

import measurements as measure  # noqa: E402
from brokers import Broker, OurBroker, TheirBroker  # noqa: E402
from peers.apache_kafka import PeerMissing  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

MEGABYTE = 1_000_000
WARM_UP_BYTES = 800 * MEGABYTE
# Figure, what must hold or is aimed at, and whether more is better. A bound with `aim` is a wish, not a promise.
BOUNDS: dict[str, tuple[str, float, bool]] = {
    "produce 1 kB, MB/s": ("must", 1.5, True),
    "produce 1 kB, CPU-s per GB": ("must", 0.5, False),
    "consume 1 kB, MB/s": ("must", 0.8, True),
    "produce 100 B, MB/s": ("aim", 1.0, True),
    "acknowledged p50, ms": ("aim", 1.2, False),
    "acknowledged p99, ms": ("aim", 1.0, False),
}
# Figures that are bounded by themselves, not beside Apache Kafka's.
ABSOLUTE = {
    "start to first acknowledged record, s": 0.4,
    "memory idle, MB": 60.0,
    "memory after load, MB": 120.0,
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./board bench", description="Measure the broker beside Apache Kafka 4.3.1.")
    parser.add_argument("--rounds", type=int, default=3, help="alternating rounds (default 3)")
    parser.add_argument("--megabytes", type=int, default=400, help="produced and consumed per round and side (default 400)")
    parser.add_argument("--seconds", type=float, default=8.0, help="of single records per round and side (default 8)")
    parser.add_argument("--ours-only", action="store_true", help="without Apache Kafka: no ratios, nothing is written")
    parser.add_argument("--no-write", action="store_true", help="do not write docs/benchmarks.md")
    return parser.parse_args()


def one_round(broker: Broker, number: int, options: argparse.Namespace) -> measure.Figures:
    """All load measurements on a running, warm broker."""
    total = options.megabytes * MEGABYTE
    figures = measure.produce(broker, f"kilobyte-{number}", 1000, total)
    figures |= measure.consume(broker, f"kilobyte-{number}", total // 1000, 1000)
    figures |= measure.produce(broker, f"hundred-{number}", 100, total // 4)
    # Each round has topics of its own, so single records come to one of theirs as well.
    figures |= measure.single_records(broker, f"single-{number}", options.seconds)
    return figures


def start_figures(kind: type[OurBroker] | type[TheirBroker], rounds: int) -> list[measure.Figures]:
    """Fresh brokers, one after another: start to first record, memory when idle."""
    figures = []
    for _ in range(rounds):
        with kind() as broker:
            figures.append(measure.first_record(broker) | measure.idle_memory(broker))
    return figures


def measure_all(options: argparse.Namespace, console: Console) -> dict[str, list[measure.Figures]]:
    kinds: list[type[OurBroker] | type[TheirBroker]] = [OurBroker] if options.ours_only else [OurBroker, TheirBroker]
    results: dict[str, list[measure.Figures]] = {}
    for kind in kinds:
        console.print(f"starting fresh brokers: {kind.__name__}")
        results[kind.__name__] = start_figures(kind, options.rounds)
    running: list[Broker] = []
    try:
        for kind in kinds:
            broker = kind()
            broker.__enter__()
            running.append(broker)
            measure.first_record(broker)
            console.print(f"warming up {broker.name}")
            measure.produce(broker, "warm-up", 1000, WARM_UP_BYTES)
        for number in range(options.rounds):
            for kind, broker in zip(kinds, running, strict=True):
                console.print(f"round {number + 1} of {options.rounds}: {broker.name}")
                results[kind.__name__][number] |= one_round(broker, number, options)
        for kind, broker in zip(kinds, running, strict=True):
            memory = measure.memory_after_load(broker)
            results[kind.__name__] = [figures | memory for figures in results[kind.__name__]]
    finally:
        for broker in running:
            broker.__exit__(None, None, None)
    return results


def rows(results: dict[str, list[measure.Figures]]) -> list[tuple[str, ...]]:
    """Figure, ours, theirs, median ratio, spread, bound, verdict."""
    ours, theirs = results["OurBroker"], results.get("TheirBroker")
    made: list[tuple[str, ...]] = []
    for name in ours[0]:
        mine = [figures[name] for figures in ours]
        median = statistics.median(mine)
        if theirs is None:
            made.append((name, f"{median:.2f}", "-", "-", "-", *verdict(name, median, None)))
            continue
        other = [figures[name] for figures in theirs]
        ratios = [a / b if b else float("nan") for a, b in zip(mine, other, strict=True)]
        ratio = statistics.median(ratios)
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        made.append(
            (name, f"{median:.2f}", f"{statistics.median(other):.2f}", f"{ratio:.2f}", spread, *verdict(name, median, ratio))
        )
    return made


def verdict(name: str, value: float, ratio: float | None) -> tuple[str, str]:
    if name in ABSOLUTE:
        return f"must be <= {ABSOLUTE[name]:g}", "holds" if value <= ABSOLUTE[name] else "MISSED"
    if name not in BOUNDS or ratio is None:
        return "", ""
    word, bound, more_is_better = BOUNDS[name]
    holds = ratio >= bound if more_is_better else ratio <= bound
    relation = ">=" if more_is_better else "<="
    return f"{word} {relation} {bound:g} x", "holds" if holds else ("MISSED" if word == "must" else "not reached")


HEADER = ("figure", "ours", "Apache Kafka", "ratio", "spread", "bound", "verdict")


def write_page(table: list[tuple[str, ...]], options: argparse.Namespace) -> None:
    lines = [
        "# Benchmarks",
        "",
        "One broker beside one Apache Kafka 4.3.1, both with their shipped defaults, on loopback, data on disk, measured by",
        "`./board bench` (`bench/`): one client on librdkafka, random uncompressed values, `acks=all`, `linger.ms=5`,",
        "`batch.size=131072`, 3 partitions, 1,000 records in a row per partition; consume by manual assignment from offset 0,",
        "everything counted; single records with `linger.ms=0`, 250 a second, 100 bytes, the consumer in a thread of the same",
        "process. CPU seconds are those of the broker process. Both are warmed up with 800 MB first.",
        "",
        f"Last run: {time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python "
        f"{platform.python_version()}; {options.rounds} alternating rounds of {options.megabytes} MB. Absolute figures move by a",
        "third from run to run on such a machine; the ratio is the median of the rounds' ratios, the spread their extremes.",
        "",
        "| " + " | ".join(HEADER) + " |",
        "|---|---:|---:|---:|---|---|---|",
        *("| " + " | ".join(row) + " |" for row in table),
        "",
        "Repeat it with `./board bench` (`--rounds`, `--megabytes`, `--seconds`). It needs Java 17 and Maven for the other side.",
        "",
    ]
    (ROOT / "docs" / "benchmarks.md").write_text("\n".join(lines))


def main() -> int:
    options = arguments()
    console = Console(highlight=False)
    try:
        results = measure_all(options, console)
    except PeerMissing as missing:
        console.print(f"bench: {missing}; ./board bench --ours-only measures our side alone", markup=False)
        return 1
    table = Table(*HEADER, box=None)
    made = rows(results)
    for row in made:
        table.add_row(*row)
    console.width = max(console.width, 130)
    console.print(table)
    if not options.no_write and not options.ours_only:
        write_page(made, options)
    return 1 if any(row[-1] == "MISSED" for row in made) else 0


if __name__ == "__main__":
    sys.exit(main())
