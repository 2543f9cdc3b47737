"""What lets scripts for the KFP SDK run unchanged: its module names, and its objects converted."""
