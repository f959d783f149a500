"""What a run would do and need, said before it begins."""
