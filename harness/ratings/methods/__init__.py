"""The methods paragraph and the data sheet of a rating study."""
