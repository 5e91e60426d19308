"""A policy behind a server: openpi's protocol over WebSocket, StarVLA's, and room for more."""
