"""Queue stores: where background jobs survive a restart."""
