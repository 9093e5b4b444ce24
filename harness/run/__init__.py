"""The matrix: training, cells, measurements, choice and merging."""
