"""The verdict: what to do, with what supports and what limits it."""

from typing import Any

from harness.render.markdown import paragraphs, plain, quoted
from harness.report.parts.contents import RunContents
from harness.report.sections.base import PageContext, ReportSection
from harness.report.view.records import View
from harness.report.words.cautions import Evidence
from harness.report.words.facts import headline_parts, lead_facts
from harness.report.words.verdict import build_verdict, smoke_verdict


class VerdictSection(ReportSection):
    """The first thing on the page; its sentence is the page's heading."""

    name, title, label = "verdict", "", ""

    def build(self, run: RunContents) -> dict[str, Any]:
        manifest = run.manifest
        figures = (run.matrix[0], run.primary, run.trade_off, run.choice)
        if run.suite.smoke:
            verdict = smoke_verdict(manifest, run.suite.smoke)
        else:
            verdict = build_verdict(Evidence(manifest, *figures, run.human, run.outputs))
        return {
            "description": run.suite.description,
            "smoke": run.suite.smoke,
            "verdict": verdict,
            "baseline": manifest.baseline,
            "variants": manifest.variants,
            "primary": run.primary,
        }

    def html(self, view: View, page: PageContext) -> str:
        first, rest = headline_parts(view.verdict.headline)
        return page.render("verdict.html.j2", first=first, rest=rest, facts=lead_facts(view))

    def markdown(self, view: View) -> str:
        verdict = view.verdict
        support = "\n\n".join(plain(line) for line in verdict.support)
        return paragraphs(f"**{plain(verdict.headline)}**", support, quoted(verdict.cautions))


SECTION = VerdictSection()
