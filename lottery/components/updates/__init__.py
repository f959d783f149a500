"""Move the mask while a level trains (dynamic sparse training): one file a component."""
