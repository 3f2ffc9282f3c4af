"""Changes of the job log's table, in order."""
