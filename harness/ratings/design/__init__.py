"""Which items are asked of whom, in which order."""
