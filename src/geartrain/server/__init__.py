"""The job server's shell: listeners, connections, group commit."""
