"""stub"""
SECTIONS = ("causes", "symptoms", "treatment", "lifestyle", "follow-up")
