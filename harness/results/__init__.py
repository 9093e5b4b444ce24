"""What results say: scores, measurements and their repeats, read from the store."""
