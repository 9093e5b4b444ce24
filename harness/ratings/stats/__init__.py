"""Agreement, means, preference and correlation of ratings."""
