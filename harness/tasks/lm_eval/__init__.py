"""lm-eval's tasks: their identity, data, requests and outcome."""
