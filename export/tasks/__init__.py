"""What a network is trained for: one module per task, one Protocol for the loop."""
