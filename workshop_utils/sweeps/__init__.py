"""What looks after a sweep: many runs of the course's path, one row per run."""
