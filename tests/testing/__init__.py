"""The embedded broker, through clients that others wrote too."""
