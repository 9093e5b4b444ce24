"""One level for many bounds, such that all of them hold together.

Bonferroni's alpha / K is right whatever the bounds have to do with one another, and too strict
where they move together, as ROUGE-1 and ROUGE-L do. How they move together is known here: from
bootstrap draws of all differences on the same examples.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from harness.metrics.base import FloatArray

_DRAWS = 200_000  # the level's own relative error is then 1 % at alpha = .05
_CHUNK_CELLS = 4_000_000  # drawn at a time: 32 MB


@dataclass(frozen=True, eq=False)
class Block:
    """Estimates from the same examples; those of different blocks are independent."""

    # of the estimates, oriented as their bounds are (all gains, say), shape (K, K)
    correlation: FloatArray
    df: int | None  # Degrees of freedom of their standard errors: clusters less one. None: normal.


def local_level(blocks: Sequence[Block], alpha: float, *, seed: int = 0) -> float:
    """One-sided level of each single bound, such that all hold together with 1 - alpha.

    The alpha quantile of the least of all p-values, where those of a block come from a
    multivariate t distribution (single-step min-P).

    Args:
        blocks: What is bounded; at least one estimate in all.
        alpha: Probability that any of the bounds fails, in (0, 1).
        seed: Seed of the draws from these distributions.

    Returns:
        A level within [alpha / K, alpha] for K estimates in all; alpha where K is 1.

    Raises:
        ValueError: ``alpha`` is not in (0, 1), there is no estimate, or a correlation is not
            finite.

    Source:
        Westfall & Young (1993), Resampling-Based Multiple Testing, section 2.3; Hothorn, Bretz &
        Westfall (2008), Simultaneous inference in general parametric models.
    """
    count = sum(len(block.correlation) for block in blocks)
    if not 0 < alpha < 1 or count == 0:
        raise ValueError(f"a level needs 0 < alpha < 1 and an estimate, found {alpha} and {count}")
    if count == 1:
        return alpha
    rng = np.random.default_rng(seed)
    least = np.ones(_DRAWS)
    for block in blocks:
        if len(block.correlation):
            np.minimum(least, _least_p(block, rng), out=least)
    level = float(np.quantile(least, alpha))
    return min(max(level, alpha / count), alpha)


def correlation(draws: FloatArray) -> FloatArray:
    """Correlation of estimates from their joint bootstrap draws.

    Draws in which an estimate is undefined are left out of its correlations. An estimate that
    does not vary is taken as independent of the others, which errs on the strict side.

    Args:
        draws: One column per estimate, shape (B, K).

    Returns:
        Correlations, shape (K, K), ones on the diagonal; always finite.
    """
    defined = np.isfinite(draws)
    counts = np.maximum(defined.sum(axis=0), 1)
    centred = np.where(defined, draws, 0.0)
    centred = np.where(defined, centred - centred.sum(axis=0) / counts, 0.0)
    size = np.abs(centred).max(axis=0, initial=0.0)
    centred /= np.where(size > 0, size, 1.0)  # so that no square underflows
    products = centred.T @ centred
    norms = np.sqrt(np.diag(products))
    varies = norms > 0
    scale = np.where(varies, norms, 1.0)
    result: FloatArray = np.clip(products / np.outer(scale, scale), -1.0, 1.0)
    np.fill_diagonal(result, 1.0)
    return result


def _least_p(block: Block, rng: np.random.Generator) -> FloatArray:
    """Least one-sided p-value of a block in every draw, shape (_DRAWS,)."""
    if not np.isfinite(block.correlation).all():
        raise ValueError("correlations must be finite")
    values, vectors = np.linalg.eigh(block.correlation)
    root = vectors * np.sqrt(np.clip(values, 0.0, None))  # also of a singular matrix
    root /= np.linalg.norm(root, axis=1, keepdims=True)
    size = len(root)
    rows = max(1, _CHUNK_CELLS // size)
    largest = np.concatenate(
        [
            (rng.standard_normal((min(rows, _DRAWS - at), size)) @ root.T).max(axis=1)
            for at in range(0, _DRAWS, rows)
        ]
    )
    if block.df is None:
        tails: FloatArray = special.ndtr(-largest)
        return tails
    largest /= np.sqrt(rng.chisquare(block.df, size=_DRAWS) / block.df)
    return np.asarray(special.stdtr(block.df, -largest), dtype=np.float64)
