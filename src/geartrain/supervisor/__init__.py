"""Worker processes of any language, started, watched, restarted, scaled and stopped."""
