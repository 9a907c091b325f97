"""Text messages: the step, what is sent, and the gateways that send it."""
