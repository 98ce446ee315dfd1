"""Untrusted names: as files, in HTML, in Markdown, in figures."""

import html
import re
from pathlib import PurePath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from matplotlib import cbook

from voxzoo.cards.names import as_html, as_markdown, slug, visible, without_folders
from voxzoo.cards.plots.style import plain

NASTY = (
    "<script>alert(1)</script>",
    "a|b",
    "[x](javascript:alert(1))",
    "![x](http://a/b.png)",
    "`code`",
    "# heading",
    "- item",
    "1. item",
    "a\n\n# b",
    "$x$",
    "javascript:alert(1)",
    "www.example.org",
    "me@example.org",
    "<http://example.org>",
    "\u202egnp.exe",
    "--",
    "===",
    "&lt;b&gt;",
    "\\*a*",
    "~~~",
    "    indented",
    "a\x00b",
    ">",
    "> quote",
    "__0__",
    "_a_b_",
    "1) item",
    "+",
)
SIGNS = st.text(alphabet="_*`~>#+-=|[]()<>!&;:/\\.$1aA @wthp\n", max_size=14)
TEXTS = st.text(max_size=80) | st.sampled_from(NASTY) | SIGNS
RESERVED = {"con", "prn", "aux", "nul", "com1", "lpt9"}


@given(TEXTS)
def test_a_slug_is_a_safe_file_name_everywhere(name):
    made = slug(name)
    assert re.fullmatch(r"[a-z0-9_][a-z0-9._-]{0,58}", made)
    assert PurePath(made).name == made
    assert made.partition(".")[0] not in RESERVED
    assert not made.endswith(".")
    assert slug(name) == made


@given(TEXTS, TEXTS)
def test_different_names_have_different_slugs(one, other):
    assert (slug(one) == slug(other)) == (one == other)


@given(TEXTS)
def test_a_slug_cannot_be_taken_by_a_name_that_looks_like_it(name):
    made = slug(name)
    assert made == name or slug(made) != made


@pytest.mark.parametrize("name", ["cnn3d-seg", "a", "llava-nano-q8_0", "v1.2"])
def test_a_name_that_is_safe_is_kept(name):
    assert slug(name) == name


@pytest.mark.parametrize("name", ["CON", "con", "aux.txt", "..", ".hidden", "a/b", "A", "", "x" * 300])
def test_a_name_that_is_not_safe_is_changed(name):
    assert slug(name) != name


@given(TEXTS)
def test_html_shows_the_text_and_nothing_else(text):
    made = as_html(text)
    assert not set(made) & set("<>\"'")
    assert html.unescape(made) == visible(text)


def shown(markdown):
    """(text as a reader sees it, kinds of tokens) by another parser, tables and strikethrough on."""
    parser = MarkdownIt("commonmark", {"linkify": False}).enable(["table", "strikethrough"])
    kinds, text = [], []
    for token in parser.parse(markdown):
        kinds.append(token.type)
        for child in token.children or ():
            kinds.append(child.type)
            text.append(child.content)
    return "".join(text), kinds


@given(TEXTS)
def test_markdown_shows_the_text_and_nothing_else(text):
    seen, kinds = shown(as_markdown(text))
    assert seen == visible(text)
    assert set(kinds) <= {"paragraph_open", "inline", "paragraph_close", "text", "text_special"}


@given(TEXTS)
def test_markdown_stays_in_its_table_cell(text):
    table = f"| a | b |\n| - | - |\n| {as_markdown(text)} | end |\n"
    tokens = MarkdownIt("commonmark").enable("table").parse(table)
    cells = [token for token in tokens if token.type == "td_open"]
    assert len(cells) == 2
    assert "end" in [t.content for t in tokens if t.type == "inline"]


@given(TEXTS)
def test_markdown_stays_in_its_list_item(text):
    tokens = MarkdownIt("commonmark").enable("table").parse(f"- {as_markdown(text)} x\n- y\n")
    assert [t.type for t in tokens].count("list_item_open") == 2
    assert not {"heading_open", "fence", "html_block", "hr", "code_block"} & {t.type for t in tokens}


@given(TEXTS)
def test_nothing_hidden_is_left(text):
    assert all(ord(char) >= 32 and char not in "\u202e\u2066\u200b\u2028" for char in visible(text))


@given(TEXTS)
def test_figures_never_read_mathematics(text):
    assert not cbook.is_math_text(plain(text))


@pytest.mark.parametrize(
    ("text", "published"),
    [
        ("file /home/me/a/b.onnx", "file b.onnx"),
        ("file ./mine.onnx (the file wins)", "file mine.onnx (the file wins)"),
        (r"C:\Users\me\b.onnx", "b.onnx"),
        ("~/runs/x: truncated", "x: truncated"),
        ("phantom:n=8,shape=1x2x3", "phantom:n=8,shape=1x2x3"),
        ("https://a.org/b/c.onnx", "https://a.org/b/c.onnx"),
        ("high/low", "high/low"),
    ],
)
def test_no_folder_of_anyone_is_published(text, published):
    assert without_folders(text) == published
