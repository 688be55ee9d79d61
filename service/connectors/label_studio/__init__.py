"""Label Studio's machine learning backend: predictions for tasks, supports from annotations."""
