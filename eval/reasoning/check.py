"""``zoo-eval reason-check``: what is wrong with a benchmark, or what is in it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

MOST = 50


@click.command("reason-check", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("file", type=click.Path(path_type=Path))
def check_command(file: Path) -> int:
    """Check the benchmark FILE of the task reason: every line that is wrong, or what is in it."""
    from ...zoo.errors import VoxzooError
    from .benchmark import examine, example_path

    try:
        benchmark, problems = examine(example_path() if str(file) == "example" else file)
    except VoxzooError as error:
        click.echo(f"zoo-eval: error: {' '.join(str(error).split())}", err=True)
        return 2
    for problem in problems[:MOST]:
        click.echo(str(problem))
    if benchmark is None:
        more = f" ({len(problems) - MOST} more not shown)" if len(problems) > MOST else ""
        click.echo(f"{len(problems)} wrong{more}; nothing of it can be used", err=True)
        return 1
    sections = Counter(item.section for item in benchmark.items)
    points = sum(len(item.key_points) for item in benchmark.items)
    forbidden = sum(len(item.forbidden) for item in benchmark.items)
    click.echo(f"{benchmark.name}: {len(benchmark.items)} items in {benchmark.language}, nothing wrong")
    click.echo(f"conditions   {', '.join(benchmark.labels)}")
    click.echo(f"sections     {', '.join(f'{name} {sections[name]}' for name in benchmark.sections)}")
    click.echo(f"gold         {points} key points, {forbidden} forbidden claims")
    click.echo(f"verified     {benchmark.verified or 'NONE'} of {len(benchmark.items)} items by an expert")
    return 0
