"""What the programs share: their rows, the model, the user's script, how they end."""
