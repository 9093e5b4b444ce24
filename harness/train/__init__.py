"""Training: arguments, sessions in the store, the QLoRA runner, merging."""
