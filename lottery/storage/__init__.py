"""The disk: files whole or not at all, locks, links, the levels kept by content, the records."""
