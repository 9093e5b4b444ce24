"""The page of examples."""
