"""Where the payloads of artifacts live: one module for each implementation of `model.ports.ArtifactStore`."""
