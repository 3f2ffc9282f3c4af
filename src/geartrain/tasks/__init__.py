"""Tasks: typed Python functions that run as jobs, and what calls and runs them."""
