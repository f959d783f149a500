"""What a net is made of: its channels and what ties them, its operations, size and speed."""
