"""Scores of a section: libraries beside hand-derived values, statuses, models that bear claims out."""

from collections import Counter

import pytest

from voxzoo.eval.reasoning.benchmark import Item, KeyPoint
from voxzoo.eval.reasoning.scoring import lexical
from voxzoo.eval.reasoning.scoring.entailment import open_scorer
from voxzoo.eval.reasoning.scoring.section import score_section
from voxzoo.eval.reasoning.settling import settle_scorers
from voxzoo.zoo.errors import MissingDependencyError, ModelError, ModelNotFoundError, UsageError

POINTS = (KeyPoint("k1", "stop smoking"), KeyPoint("k2", "regular exercise", ("stay active",)))
ITEM = Item("i", "gastritis", "lifestyle", POINTS, (KeyPoint("f1", "alcohol helps"),), "", "by hand", None)


class Shared:
    """Support by the share of a claim's words that the text has."""

    name, content_hash = "shared", "0"

    def __init__(self):
        self.asked = []

    def score(self, pairs):
        self.asked.append(list(pairs))
        return [len(set(a.lower().split()) & set(b.split())) / len(b.split()) for a, b in pairs]


def chrf_by_hand(text, gold):
    """Popović 2015: precision and recall of letter n-grams, averaged over the n that both texts have."""
    text, gold = (part.replace(" ", "") for part in (text, gold))
    found = []
    for n in range(1, 7):
        a, b = (Counter(part[i : i + n] for i in range(len(part) - n + 1)) for part in (text, gold))
        if a and b:
            shared = sum((a & b).values())
            found.append((shared / a.total(), shared / b.total()))
    precision, recall = (sum(values) / len(found) for values in zip(*found, strict=True))
    return 5 * precision * recall / (4 * precision + recall) if precision + recall else 0.0


def test_chrf_is_that_of_the_paper():
    pytest.importorskip("sacrebleu", reason="chrF is the library's")
    assert lexical.chrf("ab", "ac") == pytest.approx(0.25)  # 1/2 of letters, 0 of pairs
    for pair in (("stop smoking now", "stop smoking"), ("an ulcer", "ulcers bleed"), ("abc", "xyz")):
        assert lexical.chrf(*pair) == pytest.approx(chrf_by_hand(*pair))
    assert lexical.chrf("", "x") == lexical.chrf(" ", "x") == lexical.chrf("x", "") == 0


def test_rouge_l_by_hand():
    pytest.importorskip("rouge_score", reason="ROUGE-L is the library's")
    assert lexical.rouge_l("stop smoking now", "stop smoking") == pytest.approx(0.8)  # 2/3 and 2/2
    assert lexical.rouge_l("smoking stops", "stop smoking") == pytest.approx(0.5)  # one word in order
    assert lexical.rouge_l("", "stop") == lexical.rouge_l("stop", "") == 0


@pytest.mark.parametrize(("name", "package"), [("rouge_l", "rouge-score"), ("chrf", "sacrebleu")])
def test_a_missing_library_is_named_before_anything_is_asked(monkeypatch, name, package):
    lexical._rouge.cache_clear()
    lexical._chrf.cache_clear()
    monkeypatch.setattr(lexical, "package_found", lambda wanted: wanted != package.replace("-", "_"))
    for attempt in (lambda: settle_scorers(name), lambda: score_section("Stop smoking.", ITEM, (name,))):
        with pytest.raises(MissingDependencyError, match=rf'{package}: pip install "voxzoo\[reason\]"'):
            attempt()
    assert score_section("Stop smoking.", ITEM, ()).recall == 0.5


def test_a_section_by_hand():
    model = Shared()
    found = score_section("Stop smoking. No alcohol.", ITEM, (model,))
    assert (found.status, found.hits, found.recall, found.precision) == ("answered", (True, False), 0.5, 0.5)
    assert (found.forbidden, found.contradictions, found.sentences) == ((False,), 0, 2)
    assert (found.rouge_l, found.chrf) == (None, None)
    assert found.support == {"shared": (0.5, 0.0)}
    assert len(model.asked) == 1, "one batch"
    assert found.metrics() == {
        "recall": 0.5,
        "precision": 0.5,
        "contradictions": 0.0,
        "forbidden": 0.0,
        "support_shared": 0.25,
    }
    assert found.record()["hits"] == [True, False]


@pytest.mark.parametrize("status", ["empty", "refused", "malformed"])
def test_no_answer_scores_nothing_whatever_it_says(status):
    model = Shared()
    found = score_section("Stop smoking. Stay active.", ITEM, (model,), status=status)
    assert (found.status, found.recall, found.precision, found.support) == (status, 0, 0, {"shared": (0, 0)})
    assert not model.asked


def test_cut_answers_keep_what_is_there_and_silence_is_empty():
    assert score_section("Stop smoking. Stay act", ITEM, (), status="cut").hits == (True, False)
    assert score_section(" ...\n", ITEM, ()).status == "empty"
    assert score_section("", ITEM, (), status="cut").status == "cut"


def test_unknown_scorers_and_languages():
    with pytest.raises(UsageError, match="'bleu', expected one of rouge_l, chrf"):
        score_section("x", ITEM, ("bleu",))
    with pytest.raises(UsageError, match="language 'fr'"):
        score_section("x", Item("i", "c", "s", POINTS, language="fr", source="", verified_by=None), ())
    with pytest.raises(UsageError, match="expected nli:DIR or embed:DIR"):
        open_scorer("gpt:x")
    with pytest.raises(ModelNotFoundError):
        open_scorer("nli:/no/such/folder")


WORDS = ("[PAD]", "[UNK]", "stop", "smoking", "rest", "now", "alcohol", "eat", "less")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """kind -> folder of a random model of two layers."""
    torch = pytest.importorskip("torch", reason="local models run in torch")
    transformers = pytest.importorskip("transformers", reason="local models are those of transformers")
    from tokenizers import Tokenizer, models, pre_tokenizers

    plain = Tokenizer(models.WordLevel({word: n for n, word in enumerate(WORDS)}, unk_token="[UNK]"))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=plain, pad_token="[PAD]", unk_token="[UNK]"
    )
    sizes = {"vocab_size": len(WORDS), "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2}
    sizes |= {"intermediate_size": 16, "max_position_embeddings": 12}
    classes = {"nli": ("contradiction", "neutral", "ENTAILMENT"), "other": ("good", "bad", "ugly")}
    out = {}
    for kind in ("nli", "other", "embed"):
        torch.manual_seed(3)
        folder = tmp_path_factory.mktemp(kind)
        names = dict(enumerate(classes.get(kind, classes["nli"])))
        config = transformers.BertConfig(
            **sizes, id2label=names, label2id={v: k for k, v in names.items()}, initializer_range=0.5
        )
        made = transformers.BertModel if kind == "embed" else transformers.BertForSequenceClassification
        made(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        out[kind] = folder
    return out


PAIRS = [("stop smoking now", "smoking"), ("rest", "eat less alcohol now"), ("unknown words", "rest")]


def test_entailment_is_the_models_probability(tiny):
    import torch
    from transformers import AutoTokenizer, BertForSequenceClassification

    scorer = open_scorer(f"nli:{tiny['nli']}")
    model = BertForSequenceClassification.from_pretrained(tiny["nli"]).eval()
    tokenizer = AutoTokenizer.from_pretrained(tiny["nli"])
    with torch.no_grad():
        alone = [float(model(**tokenizer(*p, return_tensors="pt")).logits.softmax(-1)[0, 2]) for p in PAIRS]
    assert scorer.score(PAIRS) == pytest.approx(alone, abs=1e-5)
    assert scorer.score(PAIRS * 9)[-3:] == pytest.approx(alone, abs=1e-5)
    assert 0 <= scorer.score([("stop " * 40, "rest " * 40)])[0] <= 1, "longer than its context"
    assert scorer.name.startswith("nli-")
    found = score_section("Stop smoking now. Rest.", ITEM, (scorer,))
    assert set(found.support) == {scorer.name}
    assert len(found.support[scorer.name]) == 2


def test_embeddings_are_cosines_of_means(tiny):
    import torch
    from transformers import AutoTokenizer, BertModel

    scorer = open_scorer(f"embed:{tiny['embed']}")
    model = BertModel.from_pretrained(tiny["embed"]).eval()
    tokenizer = AutoTokenizer.from_pretrained(tiny["embed"])

    def mean(text):
        with torch.no_grad():
            return model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(0)

    alone = [float(torch.cosine_similarity(mean(a), mean(b), dim=0)) for a, b in PAIRS]
    assert scorer.score(PAIRS) == pytest.approx(alone, abs=1e-5)
    assert scorer.score([("rest", "rest")]) == pytest.approx([1.0])
    assert scorer.content_hash != open_scorer(f"nli:{tiny['nli']}").content_hash


def test_classifiers_of_something_else_are_refused(tiny):
    with pytest.raises(UsageError, match="good, bad, ugly; expected one called entailment"):
        open_scorer(f"nli:{tiny['other']}")
    with pytest.raises(ModelError, match="weights are missing"):
        open_scorer(f"nli:{tiny['embed']}")
