"""What a run stands on: environment, devices, signals."""
