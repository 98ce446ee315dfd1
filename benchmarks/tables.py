"""From ``pytest benchmarks --benchmark-json FILE`` to the README's tables, and a check of every floor.

    python benchmarks/tables.py FILE...                    # the table, on the screen
    python benchmarks/tables.py FILE... --check            # exit code 1 where a ratio is below its floor
    python benchmarks/tables.py FILE... --readme README.md # between the marks in it
    python benchmarks/tables.py FILE... --keep             # benchmarks/results/MACHINE.json

Several files of one machine make one table: of two rows of one name the later file's counts, so that some
benchmarks can be measured again beside what was kept. A floor stands beside the benchmark that it is about:
``ratio_report(..., floors={"peer": 5})``. What is kept is the ratios and the machine that they were measured
on: no host name, no path.
"""

import argparse
import json
import re
import sys
from pathlib import Path

SCHEMA = "voxzoo.benchmarks/1"
BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"
RESULTS = Path(__file__).parent / "results"
MACHINE = ("cpu", "cores", "memory_gib", "python", "platform", "packages", "threads_env")


class Unusable(Exception):
    """A file or a README that cannot be used; the message is one line."""


def read(paths):
    """Ratios and machine of one or more files, all of one machine.

    Raises:
        Unusable: not such a file, one without ratios, or files of different machines.
    """
    rows, machines = {}, []
    for path in paths:
        try:
            plain = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise Unusable(f"{path}: cannot be read: {error}") from error
        found = plain if plain.get("schema") == SCHEMA else plain.get("voxzoo", {})
        if not found.get("ratios"):
            raise Unusable(
                f"{path}: no ratios in it: expected what `pytest benchmarks --benchmark-json` writes"
            )
        own = {(row["file"], row["name"]): row for row in found["ratios"]}
        if len(own) < len(found["ratios"]):
            raise Unusable(f"{path}: two rows of one name: each needs a name of its own")
        rows |= own
        machines.append(_machine(found["machine"]))
    if any((m["cpu"], m["cores"]) != (machines[0]["cpu"], machines[0]["cores"]) for m in machines):
        raise Unusable("the files are of different machines: ratios of one machine make one table")
    return list(rows.values()), machines[-1]


def _machine(facts):
    """Without the system's build, which may name a place: "Linux-6.1-x-x86_64" becomes "Linux x86_64"."""
    words = str(facts.get("platform") or "").replace(" ", "-").split("-")
    kind = next((word for word in words[1:] if word in ("x86_64", "AMD64", "aarch64", "arm64")), "")
    plain = {name: facts.get(name) for name in MACHINE}
    return {**plain, "platform": " ".join(filter(None, (words[0], kind)))}


def file_name(machine):
    """Of the machine: "amd-epyc-9654-96-cores.json"."""
    cpu = re.sub(r"\(.*?\)|\b(cpu|processor|\d+-core)\b|@.*", " ", str(machine["cpu"]).lower())
    return "-".join([*re.findall(r"[a-z0-9]+", cpu), f"{machine['cores']}-cores"]) + ".json"


def below(rows):
    """A line for every ratio under its floor."""
    return [
        f"{row['name']}: {row['ratios'][peer]:.3g}x {peer}, the floor is {floor:g}x"
        for row in rows
        for peer, floor in row.get("floors", {}).items()
        if not row["ratios"][peer] >= floor
    ]


def table(rows):
    """Markdown: what, how long it takes, how many times faster than which peer."""
    lines = ["| what | ours | times faster than |", "|---|---|---|"]
    for row in rows:
        floors = row.get("floors", {})
        peers = ", ".join(
            f"{peer} {ratio:.3g}x" + (f" (floor {floors[peer]:g}x)" if peer in floors else "")
            for peer, ratio in row["ratios"].items()
        )
        lines.append(f"| {_cell(row['name'])} | {duration(row['ours_s'])} | {_cell(peers) or '-'} |")
    return "\n".join(lines)


def _cell(text):
    return text.replace("|", "\\|")


def duration(seconds):
    """Three digits and a unit."""
    for unit, factor in (("s", 1), ("ms", 1e3), ("us", 1e6)):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def caption(machine):
    """On which machine, in a sentence."""
    return f"{machine['cpu']}, {machine['cores']} cores, one thread, minima (`pytest benchmarks`):"


def into(text, body):
    """A README's text with ``body`` between its marks.

    Raises:
        Unusable: the marks are not there, or not once each and in order.
    """
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise Unusable(f"the README needs the lines {BEGIN} and {END}, once each, in this order")
    head, rest = text.split(BEGIN)
    return f"{head}{BEGIN}\n{body}\n{END}{rest.split(END)[1]}"


def keep(rows, machine, path):
    """Write what later tables read: into a folder under the machine's name, or into the file named."""
    path = path if path.suffix == ".json" else path / file_name(machine)
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = {"schema": SCHEMA, "machine": machine, "ratios": [_digits(row) for row in rows]}
    path.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _digits(plain):
    """Four digits of every number: more are noise."""
    if isinstance(plain, dict):
        return {name: _digits(value) for name, value in plain.items()}
    return float(f"{plain:.4g}") if isinstance(plain, float) else plain


def main(arguments=None):
    """Entry point; gives the exit code."""
    parser = argparse.ArgumentParser(description="Tables of benchmarks, and their floors.")
    parser.add_argument("files", nargs="+", type=Path, help="from pytest --benchmark-json, or kept")
    parser.add_argument("--check", action="store_true", help="fail where a ratio is below its floor")
    parser.add_argument("--readme", type=Path, help="put the table between the marks of this file")
    parser.add_argument(
        "--keep",
        type=Path,
        nargs="?",
        const=RESULTS,
        help="write ratios and machine here  [benchmarks/results]",
    )
    given = parser.parse_args(arguments)
    try:
        rows, machine = read(given.files)
        body = f"{caption(machine)}\n\n{table(rows)}"
        if given.readme is not None:
            given.readme.write_text(into(given.readme.read_text(encoding="utf-8"), body), encoding="utf-8")
        else:
            print(body)
    except (Unusable, OSError) as error:
        print(f"tables: error: {error}", file=sys.stderr)
        return 2
    if given.keep is not None:
        keep(rows, machine, given.keep)
    missed = below(rows)
    for line in missed:
        print(f"below its floor: {line}", file=sys.stderr)
    return 1 if given.check and missed else 0


if __name__ == "__main__":
    sys.exit(main())
