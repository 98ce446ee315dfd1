"""``zoo``: which models there are, what stands in their contracts, whether their bytes are the right ones.

Exit codes: 0 done, 1 a model that cannot be trusted or opened, 2 wrong use.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from ..rasterize.errors import VoxzooError
from .errors import ModelNotFoundError, UsageError

if TYPE_CHECKING:
    from .contract import Contract, ImageSpec, InputSpec, OutputSpec
    from .modelfile import ModelFile
    from .prompt_contract import PromptContract

#: Items of a list that ``zoo show`` prints.
_SHOWN = 13


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="voxzoo", message="voxzoo %(version)s")
def command() -> None:
    """The models of voxzoo."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def list_models(as_json: bool) -> None:
    """Names, sizes and licences of the models in the zoo."""
    rows = _rows()
    if as_json:
        _echo_json(rows)
        return
    for row in rows:
        second = row.get("mmproj")
        size = f"{row['bytes'] / 1e6:.2f} MB" if row["bytes"] else "built in"
        size += f" + {second['bytes'] / 1e6:.2f} MB mmproj" if second else ""
        state = "" if row["local"] else "  (downloaded when first used)"
        click.echo(f"{row['name']} {row['version']}  {row['task']}  {size}{state}")
        click.echo(f"    {row['description']}")
        click.echo(f"    licence: {row['licence']}")


@command.command()
@click.argument("model")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def show(model: str, as_json: bool) -> None:
    """Contract, licence and hashes of MODEL: a name of the zoo, a file or a URL."""
    how, contract, file = _described(model)
    if as_json:
        _echo_json({"found": how, **_file_facts(file), "contract": contract.to_dict()})
        return
    width = 20
    for name, value in _lines(how, contract, file):
        click.echo(f"{name:<{width}}{value}".rstrip())


@command.command()
@click.argument("models", nargs=-1)
def verify(models: Sequence[str]) -> None:
    """Check the hashes of MODELS (names or files; default: every model of the zoo that is here)."""
    results = [_check(spec) for spec in models or _local_names()]
    for ok, line in results:
        click.echo(f"{'ok  ' if ok else 'FAIL'}  {line}", err=not ok)
    if not results:
        click.echo("nothing to verify: no model of the zoo is on this machine")
    if not all(ok for ok, _ in results):
        raise click.exceptions.Exit(1)


def main() -> None:
    """Entry point: errors are one line."""
    try:
        sys.exit(command(standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("zoo: stopped", err=True)
        sys.exit(130)
    except VoxzooError as error:
        click.echo(f"zoo: error: {error}", err=True)
        sys.exit(2 if isinstance(error, UsageError | ModelNotFoundError) else 1)


def _rows() -> list[dict[str, Any]]:
    from . import registry
    from .runtimes.baseline import BASELINES, contract

    zoo = [{**asdict(e), "local": registry.is_local(e)} for e in registry.entries().values()]
    built_in = [
        {"name": registry.BASELINE_PREFIX + name, "version": contract().version, "bytes": 0, "local": True,
         "task": contract().task, "licence": contract().licence.line, "description": text}
        for name, text in BASELINES.items()
    ]  # fmt: skip
    return zoo + built_in


def _described(model: str) -> tuple[str, Contract | PromptContract, ModelFile[Any] | None]:
    from . import registry

    _refuse_elsewhere(model)
    found = registry.resolve(model)
    if found.path is None:
        loaded = registry.load(model)
        return loaded.reference, loaded.contract, None
    file = registry.verify(found)
    return found.how, file.contract(), file


def _refuse_elsewhere(model: str) -> None:
    """What has no file of its own has no contract to show."""
    from .language import PREFIXES

    if model.startswith(tuple(PREFIXES)):
        raise UsageError(f"{model}: no contract travels with it; ask it with zoo-eval --task")
    if "+" in model and model.lower().endswith(".gguf"):
        raise UsageError(f"{model}: give the language model's file alone: the contract stands in it")


def _file_facts(file: ModelFile[Any] | None) -> dict[str, Any]:
    if file is None:
        return {}
    return {"sha256": file.sha256, "bytes": file.size, "form": file.form}


def _echo_json(value: object) -> None:
    click.echo(json.dumps(value, indent=1, ensure_ascii=False))


def _times(values: Sequence[float]) -> str:
    return " x ".join(f"{v:g}" for v in values)


def _kept(output: OutputSpec) -> str:
    """Which components of the mask stay, in words."""
    limits = []
    if output.min_component_mm3:
        limits.append(f"{output.min_component_mm3:g} mm3")
    if output.min_component_share:
        limits.append(f"{output.min_component_share:g} of the largest one")
    return f"removed where smaller than {' or '.join(limits)}" if limits else "all kept"


def _lines(
    how: str, contract: Contract | PromptContract, file: ModelFile[Any] | None
) -> Iterator[tuple[str, object]]:
    """(name, value) of each line that ``zoo show`` prints."""
    licence = contract.licence
    yield "model", f"{contract.name} {contract.version}"
    yield "found", how
    yield "task", contract.task
    yield from _task_lines(contract)
    yield "licence", licence.weights
    yield "data terms", licence.data_terms
    yield "terms are", licence.status.upper() if licence.status != "confirmed" else "confirmed"
    for line in licence.attribution:
        yield "attribution", line
    for name, value in contract.training.items():
        yield f"training {name}", _fact(value)
    yield "content sha256", contract.content_sha256
    if file is not None:
        yield "file sha256", file.sha256
        yield "file", f"{file.size} bytes, {file.form}"


def _fact(value: object) -> str:
    """A fact about training on one line; of a long list its beginning."""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        more = f", ... ({len(value)}; all with --json)" if len(value) > _SHOWN else ""
        return (", ".join(value[:_SHOWN]) or "none") + more
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _task_lines(contract: Contract | PromptContract) -> Iterator[tuple[str, str]]:
    from .contract import Contract

    if not isinstance(contract, Contract):
        yield from _prompt_lines(contract)
        return
    yield from _input_lines(contract.input)
    yield from _output_lines(contract.output)
    yield "labels", ", ".join(f"{value} {name}" for value, name in contract.labels.items())


def _prompt_lines(contract: PromptContract) -> Iterator[tuple[str, str]]:
    rule = contract.slices
    yield "answers", ", ".join(f"{task} ({wording})" for task, wording in contract.prompts.items())
    yield "image", f"{_times(contract.image)} pixels, {rule.plane} {rule.modality}"
    yield "slices", f"placed by {rule.place}, contrast of the {rule.contrast}"
    yield "mmproj", contract.mmproj.file
    yield "mmproj sha256", contract.mmproj.sha256


def _input_lines(spec: InputSpec | ImageSpec) -> Iterator[tuple[str, str]]:
    from .specs import ImageSpec

    yield "channels", ", ".join(spec.channels)
    if isinstance(spec, ImageSpec):
        yield "size", f"{_times(spec.shape)} pixels, {spec.resize}"
        yield "intensities", spec.normalise
        return
    yield "grid", f"{_times(spec.shape)} voxels of {_times(spec.spacing_mm)} mm"
    if spec.window == "sliding":
        yield "window", f"sliding, {spec.overlap:.0%} overlap"
    yield "orientation", f"{spec.orientation}, crop {spec.crop}, {spec.interpolation} interpolation"
    clip = spec.clip_percentiles
    clipping = "not clipped" if clip is None else f"clipped to percentiles {clip[0]:g}-{clip[1]:g}"
    own = f'preprocessing "{spec.preprocessing}"'
    yield "intensities", f"{clipping}, {spec.normalise}" if spec.preprocessing == "grid" else own


def _output_lines(output: OutputSpec) -> Iterator[tuple[str, str]]:
    names = ", ".join(output.channels)
    if output.kind == "classes":
        softmax = f"softmax at temperature {output.temperature:g}"
        yield "output", f"classes {names}; {softmax if output.activation == 'softmax' else 'probabilities'}"
        yield "true class", f"the fact {output.target!r} of a case" if output.target else "not told by cases"
        return
    yield "output", f"{output.kind} {names}; above {output.threshold:g}"
    yield "holes", "filled" if output.fill_holes else "left"
    yield "components", _kept(output)
    for region, least in output.min_region_mm3.items():
        yield f"region {region}", f"absent below {least:g} mm3"


def _local_names() -> list[str]:
    from . import registry

    return [entry.name for entry in registry.entries().values() if registry.is_local(entry)]


def _check(spec: str) -> tuple[bool, str]:
    """(whether it may be trusted, a line that says why)."""
    from . import registry
    from .prompt_contract import PromptContract

    try:
        found = registry.resolve(spec)
        if found.path is None:
            built_in = registry.load(spec).contract
            return True, f"{spec}: {found.how}, content {built_in.content_sha256}"
        file = registry.verify(found)
        contract = file.contract()
    except VoxzooError as error:
        return False, str(error) if spec in str(error) else f"{spec}: {error}"
    against = "registry and contract" if found.entry else "contract (it is not from the registry)"
    hashes = f"sha256 {file.sha256}, content {file.content_sha256}"
    if isinstance(contract, PromptContract):
        hashes += f", mmproj {contract.mmproj.sha256}"
    return True, f"{spec}: {found.how}: {hashes}; agrees with {against}"
