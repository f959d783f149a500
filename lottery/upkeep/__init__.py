"""What lies under outputs/: what is damaged, what can go."""
