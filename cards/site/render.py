"""Pages from templates. Autoescape is on and stays on: what a run brings is text, never markup."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from ..figures import REGIONS
from ..names import visible, without_folders


def environment() -> Environment:
    """The templates of this package, strict about names, with every variable escaped.

    The filter ``line`` is for names, ``told`` for messages: these may hold paths of the machine that a run or
    the site was made on, of which only the last part is published.
    """
    package = __package__ or __name__.rpartition(".")[0]
    env = Environment(
        loader=PackageLoader(package, "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters["line"] = visible
    env.filters["told"] = lambda text: visible(without_folders(str(text)))
    env.filters["region"] = lambda name: REGIONS.get(name, name)
    return env


class Pages:
    """Renders the pages of one site.

    Args:
        **shared: what every template knows.
    """

    def __init__(self, **shared: Any) -> None:
        self._env = environment()
        self._env.globals.update(shared)

    def render(self, template: str, root: str, **context: Any) -> bytes:
        """A page.

        Args:
            template: its file name.
            root: the way back to the first page ("", "../", ...).
            **context: what the template needs.
        """
        return self._env.get_template(template).render(root=root, **context).encode()
