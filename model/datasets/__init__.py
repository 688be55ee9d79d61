"""Lists and loads segmentation data sets; sampling lives in model.sampling."""
