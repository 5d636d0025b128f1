"""What a call will use and cost, before it is sent."""
