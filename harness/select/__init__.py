"""Which checkpoint to ship, among those that keep to the constraints."""
