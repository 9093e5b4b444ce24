"""What is shipped: the choice from the store, copied, with its model card."""
