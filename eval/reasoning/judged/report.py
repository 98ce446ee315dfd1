"""The tables: per setting, who finds the wrong sentences and how well its probabilities fit; the questions.

Everything is read from the record of ``run.judge``, from which the page of documentation is filled, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ...markdown import table
from .scorers import FITTED_ON

_TITLES = {
    "corrected": "Gold: the corrected text",
    "changed": "Gold: the corrected text; only sentences that do not stand in it word for word",
    "reworded": "Gold: the corrected text in other words",
    "answers": "Gold: key points made of the twelve answers",
    "another": "Gold: the corrected text of another image (a control: the gold is of no use)",
}


def show(record: Mapping[str, Any]) -> str:
    """The record as Markdown.

    Args:
        record: of ``run.judge``.
    """
    return "\n".join((*_head(record), *(line for part in _settings(record) for line in part))) + "\n"


def _head(record: Mapping[str, Any]) -> Iterator[str]:
    data, split = record["data"], record["split"]
    right = data["sentences"] - data["wrong"]
    yield (
        f"{data['name']}: {data['descriptions']} descriptions, {data['sentences']} marked sentences, "
        f"{data['wrong']} wrong; left out: {data['left_out']['fragments']} fragments, "
        f"{data['left_out']['oddities']} marks that do not fit their text. "
        f"Thresholds and probabilities chosen on {split['choosing']} of {split['images']} images (seed "
        f"{split['seed']}), everything below is of the others; intervals: 95 %, bootstrap by image."
    )
    if split["seed"] != FITTED_ON:
        yield f"Seed {FITTED_ON} gave the coefficients of aligned: it may have seen these images."
    yield ""
    yield (
        f"Of the right sentences {_share(data['verbatim']['right'], right)} stand in the corrected text word "
        f"for word, of the wrong ones {_share(data['verbatim']['wrong'], data['wrong'])}: in the first table "
        "comparing strings is enough, whatever the words mean."
    )


def _settings(record: Mapping[str, Any]) -> Iterator[list[str]]:
    for setting, reason in record["not_measured"].items():
        yield ["", f"{_TITLES[setting]}: not measured, {reason}."]
    for setting, judges in record["settings"].items():
        n = next(iter(judges.values()))["n"]
        majority = max(n["wrong"], n["sentences"] - n["wrong"]) / n["sentences"]
        yield [
            "",
            f"## {_TITLES[setting]}",
            "",
            f"{n['sentences']} sentences of {n['images']} images, {n['wrong']} wrong; calling all "
            f"{'wrong' if 2 * n['wrong'] > n['sentences'] else 'right'}: accuracy {majority:.3f}.",
            "",
            _judges(judges),
            "",
            _breakdown(judges, "kinds", "AUC per error kind, its wrong sentences against all right ones"),
            "",
            _breakdown(judges, "classes", "AUC per class of image"),
        ]


def _judges(judges: Mapping[str, Any]) -> str:
    header = ["judge", "AUC", "ECE", "threshold", "accuracy", "precision", "recall", "F1", "unread"]
    rows = [
        [
            name,
            _figure(one["auc"]),
            _figure(one["calibration"]["ece"]),
            f"{one['threshold']['value']:.3f}",
            *(_figure(one["threshold"][figure]) for figure in ("accuracy", "precision", "recall", "f1")),
            _unread(one),
        ]
        for name, one in judges.items()
    ]
    return table(header, rows)


def _breakdown(judges: Mapping[str, Any], part: str, title: str) -> str:
    groups = list(dict.fromkeys(group for one in judges.values() for group in one[part]))
    first = next(iter(judges.values()))
    rows = [
        [
            group,
            f"{first[part][group]['wrong']} / {first[part][group]['sentences']}",
            *(_figure(one[part][group]["auc"]) for one in judges.values()),
        ]
        for group in groups
    ]
    return f"{title}:\n\n{table([part, 'wrong / n', *judges], rows)}"


def _figure(figure: Mapping[str, Any]) -> str:
    value, interval = figure["value"], figure["ci95"]
    if value is None:
        return "-"
    return f"{value:.3f}" if interval is None else f"{value:.3f} [{interval[0]:.3f}, {interval[1]:.3f}]"


def _share(part: int, whole: int) -> str:
    return f"{part} of {whole}"


def _unread(one: Mapping[str, Any]) -> str:
    replies = one.get("replies")
    return "" if replies is None else f"{sum(replies['unread'].values())} of {replies['asked']}"


def show_vqa(record: Mapping[str, Any]) -> str:
    """The record of ``zoo-eval judge vqa`` as Markdown."""
    header = ["question", "n", "exact match", "chance", "outside", "empty", "failed"]
    rows = [
        [
            one["question"].strip(),
            str(one["n"]),
            _figure(one["exact"]),
            f"{one['chance']:.3f}",
            *(str(one[status]) for status in ("outside", "empty", "failed")),
        ]
        for one in record["questions"]
    ]
    rows += [
        [f"mean of {record[name]['questions']} ({title})", "", _figure(record[name]["exact"]),
         f"{record[name]['chance']:.3f}", "", "", ""]
        for name, title in (("all", "all"), ("closed", "choices given"), ("free", "free"))
        if name in record
    ]  # fmt: skip
    rows.append(["all right", "", _figure(record["every"]["exact"]), "", "", "", ""])
    head = (
        f"{record['model']['name']} on {record['data']['images']} images of {record['data']['name']}; "
        f"{'images shown' if record['images'] else 'no image shown'}, context: {record['context']}. "
        "Chance: always the commonest answer. What is missing counts as wrong."
    )
    return f"{head}\n\n{table(header, rows)}\n"
