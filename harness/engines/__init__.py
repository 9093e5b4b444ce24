"""Engines: text, losses and log-likelihoods from a model, fast and without silent cuts."""
