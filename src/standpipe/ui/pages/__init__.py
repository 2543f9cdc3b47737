"""The pages: each module reads a request, asks `RunSource` and the views, and renders a template."""
