"""What a user may ask: the specification of a suite, its files and their errors."""
