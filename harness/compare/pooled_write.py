"""Writes the report of a recipe over several trainings, in four forms of one view."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from harness.compare.pooled import CHOICE, MemberScore, PooledRow, PooledView
from harness.compare.pooled_words import (
    cautions,
    change,
    final_command,
    headline,
    row_name,
    support,
)
from harness.render.delimited import Raw
from harness.render.markdown import code, plain
from harness.render.numbers import NONE, estimate, number
from harness.render.pages import page_environment, render_page
from harness.render.table import (
    Cell,
    Side,
    Table,
    data_table,
    make_table,
    numbers,
    table_of,
    texts,
    to_csv,
    to_markdown,
)
from harness.report.write import write_formats
from harness.suite.rules import in_points

_SIDES: dict[str, Side] = {"better": "better", "worse": "worse", "open": "open", "same": "same"}
_WORDS = {"better": "better", "worse": "worse", "open": "not distinguishable", "same": "identical"}


def pooled_table(view: PooledView, *, choice: bool) -> Table:
    """Pooled values and differences: of the choice, or of each checkpoint by itself."""
    rows = [row for row in view.rows if (row.what == CHOICE) == choice]
    figures = ("rows", "base", "recipe", "difference", "by examples", "by training")
    head = (*texts("what"), *numbers(*figures))
    return make_table("Pooled results", head, [_pooled_row(row) for row in rows])


def _pooled_row(row: PooledRow) -> list[Cell | str]:
    if row.rows is None:
        return [row_name(row), NONE, NONE, NONE, Cell(row.reason or NONE), NONE, NONE]
    side = _SIDES.get(row.side, "")
    difference = Cell(
        change(row), side=side, words=_WORDS.get(row.side, ""), raw=row.delta, note=row.method
    )
    return [
        row_name(row),
        Cell(f"{row.n:,}", raw=row.n),
        _figure(row.base, row.scale),
        _figure(row.value, row.scale),
        difference,
        _half(row.sampling, row.scale),
        _half(row.training, row.scale),
    ]


def _figure(value: float | None, scale: float | None) -> Cell:
    return Cell(estimate(value, None, None, scale)[0], raw=value)


def _half(value: float | None, scale: float | None) -> Cell:
    return Cell(NONE if value is None else f"±{number(in_points(value, scale))}", raw=value)


def members_table(view: PooledView) -> Table:
    """Each training: its rows, its choice, and what it says by itself on the deciding metric."""
    row = view.decided
    own = {score.label: score for score in row.members} if row is not None else {}
    scale = row.scale if row is not None else None

    def gain(score: MemberScore | None) -> Cell:
        if score is None:
            return Cell(NONE)
        value, interval = estimate(score.delta, score.low, score.high, scale, signed=True)
        return Cell(value, interval=interval, raw=score.delta)

    return table_of(
        "Trainings",
        view.members,
        {
            "training": lambda m: m.label,
            "run": lambda m: Cell(m.run, code=True),
            "state": lambda m: m.state,
            "trained on": lambda m: m.train_rows,
            "scored on": lambda m: own[m.label].n if m.label in own else m.held_out_rows,
            "choice": lambda m: m.chosen,
            "base": lambda m: _figure(own[m.label].base if m.label in own else None, scale),
            "value": lambda m: _figure(own[m.label].value if m.label in own else None, scale),
            "difference": lambda m: gain(own.get(m.label)),
        },
    )


def render_pooled_markdown(view: PooledView) -> str:
    """Write verdict, trainings, pooled results and provenance."""
    parts = [
        f"# {plain(view.suite)}: {len(view.members)} trainings by {view.by}",
        f"**{plain(headline(view))}**",
        "\n".join(f"- {plain(line)}" for line in support(view)),
        "\n".join(f"> {plain(line)}  " for line in cautions(view)),
        "## Trainings",
        to_markdown(members_table(view), caption=False),
        *_sections(view),
        "## Provenance",
        f"- run {plain(view.run_id)}, suite digest {plain(view.suite_digest)}\n"
        f"- {code(view.command)}\n- the model to ship: {code(final_command(view))}",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _sections(view: PooledView) -> Iterator[str]:
    if not view.rows:
        return
    yield "## Pooled results"
    yield LEAD
    yield to_markdown(pooled_table(view, choice=True), caption=False)
    steps = pooled_table(view, choice=False)
    if steps.rows:
        yield "## Each checkpoint"
        yield STEPS
        yield to_markdown(steps, caption=False)


LEAD = (
    "Base and choice over all rows together, and the paired difference with its 95 % interval; "
    "beside it the half of that interval by the choice of examples, and by how trainings differ. "
    "Scores with a best value are of 100."
)
STEPS = "The same step of every training. The best of several looks better than it is."


def render_pooled_html(view: PooledView) -> str:
    """Write it as one page that loads nothing and trusts no text."""
    values = {
        "view": view,
        "headline": headline(view),
        "support": support(view),
        "cautions": cautions(view),
        "members": members_table(view),
        "choice": pooled_table(view, choice=True),
        "steps": pooled_table(view, choice=False),
        "lead": LEAD,
        "steps_lead": STEPS,
        "final": final_command(view),
    }
    styles = ("report.css", "runs.css")
    return render_page(page_environment(), "pooled.html.j2", values, styles=styles)


def render_pooled_json(view: PooledView) -> str:
    """The whole view as JSON: the same view gives the same bytes."""
    return view.model_dump_json(indent=1) + "\n"


_OF_ROW = (
    *("task", "metric", "split", "what"),
    *("rows", "n", "clusters", "base", "value", "delta", "low", "high", "side"),
    *("sampling", "training", "spread", "noise", "unit", "scale", "higher_is_better"),
    *("method", "reason"),
)
_COLUMNS = ("member", *_OF_ROW)


def render_pooled_csv(view: PooledView) -> str:
    """Every pooled row and each training's share of it, in the metrics' own units."""
    return to_csv(data_table("Pooled scores", _COLUMNS, _lines(view)))


def _lines(view: PooledView) -> Iterator[tuple[Raw, ...]]:
    for row in view.rows:
        yield ("pooled", *(getattr(row, name) for name in _OF_ROW))
        for member in row.members:
            own = {**member.model_dump(), "what": member.variant}
            same = {name: getattr(row, name) for name in ("task", "metric", "split", "unit")}
            of_row = {"scale": row.scale, "higher_is_better": row.higher_is_better}
            line = {**own, **same, **of_row}
            yield (member.label, *(line.get(name) for name in _OF_ROW))


_RENDERERS: Mapping[str, tuple[str, Callable[[PooledView], str]]] = {
    "html": ("report.html", render_pooled_html),
    "markdown": ("report.md", render_pooled_markdown),
    "json": ("report.json", render_pooled_json),
    "csv": ("report.csv", render_pooled_csv),
}


def write_pooled(view: PooledView, folder: Path, format_: str = "html") -> list[Path]:
    """Render a view into a folder, replacing earlier renderings of the same format.

    Args:
        view: What to show.
        folder: Where ``report.html``, ``.md``, ``.json`` or ``.csv`` go.
        format_: One of html, markdown, json, csv, or ``all``.

    Returns:
        The files written.

    Raises:
        UsageError: There is no such format.
    """
    return write_formats(_RENDERERS, view, folder, format_)
