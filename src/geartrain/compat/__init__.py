"""Names of other libraries, carried by this package's clients and workers."""
