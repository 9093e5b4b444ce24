"""The store: results addressed by what can change them, and runs that name results."""
