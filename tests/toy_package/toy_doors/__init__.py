"""One toy of each kind that other packages can bring; found by its entry points alone."""
