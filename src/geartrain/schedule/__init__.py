"""When entries fire: cron expressions and what they mean."""
