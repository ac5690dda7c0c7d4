"""One file per DVC stage: parse arguments, load, call, write."""
