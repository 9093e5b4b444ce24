"""Memory and speed, each measured in a process of its own."""
