"""Draw what runs came to: one file a component."""
