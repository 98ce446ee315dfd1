"""A model card from a contract, finished runs and what is stated: ``README.md`` and ``.eval_results/``.

The same model file, results files and statements give the same bytes: nothing is measured here, no clock is
read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..eval.files import atomic_write, prepare_folder
from ..eval.views.common import plural
from ..zoo.specs import LicenceSpec
from . import metadata
from .answers import answers_section
from .bench import Bench, bench_section
from .energy import SLICE
from .markdown import MEAN, bullets, code, inline_code, mean_of, statement, table
from .names import as_markdown, slug
from .published import published_table
from .reasoning import reasoning_section
from .rerun import rerun_command
from .result_sections import (
    confusion_table,
    cost_notes,
    cost_table,
    data_lines,
    failures,
    figures_table,
    policy_line,
    subgroup_table,
    unit_of,
)
from .robustness import robustness_table
from .runs import Run, labelled, same
from .stated import FIELDS, NOT_STATED, Stated
from .subject import Subject

README = "README.md"
EVAL_RESULTS = ".eval_results"
PER_SLICE = (
    "Per axial slice: divided by the axial slices of the patients' own grids that the model was asked about."
)


@dataclass(frozen=True)
class Card:
    """A card that was built.

    Attributes:
        readme: text of ``README.md``, its YAML head included.
        files: name below ``.eval_results/`` -> text.
        missing: keys of the statements that nobody made.
    """

    readme: str
    files: Mapping[str, str]
    missing: tuple[str, ...]

    def save(self, folder: Path) -> list[Path]:
        """Write the card; every file in one step.

        Returns:
            The files.

        Raises:
            RunError: the folder cannot be written.
        """
        prepare_folder(folder)
        texts = {README: self.readme}
        if self.files:
            prepare_folder(folder / EVAL_RESULTS)
            texts |= {f"{EVAL_RESULTS}/{name}": text for name, text in self.files.items()}
        for name, text in texts.items():
            atomic_write(folder / name, text.encode())
        return [folder / name for name in texts]


def build(
    subject: Subject,
    robustness: Sequence[Run] = (),
    figures: Mapping[str, str] | None = None,
    bench: Bench | None = None,
) -> Card:
    """Build the card of a model.

    Args:
        subject: the model with its runs.
        robustness: runs of the same model on changed data, shown beside the first of its runs.
        figures: alt text -> file name of figures that lie beside the card.
        bench: a benchmark that the model took part in.

    Raises:
        RunError: two runs on data of one name differ in data or definition.
    """
    runs = labelled(subject.runs)
    _refuse_mixed(subject.runs)
    parts = [
        _title(subject),
        _glance(subject, runs),
        _stated_section(subject.stated, "Intended use"),
        _input_output(subject.contract),
        _training(subject),
        _stated_section(subject.stated, "Reference standard"),
        _partition(subject),
        _results(subject, runs),
        _robustness(subject.runs, robustness),
        _figures(figures or {}),
        _cost(subject, runs, bench),
        _stated_section(subject.stated, "Limitations"),
        _files(subject),
        _licence(subject),
        _rerun(runs),
        _absent(subject.stated),
    ]
    body = "\n\n".join(part for part in parts if part)
    text = f"---\n{metadata.head(subject).to_yaml()}\n---\n\n{body}\n"
    missing = tuple(f.key for f in subject.stated.missing)
    return Card(text, metadata.eval_files(subject) if subject.runs else {}, missing)


def _refuse_mixed(runs: Sequence[Run]) -> None:
    """Two runs of one task on data of one name stand in one table: they have to be about the same."""
    seen: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        seen.setdefault((run.task, run.dataset), []).append(run)
    for some in seen.values():
        same(some)


def _title(subject: Subject) -> str:
    summary = subject.stated["summary"] or subject.description
    lines = [f"# {as_markdown(subject.title)}", as_markdown(summary) if summary else f"Summary: {NOT_STATED}"]
    status = (subject.contract.get("licence") or {}).get("status")
    if status == "research-only":
        lines.append("**For research only:** the terms of the training data allow no other use.")
    return "\n\n".join(lines)


def _glance(subject: Subject, runs: Mapping[str, Run]) -> str:
    """One row per run and deciding figures, with misses and a trivial answer beside it."""
    if not runs:
        return "## At a glance\n\nNo run was given: nothing is known about how well this model works."
    rows = []
    for run in runs.values():
        for name in run.headline:
            figure, about = run.figures[name], run.figure(name)
            base = next(
                (mean_of(b.aggregate[name]) for b in run.baselines.values() if name in b.aggregate), ""
            )
            title = about.title + (f", {about.unit}" if about.unit else "")
            rows.append(
                [_data_title(subject, run), title, mean_of(figure), str(figure.n), str(figure.missing), base]
            )
    header = ["data", "figure", MEAN, "n", "missing", "trivial answer"]
    return "## At a glance\n\n" + table(header, rows, left=2)


def _data_title(subject: Subject, run: Run) -> str:
    return subject.stated.datasets.get(run.dataset, {}).get("title") or run.dataset


def _stated_section(stated: Stated, section: str, more: Sequence[str] = ()) -> str:
    lines = [statement(f.title, stated[f.key]) for f in FIELDS if f.section == section]
    return f"## {section}\n\n" + bullets([*lines, *more])


def _input_output(contract: Mapping[str, Any]) -> str:
    """What goes in and what comes out, as the file itself says it."""
    if not contract:
        return f"## Input and output\n\n{NOT_STATED}: there is no contract."
    lines = [f"**Task:** {as_markdown(contract.get('task', NOT_STATED))}"]
    for part in ("input", "output"):
        values = contract.get(part) or {}
        lines += [
            f"**{part}.{as_markdown(key)}:** {inline_code(_plain(value))}" for key, value in values.items()
        ]
    lines += _prompt_lines(contract) if "prompts" in contract else []
    labels = contract.get("labels") or {}
    if labels:
        named = ", ".join(f"{value} = {name}" for value, name in labels.items())
        lines.append(f"**Labels:** {as_markdown(named)}")
    return "## Input and output\n\n" + bullets(lines)


def _prompt_lines(contract: Mapping[str, Any]) -> list[str]:
    """Of a language model: the tasks it answers, in which wording, about which images."""
    wordings = ", ".join(f"{task} ({wording})" for task, wording in (contract["prompts"] or {}).items())
    lines = [f"**Prompt tasks (wording it was trained on):** {as_markdown(wordings)}"]
    lines += [
        f"**{key}:** {inline_code(_told(contract[key]))}"
        for key in ("image", "slices", "mmproj")
        if key in contract
    ]
    return lines


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


MANY = 60
"""Names beyond this are counted on a card; the contract lists them."""


def _told(value: Any) -> str:
    """A fact of the contract in a line."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {_told(item)}" for key, item in value.items())
    if isinstance(value, list | tuple) and len(value) > MANY:
        return f"{len(value):,}, from {value[0]} to {value[-1]}; zoo show lists them"
    return _plain(value)


def _training(subject: Subject) -> str:
    """What is stated, then what the contract says of its training."""
    lines = [
        f"**Contract, {as_markdown(key)}:** {inline_code(_told(value)) if value not in ([], '') else 'none'}"
        for key, value in (subject.contract.get("training") or {}).items()
    ]
    return _stated_section(subject.stated, "Training data", lines)


def _partition(subject: Subject) -> str:
    sizes = [
        f"**Tested on {as_markdown(_data_title(subject, run))}:** "
        + plural(run.scores.counts.get("patients", 0), unit_of(run, "patient"))
        for run in subject.runs
    ]
    return _stated_section(subject.stated, "Partition", list(dict.fromkeys(sizes)))


def _results(subject: Subject, runs: Mapping[str, Run]) -> str:
    parts = [
        "## Results",
        bullets(
            statement(f.title, subject.stated[f.key])
            for f in FIELDS
            if f.section in ("Results", "Failure cases")
        ),
    ]
    parts += [_run_section(subject, label, run) for label, run in runs.items()]
    table_of_study = published_table(subject.stated.published, list(runs.values()))
    if table_of_study:
        parts.append(f"### Published by the study\n\n{table_of_study}")
    return "\n\n".join(parts)


def _run_section(subject: Subject, label: str, run: Run) -> str:
    facts = subject.stated.datasets.get(run.dataset, {})
    parts = [
        f"### {as_markdown(_data_title(subject, run))}: {as_markdown(run.task)}",
        bullets(data_lines(run, facts.get("title", ""), facts.get("note", ""))),
        figures_table(run),
        policy_line(run),
    ]
    for title, text in (
        ("Confusion", confusion_table(run)),
        ("Answers", answers_section(run) or reasoning_section(run)),
        ("Subgroups", subgroup_table(run)),
        ("Failure cases", failures(run)),
    ):
        parts += [f"#### {title}\n\n{text}"] if text else []
    return "\n\n".join(parts)


def _robustness(runs: Sequence[Run], changed: Sequence[Run]) -> str:
    text = robustness_table(runs, changed) if changed else f"{NOT_STATED}: no run on changed data was given."
    return f"## Robustness\n\n{text}"


def _figures(figures: Mapping[str, str]) -> str:
    if not figures:
        return ""
    images = [f"![{as_markdown(alt)}]({name})" for alt, name in figures.items()]
    return "## Figures\n\n" + "\n\n".join(images)


def _cost(subject: Subject, runs: Mapping[str, Run], bench: Bench | None) -> str:
    lines = [statement(f.title, subject.stated[f.key]) for f in FIELDS if f.section == "Cost"]
    units = {run.unit: {k: r for k, r in runs.items() if r.unit == run.unit} for run in runs.values()}
    notes = dict.fromkeys(note for run in runs.values() for note in cost_notes(run))
    costs = []
    for unit, some in units.items():
        costs += [cost_table(some), *([PER_SLICE] if unit == SLICE else [])]
    costs += notes
    if bench is not None:
        costs.append(f"### Benchmark\n\n{bench_section(bench, subject.content_sha256)}")
    return "\n\n".join(["## Time, energy, CO2", *costs, bullets(lines)])


def _files(subject: Subject) -> str:
    facts = subject.facts
    if subject.file is None:
        content = inline_code(subject.content_sha256)
        return f"## File\n\nNo file: known from its runs alone. Hash of its content: {content}"
    rows = [
        ["file", subject.file.name],
        ["format", facts["form"]],
        ["bytes", facts["size"]],
        ["sha256", facts["sha256"]],
        [f"sha256 of the content ({_of_what(facts)})", facts["content_sha256"]],
    ]
    if "mmproj" in facts:
        rows += [
            ["file of the vision part", facts["mmproj"]],
            ["bytes of the vision part", facts["mmproj_size"]],
            ["sha256 of the vision part", facts["mmproj_sha256"]],
        ]
    return "## File\n\n" + table(["what", "value"], rows, left=2)


def _of_what(facts: Mapping[str, str]) -> str:
    return "all but the contract, and the vision part" if "mmproj" in facts else "all but the contract"


def _licence(subject: Subject) -> str:
    plain = subject.contract.get("licence") or {}
    stated = [statement(f.title, subject.stated[f.key]) for f in FIELDS if f.section == "Licence"]
    base = statement("Base model", subject.stated["base_model"] or "none is named")
    if not plain:
        return "## Licence\n\n" + bullets([f"**Licence:** {NOT_STATED}", base, *stated])
    spec = LicenceSpec(
        plain["weights"], plain["data_terms"], plain["status"], tuple(plain.get("attribution", ()))
    )
    lines = [
        f"**Licence of the weights:** {as_markdown(spec.weights)}",
        f"**Terms of the training data:** {as_markdown(spec.data_terms)} ({as_markdown(spec.status)})",
        *(f"**Attribution:** {as_markdown(text)}" for text in spec.attribution),
    ]
    return "## Licence\n\n" + bullets([*lines, base, *stated])


def _rerun(runs: Mapping[str, Run]) -> str:
    if not runs:
        return ""
    blocks = [
        f"{as_markdown(_rerun_title(label, run))}:\n\n{code(rerun_command(run))}"
        for label, run in runs.items()
    ]
    return "## How to compute this again\n\n" + "\n\n".join(blocks)


def _rerun_title(label: str, run: Run) -> str:
    return f"{label}, {run.task}" if run.dataset in label else f"{label} on {run.dataset}, {run.task}"


def _absent(stated: Stated) -> str:
    """What reviewers look for and this card cannot say."""
    if not stated.missing:
        return ""
    lines = [f"{as_markdown(f.title)} ({as_markdown(f.asked_by)})" for f in stated.missing]
    return "## Not stated\n\n" + bullets(lines)


def figure_name(label: str, kind: str) -> str:
    """File name of a figure beside a card.

    Example:
        >>> figure_name("cnn3d-seg", "box")
        'cnn3d-seg-box.svg'
    """
    return f"{slug(label)}-{kind}.svg"
