"""Metrics from Hugging Face evaluate: modules that a suite names, ``evaluate:<module>``.

A module is Python code, run as it is: name only modules you trust. It scores a whole corpus and
gives no statistics per example, so its values have no interval, unless the suite says that the
corpus value is the mean over examples (``per_example: true``).

``evaluate`` imports torch, and is imported only when a module is first used.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib.metadata import PackageNotFoundError
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.digests import short_digest
from harness.errors import MetricError, MissingExtraError
from harness.metrics.base import FloatArray, format_signature, mean_of, some_references
from harness.metrics.evaluate_options import local_script, read_options
from harness.metrics.registry import EVALUATE, check_metric
from harness.suite.spec import MetricSpec

if TYPE_CHECKING:
    import evaluate


class EvaluateModule:
    """A module of Hugging Face evaluate as a corpus metric.

    Args:
        spec: The entry of a suite; its name is ``evaluate:<module>``, where the module is the
            path of a script, of a folder with a script of the folder's name, or a Hub name.
        base_dir: Folder that relative paths start from.

    Attributes:
        name: The name in the suite.
        scale: As the suite says, or None.
        unit: As the suite says.
        higher_is_better: As the suite says.

    Raises:
        MetricError: The options are wrong, or a local script is missing.
    """

    def __init__(self, spec: str | MetricSpec, *, base_dir: Path = Path()) -> None:
        spec = MetricSpec.of(spec)
        check_metric(spec)
        self.name = spec.name
        self.module = spec.name.removeprefix(EVALUATE).strip()
        self.options = read_options(spec)
        self.scale = self.options.scale
        self.unit = self.options.unit
        self.higher_is_better = self.options.higher_is_better
        self._script = local_script(self.module, base_dir)

    @property
    def signature(self) -> str:
        """The module, the digest of a local script, and all options that change the value."""
        options = self.options
        source = self.module
        if self._script is not None:
            digest = hashlib.sha256(self._script.read_bytes()).hexdigest()[:16]
            source = f"{self._script.stem}@sha256-{digest}"
        elif options.revision:
            source = f"{self.module}@{options.revision}"
        try:
            return format_signature(
                f"{EVALUATE}{source}",
                "evaluate",
                key=options.key,
                config=options.config_name,
                kwargs=short_digest(options.kwargs) if options.kwargs else None,
                refs=options.references,
                mean="examples" if options.per_example else None,
            )
        except PackageNotFoundError as error:
            raise MissingExtraError("evaluate", "evaluate") from error

    def score_corpus(
        self, predictions: Sequence[str], references: Sequence[Sequence[str]]
    ) -> tuple[float | None, str | None, FloatArray | None]:
        """Score predictions against references.

        Args:
            predictions: One text per example, length n.
            references: One or more texts per example, length n.

        Returns:
            The value or None, why it is None, and with ``per_example`` the statistics, shape
            (n, 2), else None.

        Raises:
            MetricError: The module cannot be loaded or fails, or its result is not one number.
            MissingExtraError: ``evaluate`` is not installed.
        """
        if len(predictions) != len(references):
            raise MetricError(
                f"{self.name} needs one list of references per prediction, found "
                f"{len(predictions)} predictions and {len(references)} lists of references."
            )
        if not predictions:
            return None, "there are no examples", None
        texts = self._shaped([some_references(these) for these in references])
        statistics = None
        if not self.options.per_example:
            value = self._number(self._results(list(predictions), texts))
        else:
            pairs = zip(predictions, texts, strict=True)
            values = [self._number(self._results([made], [text])) for made, text in pairs]
            statistics = np.array([(value, 1.0) for value in values], dtype=np.float64)
            value = float(mean_of(statistics.sum(axis=0)))
        if not np.isfinite(value):
            return None, f"{self.name} is undefined on these examples (it gave {value})", statistics
        return value, None, statistics

    @cached_property
    def _loaded(self) -> evaluate.EvaluationModule:
        try:
            import evaluate
        except ImportError as error:
            raise MissingExtraError("evaluate", "evaluate") from error
        path = self.module if self._script is None else str(self._script)
        try:
            module = evaluate.load(
                path,
                config_name=self.options.config_name,
                revision=self.options.revision,
                keep_in_memory=True,
            )
        except (FileNotFoundError, ConnectionError) as error:
            fetch = f"import evaluate; evaluate.load('{self.module}')"
            raise MetricError(
                f"{self.name} needs the module {self.module!r}, which is neither a local script "
                "nor in the cache of this machine, and could not be fetched from the Hugging Face "
                "Hub (no network, or no such module).",
                hint=f'Where there is network, run: python -c "{fetch}" once; or give the path of '
                f"its script: {EVALUATE}path/to/script.py.",
            ) from error
        except ImportError as error:
            raise MetricError(
                f"{self.name} needs packages that are not installed: {error}",
                hint="Install them into the environment that runs the harness.",
            ) from error
        except Exception as error:  # the module's own code runs here
            raise MetricError(f"{self.name} cannot be loaded: {_describe(error)}.") from error
        needed = sorted(set(_inputs(module)[0]) - {"predictions", "references"})
        if needed:
            raise MetricError(
                f"{self.name} must take predictions and references only; it also needs "
                f"{', '.join(needed)}."
            )
        module.seed = 0  # evaluate would take one from numpy's global state
        return module

    def _shaped(self, references: list[Sequence[str]]) -> list[Any]:
        """References in the form that the module takes: a text or a list per example."""
        forms = [form.get("references") for form in _inputs(self._loaded)]
        takes_text = any(_is_text(form) for form in forms)
        takes_list = any(form is not None and not _is_text(form) for form in forms)
        choice = self.options.references
        single = all(len(texts) == 1 for texts in references)
        if choice == "auto" and not single and not takes_list:
            raise MetricError(
                f"{self.name} takes one reference per example, but some examples have several.",
                hint="Set its option references: first, or use another metric.",
            )
        if choice == "first" or (choice == "auto" and single and takes_text):
            return [texts[0] for texts in references]
        return [list(texts) for texts in references]

    def check(self, references: Sequence[Sequence[str]]) -> None:
        """Refuse a module that does not give the number that is asked for, before there are texts.

        It is run on references as if a model had written them. Where it fails on those, it may
        still take what a model writes; then scoring will tell.

        Args:
            references: One or more texts for each of a few examples.

        Raises:
            MetricError: The module cannot be loaded, or its results lack the number; they are
                named.
            MissingExtraError: ``evaluate`` is not installed.
        """
        few = references[:1] if self.options.per_example else references
        texts = self._shaped([some_references(these) for these in few])
        try:
            result = self._results([str(these[0]) for these in few], texts)
        except MetricError:
            return
        self._number(result)

    def _results(self, predictions: list[str], references: list[Any]) -> Any:
        inputs: dict[str, Any] = {"predictions": predictions}
        if "references" in _inputs(self._loaded)[0]:
            inputs["references"] = references
        try:
            return self._loaded.compute(**inputs, **self.options.kwargs)
        except Exception as error:  # the module's own code runs here
            del self._loaded  # it may hold on to a part of the inputs
            raise MetricError(
                f"{self.name} failed: {_describe(error)}.",
                hint="Check that the module takes texts, and its options kwargs and references.",
            ) from error

    def _number(self, result: Any) -> float:
        """The one number that is meant among the results of the module."""
        name, key = self.name, self.options.key
        if not isinstance(result, Mapping):
            raise MetricError(f"{name} must give a dict of results, found {type(result).__name__}.")
        numbers = {
            label: float(value)
            for label, value in result.items()
            if isinstance(value, Real) and not isinstance(value, bool)
        }
        labels = ", ".join(str(label) for label in result)
        if key is None and len(numbers) == 1:
            return next(iter(numbers.values()))
        if key is None:
            raise MetricError(
                f"{name} gives the results {labels}; one number must be chosen among them.",
                hint="Set its option key to one that is a number.",
            )
        if key not in numbers:
            problem = "is not a number" if key in result else "is not among its results"
            raise MetricError(f"The key {key!r} of {name} {problem}; the results are {labels}.")
        return numbers[key]


def _inputs(module: evaluate.EvaluationModule) -> list[Mapping[str, Any]]:
    """The inputs that a module takes, by name; some modules take one of several forms."""
    forms = module.features
    return forms if isinstance(forms, list) else [forms]


def _is_text(feature: Any) -> bool:  # datasets' feature types have no common base
    import datasets

    return isinstance(feature, datasets.Value | datasets.ClassLabel)


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:500].rstrip(".")
