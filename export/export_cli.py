"""``zoo-export``: a trained network, or an ONNX file, in the formats that it is to be deployed in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..rasterize.errors import VoxzooError
from .program import require, run_program

if TYPE_CHECKING:
    from .delivery import Exporter

_FORMATS = "onnx, onnx-fp16, onnx-int8, onnx-qdq or torchscript; may be given more than once."


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("source")
@click.option("--format", "formats", multiple=True, default=["onnx"], show_default=True, help=_FORMATS)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder, or the file of a single format.  [default: the training folder, else here]",
)
@click.option("--recipe", help="Of a file of weights: what network they are of (a name, or a .toml file).")
@click.option("--contract", type=click.Path(path_type=Path), help="JSON, for an ONNX file that has none.")
@click.option("--data", multiple=True, help="Cases to prove it on and to calibrate with.  [default: made up]")
@click.option("--limit", type=click.IntRange(1), default=4, show_default=True, help="How many of them.")
@click.option(
    "--rewrite/--no-rewrite", default=True, help="Rewrite the graph where that is exact and faster."
)
@click.option(
    "--tolerance", type=click.FloatRange(0), help="Largest difference.  [default: that of rounding]"
)
@click.option("--threads", type=click.IntRange(1), help="CPU threads of torch.  [default: torch's]")
def command(source: str, formats: tuple[str, ...], out: Path | None, **options: Any) -> None:
    """Export SOURCE: a training folder, weights (.safetensors, with --recipe), an ONNX file, a zoo name.

    Every file is compared with the network on cases, and not kept if it answers differently: by more than
    rounding, or, where precision is reduced, by a Dice loss of more than 0.002.
    """
    from .formats import get_format

    for name in formats:
        get_format(name)
    require("exporting", "cpu,train", "onnx", "onnxruntime", "safetensors", "torch")
    exporter = _exporter(source, formats, options)
    for name in formats:
        click.echo(exporter.write(name, _path(exporter, source, name, formats, out)))


def main() -> None:
    """Entry point: errors are one line; 2 says that the command was wrong, 1 that the export failed."""
    run_program(command, "zoo-export", "stopped", _code)


def _code(error: VoxzooError) -> int:
    from ..zoo.errors import ModelNotFoundError, UsageError

    return 2 if isinstance(error, UsageError | ModelNotFoundError) else 1


def _exporter(source: str, formats: tuple[str, ...], options: dict[str, Any]) -> Exporter:
    import torch

    from .delivery import Exporter
    from .from_torch import cases_of
    from .origins import origin_of

    if options["threads"]:
        torch.set_num_threads(options["threads"])
    origin = origin_of(source, options["recipe"], options["contract"])
    for name in formats:
        origin.check_format(name)
    cases = [
        case for data in options["data"] for case in cases_of(data, origin.contract, options["limit"])
    ] or cases_of(None, origin.contract)
    return Exporter(origin, cases, options["rewrite"], options["tolerance"])


def _path(exporter: Exporter, source: str, name: str, formats: tuple[str, ...], out: Path | None) -> Path:
    """Where a format goes: ``out`` itself if it looks like a file and there is one format."""
    from ..zoo.errors import UsageError
    from .delivery import default_path

    if out is not None and out.suffix in (".onnx", ".pt") and not out.is_dir():
        if len(formats) > 1:
            raise UsageError(f"--out {out} is one file, and {len(formats)} formats were asked for")
        return out
    folder = out or (Path(source) if Path(source).is_dir() else Path())
    path = default_path(folder, exporter.origin.contract, name)
    if path.resolve() == Path(source).resolve():
        raise UsageError(f"{path} is the source itself: give another --out")
    return path
