"""What ``zoo-bench`` measured about a model: turns beside other models, time, memory, energy."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..eval.bench.run import RESULTS, SCHEMA
from ..eval.energy.reading import Energy as Reading
from ..eval.files import atomic_write, prepare_folder, reason
from ..zoo.errors import RunError
from .keep import compact, environment_of
from .markdown import DASH, Md, rounded, table
from .names import as_markdown, without_folders

HEADER = (
    "row",
    "runtime",
    "s per patient, median (95th percentile)",
    "ms per slice",
    "peak memory, MiB",
    Md("J per slice [band]"),
    "energy is",
    "g CO2e per 1000 slices",
    "time, times the first row's",
)


@dataclass(frozen=True)
class Bench:
    """A benchmark.

    Attributes:
        source: its file.
        plain: all that is in it.
    """

    source: Path
    plain: Mapping[str, Any]

    def rows_of(self, content_sha256: str) -> dict[str, Mapping[str, Any]]:
        """Name -> row, of the rows about one model: in several runtimes, say."""
        models = self.plain["models"]
        return {name: row for name, row in models.items() if row.get("content_sha256") == content_sha256}


def read_bench(source: Path) -> Bench:
    """Read a folder of ``zoo-bench --out``, or its ``bench.json``.

    Raises:
        RunError: it cannot be read, was cut off, or is of another schema.
    """
    path = source / RESULTS if source.is_dir() else source
    try:
        plain = json.loads(path.read_bytes())
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({reason(error)})") from error
    except ValueError as error:
        raise RunError(f"{path}: not JSON: {error} (cut off, perhaps)") from error
    schema = plain.get("schema") if isinstance(plain, dict) else None
    if schema != SCHEMA:
        kind = "of another voxzoo" if re.fullmatch(r"voxzoo\.bench/\d+", str(schema)) else "not of zoo-bench"
        raise RunError(f"{path}: {kind} (schema {schema!r}, this one reads {SCHEMA!r}): measure again")
    rows = plain.get("models")
    if not isinstance(rows, dict) or not all(isinstance(row, dict) for row in rows.values()):
        raise RunError(f"{path}: damaged: models: expected an object of rows")
    return Bench(path, plain)


def bench_among(folders: Sequence[str]) -> Path | None:
    """The benchmark that was kept in one of the folders of runs; None where there is none.

    Raises:
        RunError: several of them hold one.
    """
    found = [path for folder in folders if (path := Path(folder) / RESULTS).is_file()]
    if len(found) > 1:
        raise RunError(f"{found[0]} and {found[1]}: which one goes on the card? Say it with --bench")
    return found[0] if found else None


def keep_bench(bench: Bench, folder: Path) -> Path:
    """Write what can be committed of a benchmark: without folders and what names one machine.

    Raises:
        RunError: the folder cannot be written.

    Returns:
        The file.
    """
    data = bench.plain.get("dataset") or {}
    plain = {
        **bench.plain,
        "dataset": {**data, "source": without_folders(str(data.get("source", "")))},
        "environment": environment_of(bench.plain.get("environment") or {}),
    }
    prepare_folder(folder)
    path = folder / RESULTS
    atomic_write(path, (compact(plain) + "\n").encode())
    return path


def bench_section(bench: Bench, content_sha256: str) -> str:
    """A table with the rows of one model.

    Raises:
        RunError: the benchmark has none, or a row lacks a part.
    """
    rows = bench.rows_of(content_sha256)
    if not rows:
        raise RunError(f"{bench.source}: has no row with the content {content_sha256}: it is of other models")
    try:
        lines = [_line(name, row, bench.plain) for name, row in rows.items()]
        data = f"{bench.plain['dataset']['name']}, {len(bench.plain['dataset']['cases'])} cases"
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise RunError(f"{bench.source}: damaged: {type(error).__name__} {error}") from error
    cpu = (bench.plain.get("environment") or {}).get("cpu", "")
    about = f"By turns in one process ({bench.plain.get('first', '')} is the first row) on {data}; {cpu}."
    return f"{table(HEADER, lines, left=2)}\n\n{as_markdown(about)}"


def _line(name: str, row: Mapping[str, Any], plain: Mapping[str, Any]) -> list[object]:
    runtime = row["runtime"]
    ran = " ".join(str(runtime[k]) for k in ("name", "version", "device", "precision") if runtime.get(k))
    if not row["items"]:
        return [name, ran, f"failed: {row['reason']}", *[""] * 6]
    seconds, each = row["seconds_per_patient"], row["seconds_per_slice"]
    beside = (plain.get("ratios") or {}).get(name, {}).get("seconds_per_patient")
    return [
        name,
        ran,
        f"{rounded(seconds['median'])} ({rounded(seconds['p95'])})",
        rounded(1000 * each["median"]) if each else DASH,
        rounded(row["memory_bytes"] / 2**20) if row.get("memory_bytes") else "not measured",
        *_energy(row),
        rounded(beside),
    ]


def _energy(row: Mapping[str, Any]) -> list[str]:
    found = Reading.from_dict(row["energy_per_slice"])
    if found.joules is None:
        return ["not measured", DASH, "not measured"]
    band = Md(f"{rounded(found.joules)} [{rounded(found.low)}, {rounded(found.high)}]")
    kind = "measured" if found.measured else "estimated"
    return [band, f"{kind} ({found.method})", rounded(row["gco2e_per_1000_slices"]["grams"])]
