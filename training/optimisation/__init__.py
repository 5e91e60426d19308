"""How weights change: learning rate, accumulation, averages, what is frozen."""
