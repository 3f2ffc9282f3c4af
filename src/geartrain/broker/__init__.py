"""The job server's memory and its rules."""
