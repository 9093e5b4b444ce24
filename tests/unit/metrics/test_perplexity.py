import math

import numpy as np
import pytest

from harness.errors import MetricError
from harness.metrics.base import corpus_value
from harness.metrics.perplexity import TokenLoss


def test_tokens_weigh_equally_not_examples() -> None:
    """By hand: (2 + 10) nats over (1 + 5) tokens are 2 nats per token."""
    statistics = np.array([[2.0, 1.0], [10.0, 5.0]])
    assert corpus_value(TokenLoss("eval_loss"), statistics) == (2.0, None)
    assert corpus_value(TokenLoss("perplexity"), statistics) == (pytest.approx(math.e**2), None)


def test_a_uniform_model_has_the_vocabulary_as_perplexity() -> None:
    """A model that gives each of 50 tokens 1/50 is as unsure as a choice among 50."""
    totals = np.array([[30 * math.log(50), 30.0], [7 * math.log(50), 7.0]])
    np.testing.assert_allclose(TokenLoss("perplexity").aggregate(totals), [50.0, 50.0])


def test_lower_is_better_and_there_is_no_scale() -> None:
    for metric in (TokenLoss("eval_loss"), TokenLoss("perplexity")):
        assert not metric.higher_is_better
        assert metric.scale is None
    assert TokenLoss("eval_loss").unit == "nats/token"


def test_text_is_refused() -> None:
    with pytest.raises(MetricError, match=r"from token losses.*type perplexity"):
        TokenLoss("perplexity").statistics("text", ["text"])
