"""What people write, read into experiments, jobs and declared machines."""
