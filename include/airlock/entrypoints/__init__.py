"""The edges: parse, call one service, render."""
