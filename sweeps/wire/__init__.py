"""What a worker and the driver say to each other: the messages, the worker's end and the driver's end."""
