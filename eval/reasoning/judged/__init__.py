"""How far an automatic judge can be trusted: scorers that must find the sentences experts marked as wrong.

``gutvlm`` reads the marks, ``golds`` says what a scorer is given as true, ``scorers`` lists who judges,
``measure`` computes what is reported, on a half of the images that nothing was chosen on. ``vqa`` is the
form of twelve questions about the same images.
"""
