"""`python -m lab bench`: the write stall of five ways to make a snapshot, in three worlds."""

import time
from pathlib import Path

from lab.bench import report, ways
from lab.bench.measure import WORLDS, measure
from lab.errors import LabError
from lab.stage import Stage


def bench(workdir: Path, output: Path, *, rounds: int) -> int:
    """Measure, print the table, and write bench.json and bench.png into `output`."""
    output.mkdir(parents=True, exist_ok=True)
    # The two probes are all that writes: the demo's load would keep one of two cores busy, and a
    # lock that waits 10 ms for an UPDATE tells nothing of who took it.
    with Stage(workdir, say=print, prefill=True, load=False) as stage:
        if stage.region.not_real:
            raise LabError(f"the benchmark needs real disks: {stage.region.not_real}")
        with ways.ready(stage) as all_ways:
            stalls = []
            each = len(WORLDS) * len(all_ways.named)
            began = time.monotonic()
            for stall in measure(all_ways, rounds):
                stalls.append(stall)
                done = len(stalls)
                if done % each == 0:
                    seconds = time.monotonic() - began
                    left = seconds / done * (rounds * each - done)
                    print(f"round {done // each} of {rounds}, {left:.0f} s left", flush=True)
            summary = report.summarize(stalls, all_ways.records)
    report.write(summary, output / "bench.json")
    report.draw(stalls, output / "bench.png")
    print(report.table(summary))
    print(f"Ratios in the lab, not measurements on AWS. See {output}/bench.json and bench.png.")
    return 0
