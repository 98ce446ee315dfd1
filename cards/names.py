"""Names and answers from anywhere, made safe to write: as file names, in HTML, in Markdown.

Names of models, datasets, cases and classes, and every answer of a language model, are untrusted text.
"""

from __future__ import annotations

import hashlib
import html
import re
import unicodedata
from pathlib import PurePath

LONGEST = 48
_SAFE = re.compile(r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9_-])?")
_HASHED = re.compile(r".*-[0-9a-f]{10}")
_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{k}" for port in ("com", "lpt") for k in range(10))}
_MARKDOWN = re.compile(r"([\\`*{}\[\]|~$])|(?<![^\W_])(_)|(_)(?![^\W_])|^([-+#=])|^(\d+)([.)])(?=\s|$)")
_LINK = re.compile(r"(?i)\b(https?|ftp|mailto|javascript|data)(:)(?=\S)|\b(www)(\.)(?=\S)|(\w)(@)(?=\w)")


def slug(name: str) -> str:
    """A file name for ``name``: the same on every system, different for different names.

    A name that already is one is kept. Any other keeps what can be kept and gets ten digits of its hash, so
    that names that differ only in case, spaces or signs stay apart, on disks that ignore case too.

    Args:
        name: any text.

    Returns:
        1 to 59 characters of a-z, 0-9, ".", "_" and "-"; never hidden, never reserved, no path.

    Example:
        >>> slug("cnn3d-seg"), slug("../My model")
        ('cnn3d-seg', 'my-model-752f936a80')
    """
    stem = name.partition(".")[0]
    if (
        _SAFE.fullmatch(name)
        and len(name) <= LONGEST
        and not _HASHED.fullmatch(name)
        and stem not in _RESERVED
    ):
        return name
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    kept = re.sub(r"[^a-z0-9_]+", "-", plain).strip("-_")[:LONGEST].rstrip("-_") or "x"
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:10]
    return f"{kept}-{digest}"


def visible(text: object) -> str:
    """One line without anything that hides, reorders or breaks: control characters become visible.

    Example:
        >>> visible("a\\nb\\u202ec\\x00")
        'a b\\\\u202ec\\\\x00'
    """
    out = []
    for char in " ".join(str(text).split()):
        hidden = unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
        out.append(char.encode("unicode_escape").decode() if hidden else char)
    return "".join(out)


def as_html(text: object) -> str:
    """Text for HTML, in an element or in a quoted attribute.

    Example:
        >>> as_html('<script>"&')
        '&lt;script&gt;&quot;&amp;'
    """
    return html.escape(visible(text), quote=True)


def as_markdown(text: object) -> str:
    """Text for Markdown, in a table cell too: shown as it is, never as a link, a tag or a heading.

    Example:
        >>> as_markdown("a|b <script> *c* 0.5")
        'a\\\\|b &lt;script&gt; \\\\*c\\\\* 0.5'
    """
    plain = visible(text).replace("&", "&amp;")
    marked = _MARKDOWN.sub(_escaped, plain).replace("<", "&lt;").replace(">", "&gt;")
    return _LINK.sub(_unlinked, marked)


def _escaped(found: re.Match[str]) -> str:
    *signs, number, dot = found.groups()
    return f"{number}\\{dot}" if number else "\\" + next(sign for sign in signs if sign)


def _unlinked(found: re.Match[str]) -> str:
    """Renderers make links of bare addresses; an entity in the middle stops them and reads the same."""
    first, last = (part for part in found.groups() if part is not None)
    return f"{first}&#{ord(last)};"


def without_folders(text: str) -> str:
    """What may be published of a source: the last part of a path, anything else as it is.

    Example:
        >>> without_folders("recorded answers /home/me/a.jsonl"), without_folders("phantom:n=8,seed=0")
        ('recorded answers a.jsonl', 'phantom:n=8,seed=0')
        >>> without_folders("https://example.org/a/b.onnx")
        'https://example.org/a/b.onnx'
    """
    return re.sub(r"(?<![\w:/.~])(?:~|\.{1,2}|[A-Za-z]:)?[/\\][^\s,;)]*", _last, text)


def _last(found: re.Match[str]) -> str:
    return PurePath(found[0].replace("\\", "/")).name or found[0]
