"""All that can be wrong with a suite, found before anything is computed."""
