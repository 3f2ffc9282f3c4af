"""What runs on every machine: fires of schedules, and the local copy of them."""
