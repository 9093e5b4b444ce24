"""Findings about data and outputs."""
