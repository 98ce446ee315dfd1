"""Training of language models that see: conversations made of prompt tasks, llava-nano, LoRA fine-tuning."""
