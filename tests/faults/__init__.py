"""What power, disks and files can do to a store, tried: ``nox -s faults``."""
