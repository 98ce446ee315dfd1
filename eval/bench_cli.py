"""``zoo-bench``: models beside each other, by turns, on this machine.

Exit codes: 0 done; 1 a model failed on something (its row says why); 2 wrong use; 130 interrupted, with what
was measured on file. Only click is imported here, so that ``--help`` answers at once.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..zoo.program import run_program

if TYPE_CHECKING:
    from .bench.run import BenchOptions

INTERRUPTED = 130
PIPE_WIDTH = 130
HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.command(context_settings=HELP)
@click.option("--model", "-m", "models", multiple=True, help="As zoo-eval takes it; more than once.")
@click.option(
    "--data", "-d", help="Folder of patients or images, .csv or 'phantom'.  [default: two phantoms]"
)
@click.option("--out", "-o", type=click.Path(path_type=Path), help="Folder.  [default: runs/bench-...]")
@click.option(
    "--runtime",
    "runtimes",
    multiple=True,
    default=["auto"],
    help="auto, onnxruntime, ...; more than once: each.",
)
@click.option(
    "--precision",
    "precisions",
    multiple=True,
    default=["fp32"],
    help="fp32, bf16, ...; more than once: each.",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@click.option("--threads", type=int, help="Threads of the runtime.  [default: its own choice]")
@click.option("--task", default="grade", show_default=True, help="Language models: what they are asked.")
@click.option("--show", help="Language models: slices shown: all, tumour or inner.  [default: the task's]")
@click.option("--trust", is_flag=True, help="Run a TorchScript file not in the registry: it runs code.")
@click.option("--seconds", type=float, default=10.0, show_default=True, help="That each model works.")
@click.option("--limit", type=int, default=4, show_default=True, help="So many cases at most.")
@click.option("--meter", default="auto", show_default=True, help="auto, nvml, rapl, powermetrics, estimate.")
@click.option("--watts-per-core", "watts", help="Of the estimate: W or LOW:LIKELY:HIGH.  [default: 2:6:12]")
@click.option("--country", help="Whose electricity, for CO2: FRA, Germany, ...  [default: world average]")
@click.option("--grid", type=float, help="g of CO2 equivalent per kWh, instead of the table's.")
@click.option("--pue", type=float, default=1.0, show_default=True, help="What the site adds to each kWh.")
@click.option("--overwrite", is_flag=True, help="Replace what the folder holds.")
@click.option("--json", "as_json", is_flag=True, help="Print the results file instead of the tables.")
@click.option("--quiet", "-q", is_flag=True, help="Only the tables.")
@click.version_option(package_name="voxzoo")
def command(
    models: tuple[str, ...],
    data: str | None,
    out: Path | None,
    runtimes: tuple[str, ...],
    precisions: tuple[str, ...],
    device: str,
    threads: int | None,
    task: str,
    show: str | None,
    trust: bool,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Time, memory, energy and CO2 of every MODEL, per patient and per slice, as ratios to the first.

    Models take turns in one run, so that ratios hold on a busy machine. The same command continues a run that
    was cut off.
    """
    from .bench.subjects import Wanted

    wanted = Wanted(models, runtimes, precisions, device, threads, task, show, trust)
    code = _benchmark(wanted, data, out, _options(options), as_json, quiet)
    if code:
        sys.exit(code)


def _options(given: dict[str, Any]) -> BenchOptions:
    from .bench.run import BenchOptions
    from .energy.estimate import WattsPerCore

    watts = given.pop("watts")
    return BenchOptions(**given, watts=WattsPerCore() if watts is None else WattsPerCore.parse(watts))


def _benchmark(
    wanted: Any, data: str | None, out: Path | None, options: BenchOptions, as_json: bool, quiet: bool
) -> int:
    from rich.console import Console

    from ..zoo.registry import ResearchOnlyWarning
    from .bench.report import Reporter
    from .bench.run import Bench

    console = Console() if sys.stdout.isatty() else Console(width=PIPE_WIDTH)
    reporter = Reporter(console, Console(stderr=True), quiet or as_json)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResearchOnlyWarning)
        bench = Bench(wanted, data, options, reporter)
    try:
        results = bench.run(out or bench.default_folder())
    finally:
        reporter.stop()
        bench.close()
    if as_json:
        click.echo(json.dumps(results, ensure_ascii=False, indent=1))
    else:
        reporter.show(results)
    if not results["finished"]:
        click.echo("zoo-bench: interrupted; the same command goes on from there", err=True)
        return INTERRUPTED
    return 1 if any(row["failed"] for row in results["models"].values()) else 0


def main() -> None:
    """Entry point of ``zoo-bench``."""
    run_program(command, "zoo-bench", "interrupted before anything was measured", lambda error: 2)


if __name__ == "__main__":
    main()
