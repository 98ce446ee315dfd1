"""Compiled loops: from polygons to masks (``fill``) and back (``polygon``)."""
