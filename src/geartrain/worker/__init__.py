"""Workers: grab jobs, run them, report."""
