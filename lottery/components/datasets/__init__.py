"""Hold one data set a file."""
