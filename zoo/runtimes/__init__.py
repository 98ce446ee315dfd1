"""What executes a model file. One file per runtime; ``base.RUNTIMES`` names them."""
