"""Human raters: who is asked what, sheets out, ratings back, and what they say."""
