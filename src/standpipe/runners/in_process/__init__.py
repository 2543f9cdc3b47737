"""The runner that executes Python components in this process."""
