"""A run against an accepted baseline."""
