"""Where cases come from: one module per layout of files. ``zoo/datasets.py`` chooses among them."""
