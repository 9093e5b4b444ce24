"""What a comparison of this size can show: minimal detectable effects and needed sizes.

Printed beside every verdict, so that "no difference found" is not read as "no difference".
"""

import math

from scipy import special

POWER = 0.8
_ROUNDS = 50  # of a fixed-point iteration that gains a digit in each or two
_MOST_DF = 10_000  # beyond, Student's and the normal distribution agree to four digits


def mde(error: float | None, df: int | None, level: float, power: float = POWER) -> float | None:
    """Minimal detectable effect: the difference that a one-sided test finds with that power.

    Args:
        error: Standard error of the difference, in the metric's own unit.
        df: Its degrees of freedom; None: normal.
        level: One-sided level of the test.
        power: Probability of finding it.

    Returns:
        A difference in the unit of ``error``; None where there is no error.

    Source:
        Cohen (1988), Statistical Power Analysis, ch. 2: the noncentral t distribution.
    """
    if error is None or not math.isfinite(error):
        return None
    return error * _shift(df, level, power)


def needed_n(
    n: int,
    error: float | None,
    df: int | None,
    distance: float | None,
    level: float,
    power: float = POWER,
) -> int | None:
    """How many examples would show a true distance with that power.

    More examples of the same kind are assumed: the standard error falls as 1 / sqrt(n), and
    there are as many examples to a cluster as now.

    Args:
        n: Examples there are.
        error: Standard error of the difference with these.
        df: Its degrees of freedom: clusters less one.
        distance: What is to be shown, in the unit of ``error``: how far the true difference is
            from the value to be ruled out.
        level: One-sided level of the test.
        power: Probability of showing it.

    Returns:
        Examples in all, not in addition; ``n`` where the error is zero. None where no number
        would do, because there is no distance, or where there is no error.
    """
    if error is None or distance is None or not math.isfinite(error) or not distance > 0:
        return None
    if error == 0:
        return n
    clusters = n if df is None else df + 1

    def shown(count: int) -> bool:
        share = count / n
        freedom = None if df is None else max(1, round(clusters * share) - 1)
        return error * _shift(freedom, level, power) <= distance * math.sqrt(share)

    enough = 2
    while not shown(enough):
        enough *= 2
    too_few = enough // 2
    while enough - too_few > 1:
        middle = (enough + too_few) // 2
        enough, too_few = (middle, too_few) if shown(middle) else (enough, middle)
    return enough


def score_mde(
    n: float,
    discordance: float,
    margin: float,
    df: int | None,
    level: float,
    power: float = POWER,
    *,
    strict: bool = False,
) -> float:
    """Loss beyond a margin, of a share of right answers, that a paired score test finds.

    A score test takes the variance under what it is to rule out, a loss of the margin, and not
    under the loss that there is; where answers differ often the two are not the same.

    Args:
        n: Examples, or their effective number where some are related.
        discordance: Share of examples that one of the two has right and the other wrong. As much
            as the loss to be found at least is assumed.
        margin: Loss that is allowed.
        df: Degrees of freedom of the test's quantile; None: normal.
        level: One-sided level of the test.
        power: Probability of finding it.
        strict: Of the strict test, as for ``proportions.tango_interval``.

    Returns:
        A difference of shares.

    Source:
        Connor (1987), Sample size for testing differences in proportions for the paired-sample
        design, Biometrics 43: n d^2 = (z_alpha sqrt(psi) + z_power sqrt(psi - d^2))^2, with the
        discordance psi; the margin in place of no difference: Tango (1998), Statistics in Medicine
        17, section 3.
    """
    reject = float(special.ndtri(1 - level) if df is None else special.stdtrit(df, 1 - level))
    find, effect = float(special.ndtri(power)), 0.0
    for _ in range(_ROUNDS):
        loss = min(1.0, margin + effect)
        share = max(discordance, loss)
        spread = _strict(reject, share, margin, n) if strict else reject
        spread *= math.sqrt(max(0.0, share - margin**2))
        effect = (spread + find * math.sqrt(max(0.0, share - loss**2))) / math.sqrt(n)
        effect += 0.5 / n if strict else 0.0  # the correction for continuity
    return effect


def _strict(reject: float, share: float, margin: float, n: float) -> float:
    """A quantile corrected for skewness at a loss of the margin, where it is a loss's."""
    variance = share - margin**2
    third = margin - 3 * margin * share + 2 * margin**3
    if variance <= 0 or third <= 0:
        return reject
    skewness = third / math.pow(variance, 1.5) / math.sqrt(n)
    return reject + skewness * (reject**2 - 1) / 6


def _shift(df: int | None, level: float, power: float) -> float:
    """Noncentrality, in standard errors, at which a one-sided t test has that power."""
    if df is None or df > _MOST_DF:
        return float(special.ndtri(1 - level) + special.ndtri(power))
    cut = float(special.stdtrit(df, 1 - level))
    shift = float(special.nctdtrinc(df, 1 - power, cut))
    if math.isfinite(shift) and abs(float(special.nctdtr(df, shift, cut)) - (1 - power)) < 1e-6:
        return shift
    # A cut far out, where that does not converge: the estimated error decides, not the estimate.
    return cut * math.sqrt(float(special.chdtri(df, 1 - power)) / df)
