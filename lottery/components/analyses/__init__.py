"""Ask of finished levels what they are: one file a component."""
