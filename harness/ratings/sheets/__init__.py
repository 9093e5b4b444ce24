"""Rating sheets in every format, and what they must not give away."""
