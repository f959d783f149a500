"""What is chosen by name: a file each, in a folder for each kind."""
