"""What a report says, as plain records."""
