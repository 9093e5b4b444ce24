"""Returned sheets: reading and checking them."""
