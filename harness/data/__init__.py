"""Sources to examples: rows, prompts, clusters and splits."""
