"""`script/chaos`: disturb for some minutes, check everything, and tell the figures."""

import argparse
import secrets
import sys
import tempfile
import time
from pathlib import Path

from tests.acceptance.chaos.checks import Broken
from tests.acceptance.chaos.disturb import Disturber
from tests.acceptance.chaos.figures import Figures
from tests.acceptance.chaos.plan import KILLS, Kind
from tests.acceptance.chaos.runner import Options, run


def main() -> int:
    """Run; 0 if every promise was kept."""
    options = _options()
    folder = Path(tempfile.mkdtemp(prefix="caravan-chaos-"))
    print(f"seed {options.seed}; folder {folder}", flush=True)
    start = time.monotonic()
    try:
        figures, disturber = run(options, folder)
    except Broken as broken:
        print(f"BROKEN: {broken}\nRun it again with --seed {options.seed}; logs are in {folder}/system/logs")
        return 1
    _show(figures, disturber, time.monotonic() - start)
    return 0


def _options() -> Options:
    reader = argparse.ArgumentParser(prog="script/chaos", description=__doc__)
    reader.add_argument("--minutes", type=float, default=10, help="how long things go wrong (10)")
    reader.add_argument("--seed", type=int, default=None, help="what goes wrong, and when; else drawn and printed")
    reader.add_argument("--rows", type=int, default=200_000, help="rows of each file (200000)")
    reader.add_argument("--every", type=float, default=3.0, help="seconds between disturbances, on average (3)")
    reader.add_argument("--workers", type=int, default=2, help="workers beside `serve`; 0 runs `caravan up` (2)")
    reader.add_argument("--store", choices=("folder", "s3"), help="where files are kept (s3; folder if no workers)")
    reader.add_argument("--uploads", choices=("api", "direct", "both"), help="who takes files (both; api if no s3)")
    reader.add_argument("--span-bytes", type=int, default=None, help="CARAVAN_SPAN_BYTES for all (unset)")
    read = reader.parse_args()
    store = read.store or ("s3" if read.workers else "folder")
    if store == "folder" and read.uploads in ("direct", "both"):
        reader.error("a folder takes no uploads: --uploads needs --store s3")
    return Options(
        secrets.randbelow(1 << 31) if read.seed is None else read.seed,
        read.minutes,
        read.rows,
        read.every,
        read.workers,
        store,
        read.uploads or ("both" if store == "s3" else "api"),
        tell=lambda line: print(line, flush=True),
        settings={} if read.span_bytes is None else {"SPAN_BYTES": str(read.span_bytes)},
    )


def _show(figures: Figures, disturber: Disturber, seconds: float) -> None:
    kills = sum(disturber.done[kind] for kind in KILLS)
    lines = [
        *((str(kind), f"{disturber.done[kind]:,}") for kind in Kind if disturber.done[kind]),
        ("kills in all", f"{kills:,}"),
        ("batches, all ended and balanced", f"{figures.batches:,}"),
        ("of these cancelled", f"{figures.cancelled:,}"),
        ("of these uploaded into the store itself", f"{figures.direct:,}"),
        ("looks at a ledger, all balanced", f"{figures.looks:,}"),
        ("pauses and cancels after which nothing arrived", f"{figures.silences:,}"),
        ("contacts", f"{figures.found.contacts:,}"),
        ("mails and calls journaled as sent, each received", f"{figures.found.sent:,}"),
        ("of these received again under the same key, where a step asks for that", f"{figures.found.repeats:,}"),
        ("journaled as unknown", f"{figures.found.unknown:,}"),
        ("of these received", f"{figures.found.unknown_but_received:,}"),
        ("longest from a kill to the next movement", f"{figures.longest_after_kill:.1f} s"),
        ("longest that nothing moved", f"{figures.longest_standstill:.1f} s"),
        ("longest that a silent worker kept a job while another could work", f"{figures.longest_orphan:.1f} s"),
        ("duration", f"{seconds:.0f} s"),
    ]
    print("\n| what | how often |\n|---|---|")
    print("\n".join(f"| {name} | {value} |" for name, value in lines))


if __name__ == "__main__":
    sys.exit(main())
