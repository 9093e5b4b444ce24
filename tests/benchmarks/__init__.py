"""Benchmarks of the harness itself; see ``__main__``.

Read ``rows`` first: it names everything that is measured and where it is done.
"""
