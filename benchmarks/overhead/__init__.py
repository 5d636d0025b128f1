"""What watching a call costs: instructions, time, start-up, memory."""
