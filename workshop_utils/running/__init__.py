"""What looks after a run of the course: notebooks, kernels, records, pages."""
