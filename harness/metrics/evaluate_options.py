"""What a suite says of an ``evaluate:`` metric, checked without torch and without evaluate."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from harness.errors import MetricError
from harness.files import local_path
from harness.suite.rules import Spec
from harness.suite.spec import MetricSpec


class EvaluateOptions(Spec):
    """Options of an ``evaluate:`` metric in a suite."""

    key: str | None = Field(None, description="Which result to take; default: the only number.")
    config_name: str | None = Field(None, description="Configuration of the module.")
    revision: str | None = Field(None, description="Revision of a module on the Hub.")
    kwargs: dict[str, Any] = Field(default_factory=dict, description="Arguments of compute().")
    references: Literal["auto", "first", "all"] = Field(
        "auto",
        description="Pass one reference per example, or the list; auto passes what fits.",
    )
    per_example: bool = Field(
        False, description="Compute each example by itself and take the mean."
    )
    higher_is_better: bool = True
    scale: float | None = Field(None, description="The best possible value, where there is one.")
    unit: str = ""


def read_options(spec: MetricSpec) -> EvaluateOptions:
    """The options of an ``evaluate:`` metric; needs neither torch nor evaluate.

    Raises:
        MetricError: An option is unknown or has a wrong value.
    """
    try:
        return EvaluateOptions.model_validate(spec.options)
    except ValidationError as error:
        first = error.errors()[0]
        known = ", ".join(EvaluateOptions.model_fields)
        place = ".".join(str(part) for part in first["loc"])
        raise MetricError(
            f"The option {place} of {spec.name} is not right: {first['msg']}; found "
            f"{first['input']!r}. The options are {known}."
        ) from error


def local_script(module: str, base_dir: Path) -> Path | None:
    """The script that a local module names; None for a name on the Hub.

    Raises:
        MetricError: It names a path at which there is no script.
    """
    path = local_path(module, base_dir, MetricError)
    if path.is_dir() and (path / f"{path.resolve().name}.py").is_file():
        return path / f"{path.resolve().name}.py"
    if path.suffix == ".py" and path.is_file():
        return path
    if path.suffix == ".py" or module.startswith((".", "/", "~")) or module.count("/") > 1:
        raise MetricError(
            "This is no script of an evaluate module.",
            where=str(path),
            hint="Name a .py file, or a folder that holds a .py file of the folder's own name.",
        )
    return None
