"""What every figure shares: its data, its lines, its style, its files."""
