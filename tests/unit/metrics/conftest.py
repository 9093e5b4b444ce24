import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

GOLDEN = Path(__file__).parents[2] / "golden"


@pytest.fixture(scope="session")
def golden() -> Callable[[str], list[dict[str, Any]]]:
    """Cases of a golden file, which says in itself where its expected values come from."""

    def cases(name: str) -> list[dict[str, Any]]:
        content = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
        assert {"source", "version", "obtained"} <= content.keys()
        found: list[dict[str, Any]] = content["cases"]
        return found

    return cases
