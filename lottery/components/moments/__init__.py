"""Find while a net trains when its mask is to be made: one file a component."""
