"""What the records say: intervals, paired comparisons and checkpoint selection (readers)."""
