"""From scored answers to the results file: figures, three protocols, baselines, a record per patient."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import environment, jsonnum
from ..assemble import contract_facts
from ..energy.items import Spent, summary
from ..records import FAILED, SCORED, CaseRecord
from ..results import Results, Scores, aggregate_to_dict
from .aggregates import aggregates
from .consistency import consistency
from .items import Item, Sheet
from .references import SliceMask
from .scored import Scored
from .scoring import Reading
from .selective import filters, judge, risk_coverage
from .usage import usage

if TYPE_CHECKING:
    from .run import LanguageRun

LEFT_OUT = "left-out"
REASONS = {
    "abstained": "its votes come to no grade",
    "no_slices": "no slice to ask about under these rules",
    "not_recorded": "had slices, but nothing is recorded of it",
    "no_label": "its grade is not known",
    "unanswered": "none of its slices has an answer",
    "unscored": "none of its slices has a reference and, under these rules, an answer",
}


def results_of(run: LanguageRun, reading: Reading, facts: Mapping[str, Any], folder: Path | None) -> Results:
    """The results of a run.

    Args:
        run: rules, names, options.
        reading: answers and references.
        facts: ``failed``: lines about cases and questions without an answer.
        folder: where it will be saved, or None.
    """
    seed, asked = run.options.seed, run.options.protocol
    scored = {name: reading.score(rules) for name, rules in run.protocols.items()}
    baselines = {
        name: reading.baselines(rules, seed) if run.options.baseline else {}
        for name, rules in run.protocols.items()
    }
    sheet = reading.sheet(run.protocols[asked])
    figures = {name: aggregates(one, seed) for name, one in scored.items()}
    problems = [str(problem) for problem in reading.problems] + list(facts.get("failed", ()))
    details = {
        "protocol": asked,
        "protocols": {
            name: {metric: aggregate_to_dict(a) for metric, a in some.items()}
            for name, some in figures.items()
        },
        "scoring": {name: _scoring(one, baselines[name]) for name, one in scored.items()},
        "shown": _shown(reading),
        "answers": _counts(sheet),
        "consistency": _consistency(sheet),
        "selective": _selective(sheet),
        "problems": problems,
        "identity": run.identity(),
    }
    used = usage(reading.transcript.answers, run.options.price_in, run.options.price_out)
    if used:
        details["usage"] = used
    energy = summary(_spent(sheet), run.options.electricity)
    if energy:
        details["energy"] = energy
    main = _scores(run, scored[asked], figures[asked], sheet, details)
    return Results(
        scores=main,
        task=run.task.name,
        dataset={
            "name": run.dataset.name,
            "kind": run.dataset.kind,
            "licence": run.dataset.licence,
            "source": run.dataset.source,
            "sha256": _digest(reading),
        },
        options={**run.protocols[asked].to_dict(), "protocol": asked, "seed": seed},
        code_version=environment.code_version(),
        baselines={
            f"baseline:{name}": _baseline(run, name, one, sheet, seed)
            for name, one in baselines[asked].items()
        },
        environment=environment.describe(),
        session={},
        folder=folder,
    )


def _scoring(scored: Scored, baselines: Mapping[str, Scored]) -> dict[str, Any]:
    """What stands beside the figures of one protocol."""
    return {
        "rules": scored.protocol.to_dict(),
        "counts": scored.counts,
        "left_out": {why: list(names) for why, names in scored.left_out.items()},
        "facts": scored.facts,
        "patients": {name: jsonnum.encode_all(row) for name, row in scored.patients.items()},
        "baselines": {name: jsonnum.encode_all(one.values) for name, one in baselines.items()},
    }


def _scores(
    run: LanguageRun, scored: Scored, figures: Mapping[str, Any], sheet: Sheet, details: dict[str, Any]
) -> Scores:
    records = _records(run.name, scored, sheet)
    return Scores(
        model={"name": run.name, "found": run.model.reference, "content_sha256": run.model.content_hash},
        contract=contract_facts(run.model),
        runtime=vars(run.model.runtime),
        regions={},
        counts=_record_counts(records),
        aggregate=dict(figures),
        undefined=_undefined(scored),
        empties={},
        times=_times(sheet),
        cases=records,
        details=details,
    )


def _baseline(run: LanguageRun, name: str, scored: Scored, sheet: Sheet, seed: int) -> Scores:
    records = _records(f"baseline:{name}", scored, sheet)
    return Scores(
        model={"name": f"baseline:{name}", "found": "the same answer everywhere", "content_sha256": ""},
        contract=None,
        runtime={},
        regions={},
        counts=_record_counts(records),
        aggregate=aggregates(scored, seed),
        undefined=_undefined(scored),
        empties={},
        times={"cases": 0},
        cases=records,
    )


def _records(model: str, scored: Scored, sheet: Sheet) -> tuple[CaseRecord, ...]:
    """A record per patient of the cohort, in its order."""
    why = {patient: reason for reason, names in scored.left_out.items() for patient in names}
    records = []
    for patient, label in sheet.labels.items():
        items = sheet.patients.get(patient, ())
        row = scored.patients.get(patient)
        records.append(
            CaseRecord(
                model=model,
                case=patient,
                patient=patient,
                status=LEFT_OUT if row is None else SCORED,
                reason=REASONS[why[patient]] if row is None and patient in why else "",
                metrics=dict(row or {}),
                slices=len({item.answer.slice for item in items}),  # each once, however often it was asked
                reference=("low", "high")[label] if scored.task == "grade" and label is not None else "",
                answer=_statuses(items) if not model.startswith("baseline:") else {},
            )
        )
    return tuple(records)


def _record_counts(records: Sequence[CaseRecord]) -> dict[str, int]:
    statuses = Counter(record.status for record in records)
    return {
        "cases": len(records),
        "patients": len(records),
        "scored": statuses[SCORED],
        "failed": statuses[FAILED],
        "left_out": statuses[LEFT_OUT],
        "no_reference": 0,
        "axial_slices": sum(record.slices for record in records),
    }


def _undefined(scored: Scored) -> dict[str, int]:
    counts = {
        metric: sum(math.isnan(row.get(metric, 0.0)) for row in scored.patients.values())
        for metric in scored.values
    }
    return {metric: count for metric, count in counts.items() if count}


def _statuses(items: Sequence[Item]) -> dict[str, int]:
    found = Counter(item.parsed.status for item in items)
    return {"answers": len(items), **{name: found[name] for name in ("understood", "repaired", "refused")}}


def _counts(sheet: Sheet) -> dict[str, Any]:
    """How answers were read, and the most frequent reasons."""
    repairs = Counter(repair for item in sheet.items for repair in item.parsed.repairs)
    refusals = Counter(item.parsed.refused for item in sheet.items if item.parsed.refused)
    return {
        **_statuses(sheet.items),
        "repairs": dict(repairs.most_common(10)),
        "refusals": dict(refusals.most_common(10)),
    }


def _shown(reading: Reading) -> dict[str, Any]:
    """What the model saw and was asked, as far as the transcript says."""
    answers = reading.transcript.answers
    prompts = sorted({answer.prompt for answer in answers if answer.prompt})
    return {"plane": answers[0].plane, "prompts": prompts, **answers[0].shown}


def _consistency(sheet: Sheet) -> dict[str, Any]:
    wordings = {item.answer.prompt for item in sheet.items}
    found = {"repeats": consistency(sheet, "repeats")}
    if len(wordings) > 1:
        found["prompts"] = consistency(sheet, "prompts")
    return {over: values for over, values in found.items() if values}


def _selective(sheet: Sheet) -> dict[str, Any]:
    """Risk and coverage of grades, by slice and by patient."""
    if sheet.task != "grade":
        return {}
    out: dict[str, Any] = {}
    for unit in ("slice", "patient"):
        judged = judge(sheet, unit)
        if not judged:
            continue
        valid = [j for j in judged if j.valid]
        stages = [
            {**vars(stage), "accuracy": jsonnum.encode(stage.accuracy)} for stage in filters(judged, 0.8, 0.8)
        ]
        curve = risk_coverage([not j.correct for j in judged], [j.confidence * j.valid for j in judged])
        out[unit] = {
            "filters": stages,
            "aurc": curve.aurc,
            "best_aurc": curve.best,
            "coverage_of_valid": len(valid) / len(judged),
        }
        if unit == "patient":
            out[unit] |= {"coverage": curve.coverage.tolist(), "risk": curve.risk.tolist()}
    return out


def _times(sheet: Sheet) -> dict[str, Any]:
    timed = [item for item in sheet.items if item.answer.seconds is not None]
    if not timed:
        return {"cases": 0}
    total = math.fsum(item.answer.seconds or 0.0 for item in timed)
    patients = len(sheet.patients)
    slices = len({(item.answer.case, item.answer.slice) for item in timed})
    return {
        "cases": patients,
        "patients": patients,
        "axial_slices": slices,
        "seconds_per_patient": {"answer": round(total / patients, 6), "total": round(total / patients, 6)},
        "seconds_per_axial_slice": round(total / slices, 8),
    }


def _spent(sheet: Sheet) -> Iterator[Spent]:
    """What each answer cost; a slice that was asked about several times is one slice."""
    seen: set[tuple[str, int]] = set()
    for patient, items in sheet.patients.items():
        for answer in (item.answer for item in items):
            place = answer.case, answer.slice
            yield Spent(answer.energy, patient, int(place not in seen))
            seen.add(place)


def _digest(reading: Reading) -> str:
    """Over what is true of the slices."""
    known = reading.references
    parts = [
        f"{case.case}={case.label};{sorted(case.boxes.items())};{sorted(case.polygons.items())};"
        + ";".join(f"{k}:{_sha256(mask)}" for k, mask in sorted(case.masks.items()))
        for case in known.cases.values()
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _sha256(mask: SliceMask) -> str:
    return hashlib.sha256(mask.pixels.tobytes()).hexdigest()


def answer_lines(reading: Reading, parser: str) -> Iterator[str]:
    """One JSON line per answer: what was understood, what was repaired, what was refused and why."""
    for answer, parsed in zip(reading.transcript.answers, reading.parsed(parser), strict=True):
        plain = {
            "case": answer.case,
            "slice": answer.slice,
            "plane": answer.plane,
            "prompt": answer.prompt,
            "repeat": answer.repeat,
            "status": parsed.status,
            "value": parsed.value,
            "repairs": parsed.repairs,
            "refused": parsed.refused,
            "written": parsed.written,
        }
        yield json.dumps(plain, ensure_ascii=False, separators=(",", ":"))


def asked_record(
    model: str, case: str, patient: str, fresh: int, reused: int, failed: Sequence[str]
) -> CaseRecord:
    """A case that was asked about, for the progress of a live run."""
    return CaseRecord(
        model,
        case,
        patient,
        FAILED if failed and not fresh + reused else SCORED,
        reason=failed[0] if failed else "",
        answer={"answers": fresh + reused, "new": fresh, "failed": len(failed)},
    )
