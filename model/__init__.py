"""The SG-One network (one-shot segmentation by similarity guidance), trained and evaluated."""
