"""What an answer is worth: key points by rule, likeness by libraries, support by models, a judge's word."""
