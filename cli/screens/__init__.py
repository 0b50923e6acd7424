"""What is shown: each module the words of one thing, and no decisions."""
