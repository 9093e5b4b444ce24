"""Models: what a base or adapter is, where it runs, and how it is loaded."""
