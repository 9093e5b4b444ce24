"""Suite to variants, cells and their keys, without torch."""
