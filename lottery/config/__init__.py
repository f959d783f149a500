"""From words and yaml files to bound functions. Nothing else knows hydra."""
