"""What a gate decided as one offline page in the look of the report."""

import math

from markupsafe import Markup

from harness.gate import words
from harness.render.pages import page_environment, render_page
from harness.render.svg import Axis, Canvas
from harness.schema import GateCheck, GateResult

_WIDTH, _HEIGHT, _PAD = 190.0, 26.0, 9.0
_REACH = 3.0  # margins to either side of zero that a chart shows


def render_gate_html(result: GateResult) -> str:
    """Write the result as one page that loads nothing and trusts no text."""
    checks = words.worst_first(result.checks)
    apart = [check for check in checks if words.verdict_word(check) in ("not_compared", "listed")]
    compared = [check for check in checks if check not in apart]
    scores = [check for check in compared if check.decides and check.kind != "measurement"]
    sizes = [check.n for check in scores if check.n]
    rows = [
        (check.verdict, words.check_words(check), _chart(check, f"check-{index}"))
        for index, check in enumerate(compared)
    ]
    values = dict(
        result=result,
        suite=words.suite_of(result),
        mark=words.MARKS[result.verdict],
        origin=words.origin(result),
        deciding=len(compared),
        listed=len(apart),
        tally=words.tally(compared),
        differing=words.difference_title(result),
        clipped=any("<polygon" in chart for _, _, chart in rows if chart),
        tested=words.was_tested(result),
        fewest=min(sizes, default=None),
        most=max(sizes, default=None),
        rows=rows,
        apart=[words.check_words(check) for check in apart],
        meaning=words.meaning(result),
        legend=words.LEGEND,
    )
    return render_page(page_environment(), "gate.html.j2", values)


def _chart(check: GateCheck, ident: str) -> Markup | None:
    """The gain between its bounds, against zero and -margin, in units of the margin.

    In this unit both lines stand at the same place in every row. What lies beyond the chart ends
    in an arrow.
    """
    if check.gain is None:
        return None
    low = check.gain if check.low is None else check.low
    high = check.gain if check.high is None else check.high
    unit = check.margin or max(abs(low), abs(high), 1e-12) / (_REACH - 0.5)
    canvas = Canvas(ident, _WIDTH, _HEIGHT, words.sentence(check), "Gain between its bounds.")
    x = Axis(-_REACH, _REACH, _PAD, _WIDTH - _PAD, ())
    middle = _HEIGHT / 2
    if check.margin is not None:
        canvas.line(x(-check.margin / unit), 2, x(-check.margin / unit), _HEIGHT - 2, "margin")
    canvas.line(x(0), 2, x(0), _HEIGHT - 2, "zero")
    ends = [min(max(end / unit, -_REACH), _REACH) for end in (low, high)]
    canvas.line(x(ends[0]), middle, x(ends[1]), middle, f"bar {check.verdict}")
    for end in dict.fromkeys((low / unit, high / unit)):
        if abs(end) > _REACH:
            _arrow(canvas, x(math.copysign(_REACH, end)), middle, end, check.verdict)
        elif low < high:
            canvas.line(x(end), middle - 4, x(end), middle + 4, f"bar {check.verdict}")
    if abs(check.gain / unit) <= _REACH:
        canvas.add("circle", cx=x(check.gain / unit), cy=middle, r=4, class_=f"dot {check.verdict}")
    return canvas.render()


def _arrow(canvas: Canvas, x: float, y: float, direction: float, verdict: str) -> None:
    side = math.copysign(1.0, direction)
    corners = ((x + 6 * side, y), (x - side, y - 5), (x - side, y + 5))
    points = " ".join(f"{px:.1f},{py:.1f}" for px, py in corners)
    canvas.add("polygon", points=points, class_=f"dot {verdict}")
