"""What works here and would fail or differ on a cluster: the rules of `standpipe check`, which read Plans."""
