"""Text as tasks: paragraphs read from files or from Python itself, vocabularies, what is asked."""
