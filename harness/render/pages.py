"""What every page shares: what it may load, how its templates escape, and how words break."""

import base64
import hashlib
import re
from collections.abc import Sequence
from typing import Any

import jinja2
from markupsafe import Markup, escape

from harness.printable import visible
from harness.render import numbers
from harness.render.labels import measured_name, split_words
from harness.render.table import SIGNS
from harness.resources import resource_dir

_WHOLE_CHARS, _WHOLE_PART = 24, 16  # names up to here do not break; parts of names
NBSP = "\u00a0"
_TOGETHER = re.compile(
    r"(?<=\d) (?=[kMGT]?B\b|tok/s|%)"  # numbers and their units
    r"|(?<=\bp) (?=[<=])|(?<=\bp [<=]) "  # p < 0.001
    r"|(?<=\d,) (?=[−+]?\d[\d.,]*\])"  # intervals
)
_BREAKS = re.compile(r"(?<=[_/])")
_HYPHENED = re.compile(r"\b[A-Z]+-[A-Z]\w*")  # ROUGE-L


def asset(path: Any) -> str:
    """A file that is embedded in a page."""
    return str(path.read_text("utf-8")).strip()


def page_policy(style: str, script: str) -> str:
    """A content security policy that allows this style and this script and nothing else."""

    def digest(text: str) -> str:
        return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

    return (
        f"default-src 'none'; style-src 'sha256-{digest(style)}'; "
        f"script-src 'sha256-{digest(script)}'; base-uri 'none'; form-action 'none'"
    )


def environment(folder: str, *, none: str = "") -> jinja2.Environment:
    """Templates that escape everything; names that do not exist are errors.

    Args:
        folder: Where the templates are.
        none: Stands for None, which must not print as a word.
    """

    def neutral(value: Any) -> Any:
        if value is None:
            return none
        if isinstance(value, str) and not isinstance(value, Markup):
            return visible(value)
        return value

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=neutral,
    )


def page_environment() -> jinja2.Environment:
    """The shipped templates, with the filters that all pages share."""
    templates = environment(str(resource_dir("reports") / "templates"), none=numbers.NONE)
    templates.filters |= {
        "bytes": numbers.size,
        "seconds": numbers.duration,
        "number": numbers.number,
        "metric": numbers.metric_name,
        "percent": numbers.percent,
        "measured_name": measured_name,
        "unbroken": unbroken,
        "breakable": breakable,
        "whole": whole,
    }
    templates.globals |= {
        "count": numbers.count,
        "split_words": split_words,
        "swatches": {},
        "signs": SIGNS,
    }
    return templates


def render_page(
    templates: jinja2.Environment,
    name: str,
    values: dict[str, Any],
    *,
    styles: Sequence[str] = ("report.css",),
    more_script: str = "",
) -> str:
    """Write a page that loads nothing: style, script and the policy that allows only them.

    Args:
        templates: Where the template is.
        name: The template, which extends ``page.html.j2``.
        values: What it shows.
        styles: Names of shipped style sheets, put into one.
        more_script: Follows the script that all pages share.
    """
    assets = resource_dir("reports") / "assets"
    style = "\n".join(asset(assets / sheet) for sheet in styles)
    script = "\n".join(part for part in (asset(assets / "report.js"), more_script) if part)
    return templates.get_template(name).render(
        values,
        style=Markup(style),  # noqa: S704  # our own file
        script=Markup(script),  # noqa: S704  # our own file
        policy=page_policy(style, script),
    )


def unbroken(text: str) -> Markup:
    """Keep intervals, numbers with their units, and names such as ROUGE-L on one line."""
    joined = _TOGETHER.sub(NBSP, visible(text)).replace("n = ", f"n{NBSP}={NBSP}")
    together = _HYPHENED.sub(r'<span class="together">\g<0></span>', str(escape(joined)))
    return Markup(together)  # noqa: S704  # escaped above


def breakable(text: str) -> Markup:
    """Let long names break after their underscores and slashes; parts stay whole if short."""
    parts = (whole(part, _WHOLE_PART) for part in _BREAKS.split(visible(text)))
    return Markup("<wbr>").join(parts)


def whole(text: str, most: int = _WHOLE_CHARS) -> Markup:
    """Keep a short name on one line; a longer one may wrap anywhere."""
    if len(text) > most:
        return escape(visible(text))
    return Markup('<span class="together">{}</span>').format(visible(text))
