"""One attempt at one task, from its resolved inputs to its outputs: KFP's executor contract on this machine's files."""
