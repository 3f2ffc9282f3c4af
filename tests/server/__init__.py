"""The job server, from its pure half to processes under attack."""
