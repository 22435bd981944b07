"""`./board bench`: our broker, or three of them, beside Apache Kafka, in alternating rounds, as tables of ratios.

Both are warmed up first (a JVM is half as fast before). Ratios are taken round by round; the median and the spread are
printed, and `docs/benchmarks.md` is written. A round that fails ends the run with its reason: no figure is made up.
"""

import argparse
import contextlib
import os
import platform
import statistics
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "bench")]

import failover  # noqa: E402
import measurements as measure  # noqa: E402
from brokers import Broker, OurBroker, OurCluster, TheirBroker, TheirCluster  # noqa: E402
from peers.apache_kafka import PeerMissing  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

MEGABYTE = 1_000_000
WARM_UP_BYTES = 800 * MEGABYTE
Bounds = dict[str, tuple[str, float, bool]]
# Figure, what must hold or is aimed at, and whether more is better. A bound with `aim` is a wish, not a promise.
BOUNDS: dict[int, Bounds] = {
    1: {
        "produce 1 kB, MB/s": ("must", 1.5, True),
        "produce 1 kB, CPU-s per GB": ("must", 0.5, False),
        "consume 1 kB, MB/s": ("must", 0.8, True),
        "produce 100 B, MB/s": ("aim", 1.0, True),
        "acknowledged p50, ms": ("aim", 1.2, False),
        "acknowledged p99, ms": ("aim", 1.0, False),
    },
    3: {
        "produce 1 kB, MB/s": ("must", 2.5, True),
        "produce 1 kB, CPU-s per GB": ("must", 0.33, False),
        "consume 1 kB, MB/s": ("must", 0.9, True),
        "produce 100 B, MB/s": ("must", 1.2, True),
        "acknowledged p50, ms": ("must", 0.6, False),
        "acknowledged p99, ms": ("must", 0.5, False),
        "produced to consumed p50, ms": ("must", 0.6, False),
        "produced to consumed p99, ms": ("must", 0.5, False),
        # No more than Kafka's. Both are the client's own time-out of 60 s, and it looks for time-outs once a second.
        "leader stopped (SIGSTOP), s without acknowledgement": ("must", 1.02, False),
        "1,000 partitions created, s": ("must", 1.0, False),
    },
}
# Figures that are bounded by themselves, not beside Apache Kafka's.
ABSOLUTE = {
    1: {"start to first acknowledged record, s": 0.4, "memory idle, MB": 60.0, "memory after load, MB": 120.0},
    3: {
        "start to first acknowledged record, s": 1.0,
        "memory idle, MB": 60.0,
        "memory after load, MB": 120.0,
        "leader killed, s without acknowledgement": 1.0,
        "leader killed that is the controller, s without acknowledgement": 1.0,
        "1,000 partitions, idle CPU of a broker, % of a core": 5.0,
        "a third of 1,000 partitions moved, s": 2.0,
    },
}
# Of these the worst of all counts, not the median.
WORST = frozenset(name for name in ABSOLUTE[3] if "killed" in name)
KINDS = {1: (OurBroker, TheirBroker), 3: (OurCluster, TheirCluster)}
Kind = type[OurBroker] | type[OurCluster] | type[TheirBroker]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./board bench", description="Measure the broker beside Apache Kafka 4.3.1.")
    parser.add_argument("--brokers", type=int, choices=(1, 3), default=1, help="one broker a side, or three (default 1)")
    parser.add_argument(
        "--kills", type=int, default=8, help="leaders killed per side, with three; half as many controllers (default 8)"
    )
    parser.add_argument("--rounds", type=int, default=3, help="alternating rounds (default 3)")
    parser.add_argument("--megabytes", type=int, default=400, help="produced and consumed per round and side (default 400)")
    parser.add_argument("--seconds", type=float, default=8.0, help="of single records per round and side (default 8)")
    parser.add_argument("--ours-only", action="store_true", help="without Apache Kafka: no ratios, nothing is written")
    parser.add_argument("--no-write", action="store_true", help="do not write docs/benchmarks.md")
    return parser.parse_args()


def settle_disk() -> None:
    """Write back what was measured before, and forget it: neither side pays for the other's.

    A virtual machine gives memory out slowly the first time. Where the page cache may not be emptied, what is measured last uses
    new memory, and writing costs several times as much on both sides.
    """
    os.sync()
    with contextlib.suppress(OSError):
        Path("/proc/sys/vm/drop_caches").write_text("1")


def one_round(broker: Broker, number: int, options: argparse.Namespace) -> measure.Figures:
    """All load measurements on a running, warm broker."""
    total = options.megabytes * MEGABYTE
    settle_disk()
    figures = measure.produce(broker, f"kilobyte-{number}", 1000, total)
    figures |= measure.consume(broker, f"kilobyte-{number}", total // 1000, 1000)
    settle_disk()
    figures |= measure.produce(broker, f"hundred-{number}", 100, total // 4)
    # Each round has topics of its own, so single records come to one of theirs as well.
    figures |= measure.single_records(broker, f"single-{number}", options.seconds)
    return figures


def break_figures(broker: Broker, options: argparse.Namespace, console: Console) -> list[measure.Figures]:
    """Leaders that are killed or stopped, and a thousand partitions."""
    assert isinstance(broker, OurCluster | TheirCluster)
    figures: list[measure.Figures] = []
    kills = options.kills if isinstance(broker, OurCluster) else max(1, options.kills // 4)
    for number in range(kills + kills // 2 + 1):
        controller = number >= kills
        what = "leader killed that is the controller" if controller else "leader killed"
        console.print(f"{broker.name}: {what} ({number + 1})")
        silence = failover.break_leader(broker, f"kill-{number}", controller=controller)
        figures.append(told({f"{what}, s without acknowledgement": silence}, console))
    console.print(f"{broker.name}: leader stopped")
    silence = failover.break_leader(broker, "stop", controller=False, pause=True)
    figures.append(told({"leader stopped (SIGSTOP), s without acknowledgement": silence}, console))
    console.print(f"{broker.name}: a thousand partitions")
    figures.append(told(failover.growth(broker, 1), console))
    return figures


def start_figures(kind: Kind, rounds: int) -> list[measure.Figures]:
    """Fresh brokers, one after another: start to first record, memory when idle."""
    figures = []
    for _ in range(rounds):
        with kind() as broker:
            figures.append(measure.first_record(broker) | measure.idle_memory(broker))
    return figures


def told(figures: measure.Figures, console: Console) -> measure.Figures:
    """The same figures, seen as soon as they are known: a run takes long."""
    console.print("; ".join(f"{name} {value:.2f}" for name, value in figures.items()))
    return figures


def measure_all(options: argparse.Namespace, console: Console) -> dict[str, list[measure.Figures]]:
    """By side: figures of each round, and of what was measured once."""
    kinds: tuple[Kind, ...] = KINDS[options.brokers][: 1 if options.ours_only else 2]
    results: dict[str, list[measure.Figures]] = {}
    for kind in kinds:
        console.print(f"starting fresh brokers: {kind.name}")
        results[kind.name] = start_figures(kind, options.rounds)
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
            for broker in running:
                console.print(f"round {number + 1} of {options.rounds}: {broker.name}")
                results[broker.name][number] |= told(one_round(broker, number, options), console)
        for broker in running:
            results[broker.name].append(measure.memory_after_load(broker))
            if options.brokers > 1:
                results[broker.name] += break_figures(broker, options, console)
    finally:
        for broker in running:
            broker.__exit__(None, None, None)
    return results


def values(figures: list[measure.Figures], name: str) -> list[float]:
    return [one[name] for one in figures if name in one]


def rows(results: dict[str, list[measure.Figures]], brokers: int) -> list[tuple[str, ...]]:
    """Figure, ours, theirs, median ratio, spread, bound, verdict."""
    ours, theirs = results["ours"], results.get("Apache Kafka", [])
    made: list[tuple[str, ...]] = []
    for name in dict.fromkeys(name for figures in ours for name in figures):
        mine, other = values(ours, name), values(theirs, name)
        shown = max(mine) if name in WORST else statistics.median(mine)
        if not other:
            made.append((name, f"{shown:.2f}", "-", "-", "-", *verdict(name, shown, None, brokers)))
            continue
        # Rounds alternate, so they are compared one by one; what was done more often on one side is compared by its median.
        alike = len(mine) == len(other)
        ratios = [a / b for a, b in zip(mine, other, strict=True)] if alike else [shown / statistics.median(other)]
        ratio = statistics.median(ratios)
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}" if len(ratios) > 1 else "-"
        theirs_shown = max(other) if name in WORST else statistics.median(other)
        made.append((name, f"{shown:.2f}", f"{theirs_shown:.2f}", f"{ratio:.2f}", spread, *verdict(name, shown, ratio, brokers)))
    return made


def verdict(name: str, value: float, ratio: float | None, brokers: int) -> tuple[str, str]:
    bound = ABSOLUTE[brokers].get(name)
    if bound is not None:
        return f"must be <= {bound:g}", "holds" if value <= bound else "MISSED"
    if name not in BOUNDS[brokers] or ratio is None:
        return "", ""
    word, limit, more_is_better = BOUNDS[brokers][name]
    holds = ratio >= limit if more_is_better else ratio <= limit
    relation = ">=" if more_is_better else "<="
    return f"{word} {relation} {limit:g} x", "holds" if holds else ("MISSED" if word == "must" else "not reached")


HEADER = ("figure", "ours", "Apache Kafka", "ratio", "spread", "bound", "verdict")


TITLES = {1: "One broker", 3: "Three brokers, replication factor 3, acks=all, min.insync.replicas 2"}
INTRODUCTION = """# Benchmarks

Our broker beside Apache Kafka 4.3.1, both with their shipped defaults, on loopback, data on disk, measured by `./board bench`
(`bench/`): one client on librdkafka, random uncompressed values, `acks=all`, `linger.ms=5`, `batch.size=131072`, 3 partitions,
1,000 records in a row per partition; consume by manual assignment from offset 0, everything counted; single records with
`linger.ms=0`, 250 a second, 100 bytes, the consumer in a thread of the same process. CPU seconds are those of all broker
processes, memory that of one. Both sides are warmed up with 800 MB first; before each measurement everything is written back
and the page cache is emptied (as root), so that neither side pays for what the other wrote. Absolute figures move by a third
from run to run on such a machine; the ratio is the median of the rounds' ratios, the spread their extremes. Where a leader is
killed, 200 records a second go to its partition; silence is the longest time between two acknowledgements, the worst of all
kills is shown, and every acknowledged record is read again afterwards. With three brokers what is consumed comes from the disk,
whose own speed wanders between 170 and 700 MB/s on that machine; from one run to the next that ratio has been 0.63 and 1.02.

Repeat it with `./board bench` and `./board bench --brokers 3` (`--rounds`, `--megabytes`, `--seconds`, `--kills`). It needs
Java 17 and Maven for the other side, and nothing else running beside it.
"""


def write_page(table: list[tuple[str, ...]], options: argparse.Namespace) -> None:
    """Replace this run's section of docs/benchmarks.md and keep the other."""
    title = f"## {TITLES[options.brokers]}"
    section = [
        title,
        "",
        f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python "
        f"{platform.python_version()}; {options.rounds} alternating rounds of {options.megabytes} MB.",
        "",
        "| " + " | ".join(HEADER) + " |",
        "|---|---:|---:|---:|---|---|---|",
        *("| " + " | ".join(row) + " |" for row in table),
        "",
    ]
    path = ROOT / "docs" / "benchmarks.md"
    sections = ["## " + part for part in path.read_text().split("\n## ")[1:]] if path.exists() else []
    kept = {part.splitlines()[0]: part.strip() + "\n" for part in sections}
    kept[title] = "\n".join(section)
    ordered = [kept[f"## {TITLES[count]}"] for count in sorted(TITLES) if f"## {TITLES[count]}" in kept]
    path.write_text("\n".join([INTRODUCTION, *ordered]))


def main() -> int:
    options = arguments()
    console = Console(highlight=False)
    try:
        results = measure_all(options, console)
    except PeerMissing as missing:
        console.print(f"bench: {missing}; ./board bench --ours-only measures our side alone", markup=False)
        return 1
    table = Table(*HEADER, box=None)
    made = rows(results, options.brokers)
    for row in made:
        table.add_row(*row)
    console.width = max(console.width, 130)
    console.print(table)
    if not options.no_write and not options.ours_only:
        write_page(made, options)
    return 1 if any(row[-1] == "MISSED" for row in made) else 0


if __name__ == "__main__":
    sys.exit(main())
