"""Cut-outs of photographs pasted on others, as training data."""
