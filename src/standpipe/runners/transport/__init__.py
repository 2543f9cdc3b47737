"""What an attempt on another machine needs and leaves: our code, its request, its files, the payloads of artifacts."""
