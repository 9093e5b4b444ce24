"""The report's section on human ratings, in words and tables."""
