"""KFP clusters: runs are created and followed there, and pulled from there. HTTP is that of the standard library."""
