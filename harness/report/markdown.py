"""The report's summary as Markdown, for a pull request or a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from harness.ratings.report.view import human_section
from harness.ratings.report.words import same_words
from harness.render.labels import measured_name
from harness.render.markdown import code, markdown_table, plain
from harness.render.numbers import NONE, estimate, metric_name, quantities, size
from harness.render.table import to_markdown
from harness.report.view.records import MatrixCell, MatrixRow, View
from harness.report.words.losses import loss_notes, loss_rows
from harness.report.words.selection import candidate_table, held_claims, how_chosen
from harness.results.measurements import sizes


def render_markdown(view: View) -> str:
    """Write verdict, matrix, memory and speed, failures and provenance as Markdown."""
    parts = [
        f"# {plain(view.provenance.suite)}: evaluation report",
        f"**{plain(view.verdict.headline)}**",
        *(plain(line) for line in view.verdict.support),
        "\n".join(f"> {plain(line)}  " for line in view.verdict.cautions),
        *_choice(view),
        *_matrix(view),
        *_losses(view),
        *_measurements(view),
        *_human(view),
        *_data(view),
        *_unfinished(view),
        *_provenance(view),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _choice(view: View) -> Iterator[str]:
    table = candidate_table(view.selection, view.rows)
    if view.selection is None or table is None:
        return
    yield "## Choice"
    yield plain(how_chosen(view.selection))
    header = ["checkpoint", table.metric, f"against {plain(view.baseline)}", "p adjusted"]
    header += [plain(what) for what in table.constraints]
    body = []
    for line in table.lines:
        name = plain(line.variant)
        body.append(
            [
                f"**{name}**" if line.chosen else name,
                line.value,
                f"{line.gain} {line.bounds}".strip(),
                line.p,
                *(f"{mark.status} {mark.value}".strip() for mark in line.checks),
                "yes" if line.efficient else "no",
            ]
        )
    yield markdown_table([*header, "efficient"], body)
    yield "\n".join(f"- {plain(line)}" for line in held_claims(view))


def _matrix(view: View) -> Iterator[str]:
    rows = [row for row in view.rows if row.split != "select" and row.task == row.suite_task]
    if not rows:
        return
    yield "## Results"
    yield (
        "Value and 95 % interval; below, the paired difference from "
        f"{plain(view.baseline)} and its interval. Bold: best, or not distinguishable from it, "
        "where at least one variant is distinguishably worse. Scores with a best value are of 100."
    )
    header = ["metric", "split", "n", *(plain(variant.id) for variant in view.variants)]
    body = [
        [
            plain(f"{row.task}: {metric_name(row.metric)}")
            + ("" if row.higher_is_better else " (lower is better)"),
            row.split,
            f"{row.n:,}",
            *(_cell(cell, row) for cell in row.cells),
        ]
        for row in rows
    ]
    yield markdown_table(header, body)


def _cell(cell: MatrixCell, row: MatrixRow) -> str:
    figure = cell.figure
    if figure is None:
        return NONE
    value, bounds = estimate(figure.value, figure.low, figure.high, row.scale)
    text = " ".join(part for part in (f"**{value}**" if cell.mark else value, bounds) if part)
    found = cell.comparison
    if found is None or found.delta is None:
        return text
    if found.identical:
        return f"{text}<br>{same_words(row.kind)[0]}"
    shown = estimate(found.delta, found.low, found.high, row.scale, signed=True)
    return f"{text}<br>{' '.join(part for part in shown if part)}"


def _losses(view: View) -> Iterator[str]:
    losses = view.losses
    if losses.primary is None and not losses.others:
        return
    yield "## Where it loses"
    if losses.primary is not None:
        summary = losses.primary.summary
        yield plain(losses.primary.sentence)
        rows = loss_rows(summary) if summary.looks else []
        if rows:
            header = ["of", "group", "n", "worse / equal / better", "share of loss", "gain"]
            body = [
                [
                    plain(row.stratum.kind),
                    plain(row.name),
                    f"{row.stratum.n:,}",
                    row.counts,
                    row.share,
                    " ".join(row.gain).strip(),
                    " ".join(row.contrast).strip() if row.side != "none" else NONE,
                    row.words,
                ]
                for row in rows
            ]
            yield markdown_table([*header, "less the rest's", "verdict"], body)
        yield "\n".join(f"- {plain(note)}" for note in loss_notes(summary))
    yield "\n".join(f"- {plain(f'{loss.summary.task}: {loss.sentence}')}" for loss in losses.others)


def _measurements(view: View) -> Iterator[str]:
    found = view.measurements
    rows = [row for row in found.rows if any(r and r.median is not None for r in row.readings)]
    if not rows:
        return
    yield "## Memory and speed"
    header = ["quantity", "sizes", *(plain(", ".join(names)) for names in found.columns)]
    body = []
    for row in rows:
        medians = quantities([r.median if r else None for r in row.readings], row.unit)
        body.append([measured_name(row.name), sizes(row), *medians])
    yield "\n".join(f"> {plain(doubt.words)}  " for doubt in found.doubts)
    yield markdown_table(header, body)
    yield "\n".join(f"- {plain(line)}" for line in found.taken)


def _human(view: View) -> Iterator[str]:
    section = human_section(
        view.human, note=view.human_note, chosen=view.verdict.chosen, primary=view.primary
    )
    if section is None:
        return
    yield "## Human ratings"
    yield plain(section.note)
    yield from (plain(line) for line in section.lead)
    yield "\n".join(f"> {plain(line)}  " for line in section.cautions)
    yield to_markdown(section.preference)
    yield to_markdown(section.means)
    yield "\n".join(f"- {plain(line)}" for line in section.notes)
    yield to_markdown(section.agreement)
    yield to_markdown(section.raters)
    yield "\n".join(f"- {plain(line)}" for line in section.doubts)
    yield plain(section.trust)
    yield to_markdown(section.metrics)


def _data(view: View) -> Iterator[str]:
    if not view.data:
        return
    yield "## Data"
    body = []
    for task, report in view.data.items():
        dropped = "; ".join(f"{reason}: {n:,}" for reason, n in sorted(report.dropped.items()))
        body.append(
            [
                plain(task),
                f"{report.rows_read:,}",
                f"{report.rows_kept:,}",
                plain(dropped) or "none",
                f"{report.near_duplicates:,}",
            ]
        )
    yield markdown_table(["data of", "rows read", "kept", "dropped", "near duplicates"], body)


def _unfinished(view: View) -> Iterator[str]:
    if not view.unfinished:
        return
    yield "## Failed and skipped"
    yield "\n".join(
        f"- {plain(f'{cell.variant} / {cell.task}')}: {cell.status}, "
        f"{plain(cell.reason or 'no reason was recorded')}"
        for cell in view.unfinished
    )


def _provenance(view: View) -> Iterator[str]:
    found = view.provenance
    yield "## Provenance"
    lines = [f"run {plain(found.run_id)}, suite digest {plain(found.suite_digest)}"]
    if found.command:
        lines.append(f"command: {code(found.command)}")
    if found.environment is not None:
        place = found.environment
        versions = ", ".join(f"{name} {v}" for name, v in sorted(place.versions.items()))
        lines.append(f"{plain(place.device_name)}, {size(place.memory_bytes)}, {code(versions)}")
    yield "\n".join(f"- {line}" for line in lines)
