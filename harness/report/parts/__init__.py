"""Parts of the view, each worked out from what a run holds."""
