"""Python files of a user's own, named on a command line: they run code, so only a person names them."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

from .errors import UsageError


def run_file(file: Path, kind: str, wanted: str) -> ModuleType:
    """Run a Python file and give its names.

    Args:
        file: its path.
        kind: a word for what it makes; the module is called ``voxzoo_KIND_NAME``.
        wanted: what such a file is, for the message if there is none.

    Raises:
        UsageError: no such file, one that is not Python by its name, or a syntax error, with its line.
    """
    if not file.is_file():
        raise UsageError(f"{file}: no such file; {wanted}")
    spec = importlib.util.spec_from_file_location(f"voxzoo_{kind}_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise UsageError(f"{file}: Python cannot import it; its name has to end in .py")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise UsageError(f"{error.filename}:{error.lineno}: {error.msg}") from error
    return module
