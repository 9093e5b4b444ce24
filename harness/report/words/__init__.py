"""Sentences of the report, the same in every form."""
