"""The card of a model inside its page: Markdown to HTML, without its YAML head, raw HTML or images."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from ...zoo import registry
from ...zoo.errors import MissingDependencyError, VoxzooError
from ..build import build
from ..runs import Run
from ..stated import Stated
from ..subject import Subject, find_subject

HEADINGS = 2
"""By how many levels a card's headings go down, so that the page has one first heading."""


def card_html(runs: Sequence[Run]) -> Markup:
    """The card of the model that all ``runs`` are of; a sentence where it cannot be built.

    A name that came with a results file is never looked up anywhere but among the bundled models.
    """
    try:
        return to_html(build(_subject(runs)).readme)
    except MissingDependencyError:
        raise
    except VoxzooError as error:
        return Markup("<p>No card: {}</p>").format(str(error))


def _subject(runs: Sequence[Run]) -> Subject:
    first = runs[0]
    entry = registry.entries().get(first.model)
    if entry is not None and registry.is_local(entry) and entry.content_sha256 == first.content_sha256:
        return find_subject(first.model, runs)
    return Subject(
        name=first.model,
        version=first.version,
        contract=first.scores.contract or {},
        runs=tuple(runs),
        stated=Stated(),
        file=None,
        facts={},
        description="",
    )


def to_html(text: str) -> Markup:
    """Markdown as HTML that loads nothing and runs nothing.

    Args:
        text: a card; its YAML head is left out.

    Raises:
        MissingDependencyError: markdown-it-py is absent.

    Example:
        >>> str(to_html("---\\na: 1\\n---\\n# A <script>\\n![x](http://a/b)")).splitlines()
        ['<h3>A &lt;script&gt;</h3>', '<p>!<a href="http://a/b" rel="noreferrer noopener">x</a></p>']
    """
    try:
        from markdown_it import MarkdownIt
    except ImportError as error:
        raise MissingDependencyError(
            "cards as pages need markdown-it-py: pip install markdown-it-py"
        ) from error
    if text.startswith("---\n"):
        text = text[text.find("\n---\n", 3) + 5 :]
    parser = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    tokens = parser.parse(text)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + HEADINGS)}"
        if token.type == "table_open":
            token.attrSet("class", "plain")
        for child in token.children or ():
            if child.type == "link_open":
                child.attrSet("rel", "noreferrer noopener")
    # html=False: the renderer escapes every text of the source, so that what it gives is markup of its own.
    return Markup(parser.renderer.render(tokens, parser.options, {}))
