"""Contracts: the round trip through JSON, and the name of the field in every refusal."""

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxzoo.zoo.contract import Contract, InputSpec, LicenceSpec, OutputSpec
from voxzoo.zoo.errors import ContractError

PLAIN = {
    "schema": "voxzoo.contract/1",
    "name": "toy",
    "version": "1.2.3",
    "task": "segment",
    "input": {
        "name": "image",
        "channels": ["flair", "t1"],
        "shape": [8, 9, 10],
        "spacing_mm": [1.5, 1.5, 2],
        "orientation": "RAS",
        "crop": "brain-center",
        "clip_percentiles": [0.5, 99.5],
        "normalise": "zscore-nonzero",
        "interpolation": "linear",
        "window": "sliding",
        "overlap": 0.25,
    },
    "output": {
        "name": "probability",
        "kind": "regions",
        "channels": ["wt"],
        "activation": "none",
        "threshold": 0.5,
        "fill_holes": True,
        "min_component_mm3": 0.0,
        "min_component_share": 0.0,
        "min_region_mm3": {"wt": 50.0},
    },
    "labels": {"1": "whole_tumour"},
    "licence": {
        "weights": "Apache-2.0",
        "data_terms": "CC BY 4.0",
        "status": "confirmed",
        "attribution": ["A. Author 2022"],
    },
    "training": {"seed": 3, "nested": {"scores": [0.1, None, "é"]}},
    "content_sha256": "ab" * 32,
}


def changed(path, value):
    plain = copy.deepcopy(PLAIN)
    *outer, last = path.split(".")
    target = plain
    for key in outer:
        target = target[key]
    if value is KeyError:
        del target[last]
    else:
        target[last] = value
    return plain


def test_fields_arrive_where_they_belong():
    contract = Contract.from_json(json.dumps(PLAIN))
    assert contract.input.channels == ("flair", "t1")
    assert contract.input.shape == (8, 9, 10)
    assert contract.input.clip_percentiles == (0.5, 99.5)
    assert contract.labels == {1: "whole_tumour"}
    assert contract.licence.attribution == ("A. Author 2022",)
    assert contract.regions == {"wt": (1,)}


def test_json_in_is_json_out():
    assert json.loads(Contract.from_json(PLAIN).to_json()) == PLAIN


@given(
    text=st.text(min_size=1).filter(str.strip),
    shape=st.tuples(*[st.integers(1, 512)] * 3),
    spacing=st.tuples(*[st.floats(0.01, 10)] * 3),
    threshold=st.floats(0, 0.999),
    training=st.dictionaries(st.text(), st.integers() | st.text() | st.none() | st.lists(st.booleans())),
)
def test_round_trip(text, shape, spacing, threshold, training):
    contract = Contract(
        name=text,
        version=text,
        task="segment",
        input=InputSpec(text, (text,), shape, spacing),
        output=OutputSpec(text, "regions", ("et", "wt", "tc"), threshold=threshold),
        labels={1: "necrosis", 2: "edema", 3: "enhancing"},
        licence=LicenceSpec(text, text, "unconfirmed", (text,)),
        training=training,
    )
    assert Contract.from_json(contract.to_json()) == contract
    assert Contract.from_json(contract.to_json().encode()) == contract


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("schema", "voxzoo.contract/2"),
        ("name", ""),
        ("version", 1),
        ("task", "paint"),
        ("surprise", 1),
        ("input", "x"),
        ("input.surprise", 1),
        ("input.name", KeyError),
        ("input.channels", []),
        ("input.channels", ["flair", "flair"]),
        ("input.channels", "flair"),
        ("input.shape", [8, 9]),
        ("input.shape", [8, 9, 10.5]),
        ("input.shape", [8, 9, 0]),
        ("input.shape", [8, 9, True]),
        ("input.spacing_mm", [1, 1, -1]),
        ("input.spacing_mm", [1, 1, float("nan")]),
        ("input.orientation", "LPS"),
        ("input.crop", "tumour"),
        ("input.clip_percentiles", [99, 1]),
        ("input.clip_percentiles", [0]),
        ("input.normalise", "minmax"),
        ("input.interpolation", KeyError),
        ("input.preprocessing", "thesis"),
        ("input.preprocessing", None),
        ("input.window", "wandering"),
        ("input.overlap", 1.0),
        ("input.overlap", -0.1),
        ("input.overlap", "half"),
        ("output.fill_holes", 1),
        ("output.fill_holes", "yes"),
        ("output.min_region_mm3", {"tc": 1.0}),
        ("output.min_region_mm3", {"wt": -1.0}),
        ("output.min_region_mm3", {"wt": "large"}),
        ("output.min_region_mm3", []),
        ("output.kind", "boxes"),
        ("output.channels", ["liver"]),
        ("output.activation", "relu"),
        ("output.threshold", 1.0),
        ("output.threshold", "half"),
        ("output.threshold", None),
        ("output.min_component_mm3", -1),
        ("output.min_component_share", 2),
        ("labels", {}),
        ("labels", {"one": "x"}),
        ("labels", {"0": "background"}),
        ("labels", {"256": "x"}),
        ("labels", {"1": "x", "2": "y"}),
        ("labels", {"1": ""}),
        ("labels", [1]),
        ("licence", KeyError),
        ("licence.weights", None),
        ("licence.status", "maybe"),
        ("licence.attribution", [""]),
        ("training", []),
        ("content_sha256", "ab"),
        ("content_sha256", "AB" * 32),
        ("content_sha256", None),
        ("content_sha256", 0),
    ],
)
def test_a_wrong_field_is_named(path, value):
    plain = changed(path, value)
    with pytest.raises(ContractError) as caught:
        Contract.from_json(plain)
    assert path.split(".")[0] in str(caught.value)
    assert path.split(".")[-1] in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", b"\xff\xfe", "[" * 100_000])
def test_what_is_no_json_object_is_refused(text):
    with pytest.raises(ContractError, match="contract"):
        Contract.from_json(text)


def test_what_a_hand_written_contract_cannot_know_may_be_left_out():
    plain = changed("content_sha256", KeyError)
    del plain["training"], plain["licence"]["attribution"]
    contract = Contract.from_json(plain)
    assert (contract.content_sha256, contract.training, contract.licence.attribution) == ("", {}, ())


def test_what_older_files_cannot_know_may_be_left_out():
    plain = copy.deepcopy(PLAIN)
    for key in ("window", "overlap"):
        del plain["input"][key]
    del plain["output"]["min_region_mm3"], plain["output"]["fill_holes"]
    contract = Contract.from_json(plain)
    assert (contract.input.preprocessing, contract.input.window) == ("grid", "whole")
    assert contract.output.min_region_mm3 == {}
    assert contract.output.fill_holes is False


@pytest.mark.parametrize(
    "changes",
    [
        {"spacing_mm": (1.5, 1.0, 1.0)},
        {"crop": "center"},
        {"clip_percentiles": (1, 99)},
        {"normalise": "zscore-nonzero"},
        {"window": "sliding"},
    ],
)
def test_the_papers_preprocessing_leaves_no_choice(changes):
    fixed = {"spacing_mm": (1.0, 1.0, 1.0), "normalise": "none", "preprocessing": "paper"}
    assert InputSpec("x", ("flair",), (95, 128, 128), **fixed).preprocessing == "paper"
    with pytest.raises(ContractError, match=f"input.{next(iter(changes))}.*paper"):
        InputSpec("x", ("flair",), (95, 128, 128), **{**fixed, **changes})


def test_label_channels_have_to_be_the_labels():
    def output(*channels):
        return OutputSpec("y", "labels", channels, activation="softmax")

    base = Contract.from_json(PLAIN)
    labels = {2: "edema", 1: "necrosis", 3: "enhancing"}
    good = Contract(**{**vars(base), "labels": labels,
                       "output": output("background", "necrosis", "edema", "enhancing")})  # fmt: skip
    assert good.regions == {"wt": (1, 2, 3), "tc": (1, 3), "et": (3,)}
    with pytest.raises(ContractError, match=r"output\.channels"):
        Contract(**{**vars(base), "labels": labels, "output": output("background", "edema")})
    with pytest.raises(ContractError, match=r"output\.fill_holes"):
        OutputSpec("y", "labels", ("background", "edema"), fill_holes=True)


@pytest.mark.parametrize(
    ("status", "word"),
    [("confirmed", ""), ("unconfirmed", "UNCONFIRMED"), ("research-only", "RESEARCH USE ONLY")],
)
def test_the_licence_line_says_what_is_not_sure(status, word):
    assert word in LicenceSpec("MIT", "somebody's", status).line
    assert LicenceSpec("MIT", "somebody's", status).line.startswith("MIT")
