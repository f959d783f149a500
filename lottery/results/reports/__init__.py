"""A report: one HTML file about one config or several, its data gathered apart from its looks."""
