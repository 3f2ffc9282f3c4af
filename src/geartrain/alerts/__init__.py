"""Who is told of what goes wrong, when, and how often."""
