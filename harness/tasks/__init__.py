"""Tasks: what a variant is asked to do, and the scores of it."""
