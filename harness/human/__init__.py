"""Human raters: sheets out, ratings back, and what they say."""
