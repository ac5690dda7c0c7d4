"""What was measured and decided, in sentences: words alone, every decision is made in the modules above this folder."""
