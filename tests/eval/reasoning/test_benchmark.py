"""Benchmarks: what is read, and every way in which a file can be wrong."""

import json

import pytest

import voxzoo
from voxzoo.eval.cli import command
from voxzoo.eval.reasoning.benchmark import examine, example_path, read_benchmark
from voxzoo.zoo.errors import UsageError

ITEM = {
    "id": "1",
    "condition": "gout",
    "section": "causes",
    "key_points": ["high urate"],
    "source": "made by a test",
    "verified_by": None,
}


def write(path, *items, head=None):
    lines = [*([head] if head else []), *items]
    path.write_text("".join((x if isinstance(x, str) else json.dumps(x)) + "\n" for x in lines), "utf-8")
    return path


def item(**changed):
    return {name: value for name, value in {**ITEM, **changed}.items() if value != "gone"}


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"id": "gone"}, "no field 'id'"),
        ({"id": 7}, "id: got 7, expected a text"),
        ({"id": " "}, "id: empty"),
        ({"condition": "two\nlines"}, "expected one line"),
        ({"section": "prognosis"}, "section 'prognosis': expected one of causes"),
        ({"key_points": []}, "key_points: empty"),
        ({"key_points": "high urate"}, "key_points: got 'high urate', expected a list"),
        ({"key_points": [""]}, "1. point: text: empty"),
        ({"key_points": ["a", 3]}, "key_points: got 3"),
        ({"key_points": ["a", "A "]}, "belongs to two points"),
        ({"key_points": [{"text": "a", "accept": ["b"]}]}, "did you mean 'accepted'"),
        ({"key_points": [{"text": "a", "accepted": "b"}]}, "accepted: got 'b', expected a list"),
        ({"forbidden": ["HIGH  urate"]}, "belongs to two points"),
        ({"gold": ""}, "gold: empty"),
        ({"source": "gone"}, "no field 'source'"),
        ({"verified_by": "gone"}, "no field 'verified_by'"),
        ({"language": "English"}, "expected a code"),
        ({"image": "../x.png"}, "below the benchmark's folder"),
        ({"image": "/x.png"}, "below the benchmark's folder"),
        ({"image": "http://host/x.png"}, "below the benchmark's folder"),
        ({"keypoints": []}, "unknown field 'keypoints'; did you mean 'key_points'"),
        ({"condition": "a\x00b"}, "control characters"),
        ({"gold": "x" * 30_000}, "30000 characters"),
    ],
)
def test_a_line_that_is_wrong_is_named(tmp_path, changed, told):
    path = write(tmp_path / "b.jsonl", ITEM, item(**{"id": "2", "condition": "flu", **changed}))
    with pytest.raises(UsageError) as caught:
        read_benchmark(path)
    assert str(caught.value).startswith(f"{path}:2: ")
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("second", "told"),
    [
        (item(condition="flu"), "id '1' is there already, in line 1"),
        (item(id="2"), "has its gold in line 1 already"),
        (item(id="2", condition="flu", language="fr"), "language 'fr', line 1 has 'en'"),
        (item(id="2", condition="Gout", section="symptoms"), "condition 'Gout' is 'gout' elsewhere"),
        ("{nonsense", "not JSON"),
        ("[1]", "expected a JSON object"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_lines_that_do_not_go_together(tmp_path, second, told):
    path = write(tmp_path / "b.jsonl", ITEM, second)
    with pytest.raises(UsageError, match=f"b.jsonl:2: .*{told}"):
        read_benchmark(path)


def test_files_that_are_none(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        read_benchmark(tmp_path / "nothing.jsonl")
    with pytest.raises(UsageError, match="no item in it"):
        read_benchmark(write(tmp_path / "empty.jsonl"))
    (tmp_path / "bytes.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match=r"bytes\.jsonl:1: not JSON"):
        read_benchmark(tmp_path / "bytes.jsonl")


def test_sections_of_its_own(tmp_path):
    head = {"sections": ["prognosis", "causes"], "name": "mine", "about": "a joint"}
    path = write(tmp_path / "b.jsonl", ITEM, item(id="2", section="prognosis"), head=head)
    found = read_benchmark(path)
    assert (found.name, found.about, found.sections) == ("mine", "a joint", ("prognosis", "causes"))
    assert [topic.sections for topic in found.topics] == [("prognosis", "causes")]
    for sections in ([], ["a", "A"], "causes", ["a" * 50], [3], ['a"b']):
        with pytest.raises(UsageError, match="sections"):
            read_benchmark(write(tmp_path / "c.jsonl", ITEM, head={"sections": sections}))


def test_items_of_one_condition_and_image_are_one_question(tmp_path):
    path = write(
        tmp_path / "b.jsonl",
        item(section="follow-up"),
        item(id="2"),
        item(id="3", image="a.png"),
        item(id="4", condition="flu"),
    )
    topics = read_benchmark(path).topics
    assert [(topic.id, topic.sections) for topic in topics] == [
        ("gout", ("causes", "follow-up")),
        ("gout:a.png", ("causes",)),
        ("flu", ("causes",)),
    ]


def test_some_items_only(tmp_path):
    path = write(tmp_path / "b.jsonl", ITEM, item(id="2", condition="flu"))
    found = read_benchmark(path)
    assert [one.id for one in found.select(limit=1).items] == ["1"]
    assert found.select(limit=1).labels == ("gout", "flu")  # what a classifier may find
    assert [one.id for one in found.select(["2"]).items] == ["2"]
    with pytest.raises(UsageError, match="no item '9'"):
        found.select(["9"])


def test_the_example_is_an_example_and_says_so():
    found = read_benchmark("example")
    assert len(found.items) == 10
    assert found.verified == 0
    for one in found.items:
        assert one.verified_by == one.source == "example, not expert-verified"
    labels = voxzoo.load("mobilecoatnet-endoscopy").contract.labels
    assert set(found.labels) == set(labels.values())


def test_the_checker_names_all_that_is_wrong(tmp_path, capsys):
    path = write(tmp_path / "b.jsonl", ITEM, ITEM, "x", item(id="3", key_points=[]))
    assert command.main(["reason-check", str(path)], standalone_mode=False) == 1
    told = capsys.readouterr()
    lines = told.out.splitlines()
    assert [line.split(":")[1] for line in lines] == ["2", "2", "3", "4"]
    assert "4 wrong" in told.err
    assert command.main(["reason-check", str(example_path())], standalone_mode=False) == 0
    assert "verified     NONE of 10" in capsys.readouterr().out
    assert command.main(["reason-check", str(tmp_path / "no")], standalone_mode=False) == 2


def test_examine_keeps_nothing_of_a_wrong_file(tmp_path):
    found, problems = examine(write(tmp_path / "b.jsonl", ITEM, ITEM))
    assert found is None
    assert len(problems) == 2
