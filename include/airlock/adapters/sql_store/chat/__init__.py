"""What stands in the chat, and whose account is whose there."""
