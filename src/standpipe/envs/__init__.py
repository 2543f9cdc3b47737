"""What tasks run in: Python environments and container images, by content."""
