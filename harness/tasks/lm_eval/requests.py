"""Builds the requests of lm-eval's tasks once for all variants. lm_eval itself is not imported.

Requests depend on the task, its data, the seed and the tokenizer's chat template, and on no
weights; lm-eval nevertheless renders every prompt with all its shots again for each model.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from harness.models.quiet import recorded
from harness.tasks.lm_eval.quiet import Records, repeat


class RequestsOnce:
    """Stands in for a task's ``build_all_requests``: builds at the first call only.

    Later calls hand out the same requests, unanswered, and leave behind what building left: what
    lm-eval warned of, and the state of the global random generators, from which the prompts and
    the metrics of some tasks draw. So a later model gets exactly what the first one got.

    Args:
        leaf: A task of lm-eval without subtasks.
        seed: Seed of the shots.
    """

    def __init__(self, leaf: Any, seed: int) -> None:
        self._leaf = leaf
        self._seed = seed
        self._build: Callable[..., None] = leaf.build_all_requests
        self._left: tuple[Records, Callable[[], None]] | None = None

    def __call__(self, **options: Any) -> None:
        """Build requests, or take the answers off those that were built."""
        if self._left is None:
            self._leaf.set_fewshot_seed(self._seed)  # an attempt that failed may have drawn shots
            with recorded("lm_eval", alone=False) as said:
                self._build(**options)
            self._left = said, generators_now()
            return
        for instance in self._leaf.instances:
            instance.resps = []  # new ones: the samples of the run before hold the old ones
            instance.filtered_resps = {}
        said, restore = self._left
        repeat(said)
        restore()


def seed_generators(seed: int) -> None:
    """Seed Python's, numpy's and torch's global generators, as lm-eval does before a run."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  # lm-eval's tasks use the global generator
    torch.manual_seed(seed)


def generators_now() -> Callable[[], None]:
    """Remember the state of the global generators; calling the result restores it.

    Those of accelerators are left alone: no prompt is drawn from them.
    """
    python, numpy_ = random.getstate(), np.random.get_state()  # noqa: NPY002  # likewise
    torch_ = torch.get_rng_state()

    def restore() -> None:
        random.setstate(python)
        np.random.set_state(numpy_)  # noqa: NPY002  # likewise
        torch.set_rng_state(torch_)

    return restore


@contextmanager
def templates_compiled_once(environment: Any) -> Iterator[None]:
    """Compile each template of a Jinja environment once, not for each document and each shot.

    Compiling is nearly all the time that lm-eval takes to build requests with shots. One inside
    another does nothing more.
    """
    if "from_string" in vars(environment):
        yield
        return
    compiling = environment.from_string
    environment.from_string = functools.lru_cache(maxsize=256)(compiling)
    try:
        yield
    finally:
        del environment.from_string  # the class's own is seen again
