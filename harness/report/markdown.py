"""The report's summary as Markdown, for a pull request or a terminal."""

from harness.render.markdown import bullets, paragraphs, plain
from harness.report.sections.walk import LEFT_OUT, answers, fault_words, no_text
from harness.report.view.records import View


def render_markdown(view: View) -> str:
    """Write what each section has to say in Markdown, under its title."""
    bodies, left_out = answers(lambda _, own: own.markdown(view), no_text, view.left_out)
    kind = "SMOKE TEST" if view.smoke else "evaluation report"
    parts = [f"# {plain(view.provenance.suite)}: {kind}"]
    for _, section, body in bodies:
        parts += [f"## {plain(section.title)}" if section.title else "", body] if body else []
    if left_out:
        parts += [f"## {LEFT_OUT}", bullets(fault_words(left_out))]
    return paragraphs(*parts) + "\n"
