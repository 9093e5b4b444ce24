"""Models: what a base or adapter is, where it runs, and how it is loaded."""

import logging

# it reports at import that an optional package with CPU kernels is missing
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
