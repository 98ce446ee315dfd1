"""Key points in answers: hand-made sentences, and what no answer may break."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxzoo.eval.reasoning.benchmark import Item, KeyPoint
from voxzoo.eval.reasoning.scoring.keypoints import coverage, denies, find, states
from voxzoo.eval.reasoning.scoring.negation import signed_words
from voxzoo.eval.reasoning.scoring.words import check_language, sentences_of, stem, tokens_of
from voxzoo.zoo.errors import InputError, UsageError


def item(*points, forbidden=(), gold=""):
    named = tuple(KeyPoint(f"k{n}", *point) for n, point in enumerate(points, 1))
    claims = tuple(KeyPoint(f"f{n}", text) for n, text in enumerate(forbidden, 1))
    return Item("i", "gastritis", "causes", named, claims, gold, "by hand", None)


def told(sentence):
    """ "+word" and "-word", as the words stand."""
    return " ".join(("-" if word.denied else "+") + word.stem for word in signed_words(sentence))


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("Give 1.5 mg; rest", ["Give 1.5 mg", "rest"]),
        ("Treat H. pylori. Rest.", ["Treat H. pylori.", "Rest."]),
        (
            "Irritants, e.g. aspirin. Rest etc. Then eat.",
            ["Irritants, e.g. aspirin.", "Rest etc.", "Then eat."],
        ),
        ("No polyps.It is red.", ["No polyps.", "It is red."]),
        ("1. Rest\n- **eat** less\n\n* (drink)\n2) sleep", ["Rest", "**eat** less", "(drink)", "sleep"]),
        ("take vitamin C. Rest.", ["take vitamin C.", "Rest."]),
        ("avoid alcohol. take antacids", ["avoid alcohol.", "take antacids"]),
        ("... !? --", []),
        ("", []),
    ],
)
def test_sentences(text, sentences):
    assert sentences_of(text) == sentences


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("thirty-five days", "35 days"),
        ("one hundred twenty mg, twelve thousand three hundred", "120 mg , 12300"),
        ("one two twenty", "1 2 20"),
        ("two hundred thousand", "200000"),
        ("1,000 mg and 2.50 ml or 3.0", "1000 mg and 2.5 ml or 3"),
        ("20mg twice", "20 mg 2 time"),
        ("It isn't Crohn\u2019s; we can't, won't", "it is not crohn we can not , will not"),
        ("follow-up \u2013 naïve (50 %)", "follow up , naive , 50 percent ,"),
        ("zero", "0"),
    ],
)
def test_tokens(text, tokens):
    assert tokens_of(text) == tokens.split()


@pytest.mark.parametrize(
    "alike",
    [
        "polyp polyps",
        "biopsy biopsies",
        "smoke smokes smoking smoked",
        "stop stops stopped stopping",
        "use uses used using",
        "diagnosis diagnoses",
        "virus viruses",
        "abscess abscesses",
        "tumour tumor tumours tumors",
        "oesophagus esophagus",
        "haemorrhage hemorrhages",
        "diarrhoea diarrhea",
        "fibre fiber fibres fibers",
        "day daily days",
        "week weekly",
        "hospitalised hospitalized hospitalizing",
        "control controlled controlling",
        "swell swelling",
        "study studied studying studies",
        "bleed bleeding bleeds",
    ],
)
def test_forms_of_one_word(alike):
    assert len({stem(word) for word in alike.split()}) == 1


@pytest.mark.parametrize(
    "apart", ["gastritis gastric", "ulcer cancer", "need ne", "thing th", "red r", "1 10"]
)
def test_other_words_stay_apart(apart):
    first, second = apart.split()
    assert stem(first) != stem(second)


@pytest.mark.parametrize(
    ("sentence", "words"),
    [
        ("No bleeding", "-bleed"),
        ("There is no bleeding, ulcer or polyp.", "-bleed -ulcer -polyp"),
        ("There is a polyp , but no signs of infection.", "+polyp -sign -infection"),
        ("No bleeding is seen, ulcers are present", "-bleed -seen +ulcer +present"),
        ("No polyps were seen, and the mucosa is red", "-polyp -seen +mucosa +red"),
        ("Surgery is not required", "-surgery -requir"),
        ("Alcohol should be avoided", "-alcohol"),
        ("Avoid alcohol and eat more fibre", "-alcohol +eat +mor +fiber"),
        ("Avoid alcohol and spicy food", "-alcohol -spicy -food"),
        ("Malignancy cannot be excluded", "+malignancy"),
        ("Biopsy to rule out malignancy", "+biopsy -malignancy"),
        ("Do not stop the medication", "+medication"),
        ("Not only ulcers but also erosions", "+only +ulcer +erosion"),
        ("Non-bleeding ulcer", "-bleed +ulcer"),
        ("Neither ulcers nor polyps", "-ulcer -polyp"),
        ("No ulcers, no polyps, and no bleeding", "-ulcer -polyp -bleed"),
        ("Patients without symptoms need biopsy", "+patient -symptom +need +biopsy"),
        ("No, surgery is required", "+surgery +requir"),
        ("Bleeding: none", "-bleed"),
        ("Bleeding absent", "-bleed"),
        ("Bleeding was ruled out", "-bleed"),
        ("The patient has ulcers and bleeding is absent", "+patient +ulcer -bleed"),
        ("The polyp does not bleed", "+polyp -bleed"),
        ("The ulcer, if any, is not visible", "-ulcer -visibl"),
        ("Patients should be free of pain", "+patient -pain"),
        ("Don't take ibuprofen if you have ulcers", "-tak -ibuprofen +ulcer"),
        ("It is not contraindicated to take aspirin", "+tak +aspirin"),
        ("", ""),
    ],
)
def test_reach_of_a_negation(sentence, words):
    assert told(sentence) == words


def test_what_a_real_description_denies():
    sentence = (
        "There are no visible abnormalities, polyps, signs of inflammation, bleeding, infection, or foreign "
        "bodies."
    )
    assert all(word.denied for word in signed_words(sentence))


@pytest.mark.parametrize(
    ("answer", "point", "stated", "denied"),
    [
        ("There is bleeding.", ("bleeding",), True, False),
        ("There is no bleeding.", ("bleeding",), False, True),
        ("There is no bleeding.", ("no bleeding",), True, False),
        ("Bleeding was ruled out.", ("no bleeding",), True, False),
        ("Bleeding is common.", ("no bleeding",), False, True),
        ("Haemorrhage is absent.", ("bleeding", ("hemorrhage",)), False, True),
        ("The colon is red.", ("bleeding",), False, False),
        ("Bleeding. There is no bleeding.", ("bleeding",), True, True),
        ("Ulcers of the stomach often bleed.", ("bleeding stomach ulcer",), True, False),
        ("Ulcers occur. The stomach bleeds.", ("bleeding stomach ulcer",), False, False),
        ("Take antibiotics for fourteen days", ("14 days of antibiotics",), True, False),
        ("Take antibiotics for 10 days", ("14 days of antibiotics",), False, False),
        ("Don't drink or smoke.", ("stop smoking",), True, False),
        ("Alcohol irritates the mucosa.", ("avoid alcohol",), False, False),
        ("Drinking alcohol is fine.", ("no alcohol",), False, True),
        ("Treatment is not needed.", ("no treatment is needed",), True, False),
        ("Antibiotics are needed.", ("antibiotics not needed",), False, True),
        ("A non-bleeding ulcer.", ("ulcer without bleeding",), True, False),
        ("A bleeding ulcer.", ("ulcer without bleeding",), False, True),
        ("", ("bleeding",), False, False),
    ],
)
def test_stated_or_denied(answer, point, stated, denied):
    asked = KeyPoint("k", *point)
    assert (states(answer, asked), denies(answer, asked)) == (stated, denied)


def test_an_answer_by_hand():
    """Two of four key points stated, one denied; 1 + 1 sentences to the point of five."""
    gold = item(
        ("Helicobacter pylori infection", ("H. pylori",)),
        ("stress",),
        ("NSAIDs",),
        ("old age",),
        forbidden=("it is contagious",),
    )
    found = find("H. pylori is frequent. NSAIDs too. It's not stress. It is contagious. Rest helps.", gold)
    assert found.hits == (True, False, True, False)
    assert found.denied == (False, True, False, False)
    assert found.forbidden == (True,)
    assert (found.recall, found.contradictions, found.sentences, found.supporting) == (0.5, 1, 5, 2)
    assert found.precision == 2 / 5


def test_a_denied_forbidden_claim_is_no_offence():
    assert find("It is not contagious.", item(("stress",), forbidden=("contagious",))).forbidden == (False,)


def test_half_the_words_of_the_gold_are_to_the_point():
    gold = item(("acid burns the lining of the stomach",), gold="Acid burns the lining of the stomach.")
    assert find("Acid and lining ache badly.", gold).precision == 1  # 2 of 4
    assert find("Acid and heat ache badly.", gold).precision == 0  # 1 of 4
    assert find("No acid, no lining.", gold).precision == 0
    assert find("2.\nAcid burns.", gold).sentences == 1


def test_nothing_said_is_nothing_found():
    found = find("  \n ...", item(("stress",)))
    assert (found.recall, found.precision, found.sentences, found.contradictions) == (0, 0, 0, 0)


def test_bad_gold():
    with pytest.raises(InputError, match="no key points"):
        find("x", item())
    with pytest.raises(InputError, match="no word that says something"):
        find("x", item(("the ...",)))
    with pytest.raises(UsageError, match="language 'de-AT'"):
        check_language("de-AT")


def test_coverage_counts_distinct_signed_words():
    assert coverage("red red ulcer", "A red mucosa.") == 0.5
    assert coverage("", "red") == 0


WORDS = "polyp bleeding ulcer no not without avoid and , but stomach is red seen or 2 never colon excluded"
SENTENCES = st.lists(st.sampled_from(WORDS.split()), min_size=1, max_size=8).map(" ".join)
TEXTS = st.lists(SENTENCES, max_size=4)
POINTS = st.lists(
    st.sampled_from(["bleeding", "no polyp", "red ulcer", "avoid bleeding", "stomach without ulcer"]),
    min_size=1,
    unique=True,
)


@given(TEXTS, POINTS)
def test_shares_are_shares(sentences, points):
    gold = item(*((point,) for point in points), forbidden=("red colon",))
    found = find(". ".join(sentences), gold)
    assert 0 <= found.recall <= 1
    assert 0 <= found.precision <= 1
    assert found.supporting <= found.sentences


@given(TEXTS, POINTS, st.data())
def test_stating_a_key_point_never_lowers_recall_and_is_always_seen(sentences, points, data):
    gold = item(*((point,) for point in points))
    before = find(". ".join(sentences), gold)
    added = data.draw(st.sampled_from(gold.key_points))
    after = find(". ".join([*sentences, added.text.capitalize()]), gold)
    assert after.recall >= before.recall
    assert after.hits[gold.key_points.index(added)]


@given(TEXTS, POINTS, st.randoms())
def test_the_order_of_sentences_does_not_matter(sentences, points, random):
    gold = item(*((point,) for point in points))
    mixed = list(sentences)
    random.shuffle(mixed)
    assert find("\n".join(sentences), gold) == find("\n".join(mixed), gold)


@given(st.text(max_size=80))
def test_any_text_can_be_read(text):
    found = find(text, item(("bleeding",)))
    assert found.hits == (found.recall == 1,)
    assert all(sentence and re.search(r"[^\W_]", sentence) for sentence in sentences_of(text))


UNITS = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
sixteen seventeen eighteen nineteen"""
TENS = "_ _ twenty thirty forty fifty sixty seventy eighty ninety"


def spelt(n):
    if n < 20:
        return UNITS.split()[n]
    if n < 100:
        return TENS.split()[n // 10] + (f"-{spelt(n % 10)}" if n % 10 else "")
    big, word = (1000, "thousand") if n >= 1000 else (100, "hundred")
    return f"{spelt(n // big)} {word}" + (f" {spelt(n % big)}" if n % big else "")


@given(st.integers(0, 99_999))
def test_numbers_in_words_are_numbers(number):
    assert tokens_of(spelt(number)) == [str(number)]
