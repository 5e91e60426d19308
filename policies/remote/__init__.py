"""A policy behind openpi's WebSocket protocol."""
